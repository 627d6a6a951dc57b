"""A policy's digest changes with everything that it names."""

from pathlib import Path

import pytest

from keystead.appraisal import policy_files
from keystead.appraisal.policy_files import policy_digest
from keystead.errors import ConfigurationError

TEXT = """
id = "lab"
version = 1
[[tpm2.anchors]]
path = "anchors"
[[oidc.issuers]]
jwks_file = "keys.json"
[sev-snp]
revocation_lists = ["milan.crl", "genoa.crl"]
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    (tmp_path / "anchors").mkdir()
    for name in ("anchors/a.pem", "anchors/b.pem", "keys.json", "milan.crl", "genoa.crl"):
        (tmp_path / name).write_text(name)
    path = tmp_path / "policy.toml"
    path.write_text(TEXT)
    return path


def test_the_same_files_have_the_same_digest(policy: Path, tmp_path: Path) -> None:
    assert policy_digest(policy) == policy_digest(policy)
    (tmp_path / "unrelated").write_text("x")
    assert len({policy_digest(policy), policy_digest(policy)}) == 1


@pytest.mark.parametrize(
    "name", ["anchors/a.pem", "keys.json", "milan.crl", "genoa.crl", "policy.toml"]
)
def test_another_content_is_another_digest(policy: Path, name: str) -> None:
    before = policy_digest(policy)
    path = policy.parent / name
    path.write_text(path.read_text() + "\n")
    assert policy_digest(policy) != before


def test_a_root_more_or_less_is_another_digest(policy: Path) -> None:
    before = policy_digest(policy)
    more = policy.parent / "anchors" / "c.pem"
    more.write_text("c")
    assert policy_digest(policy) != before
    more.unlink()
    assert policy_digest(policy) == before
    (policy.parent / "anchors" / "a.pem").unlink()
    assert policy_digest(policy) != before


def test_a_file_that_is_not_there_is_named(policy: Path) -> None:
    (policy.parent / "keys.json").unlink()
    with pytest.raises(ConfigurationError, match=r"keys\.json"):
        policy_digest(policy)


def test_a_folder_of_too_many_files_is_refused(
    policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy_files, "MAX_FILES", 4)
    with pytest.raises(ConfigurationError):
        policy_digest(policy)


@pytest.mark.parametrize(
    "data",
    [b"id = \n", b"\xff\xfe", b"a=" + b"[" * 5_000, b'[[a]]\npath = "x\\u0000y"\n'],
    ids=["syntax", "no text", "depth", "a name that no file can have"],
)
def test_what_is_no_policy_is_a_wrong_configuration(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "policy.toml"
    path.write_bytes(data)
    with pytest.raises(ConfigurationError, match=r"policy\.toml|embedded null"):
        policy_digest(path)
