"""The policies as they are at a start."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from keystead.app import wiring
from keystead.appraisal.policy import AppraisalPolicy
from keystead.errors import ConfigurationError
from tests.exchange_parts import POLICY
from tests.workload_tokens import RULES, issuer_keys, write_keys

APPRAISAL = f"""id = "test"
version = 3
[[oidc.issuers]]
issuer = "https://ci.company.example"
profile = "other"
freshness = "challenged"
jwks_file = "jwks.json"
[[oidc.issuers.rules]]
{RULES["other"]}
"""
CONFIG: Any = SimpleNamespace(
    delegation=SimpleNamespace(policy="delegation.cedar"),
    attestation=SimpleNamespace(policy="appraisal.toml"),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "appraisal.toml").write_text(APPRAISAL)
    (tmp_path / "delegation.cedar").write_text(POLICY)
    write_keys(tmp_path)
    return tmp_path


def test_another_key_is_another_version_though_nobody_counted_up(folder: Path) -> None:
    first = wiring.load_policies(CONFIG, base=folder)
    assert wiring.load_policies(CONFIG, base=folder).appraisal_version == first.appraisal_version
    write_keys(folder, issuer_keys(kid="k2"))
    second = wiring.load_policies(CONFIG, base=folder)
    assert second.appraisal.name == first.appraisal.name
    assert second.appraisal_version != first.appraisal_version


def test_a_policy_that_changes_as_it_is_read_starts_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recorded under the digest of the later files, the next start would ask nobody again."""
    load = wiring.load_policy

    def slowly(path: Path) -> AppraisalPolicy:
        policy = load(path)
        path.write_text(APPRAISAL.replace("version = 3", "version = 4"))
        return policy

    monkeypatch.setattr(wiring, "load_policy", slowly)
    with pytest.raises(ConfigurationError):
        wiring.load_policies(CONFIG, base=folder)


@pytest.mark.parametrize("text", ["id = \n", "a=" + "[" * 5_000, 'id = "a"\nid = "b"\n', ""])
def test_a_policy_that_is_none_starts_nothing_and_says_so(folder: Path, text: str) -> None:
    (folder / "appraisal.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=r"appraisal\.toml"):
        wiring.load_policies(CONFIG, base=folder)
