"""Where a token issuer's keys are."""

from pathlib import Path

import pytest

from keystead.appraisal.issuer_keys import KeySource, key_source
from keystead.errors import ConfigurationError
from keystead.jose.jwk import MAX_SET_BYTES, parse_set
from tests.workload_tokens import GITHUB, issuer_keys, write_keys


def source(folder: Path, *, url: str | None = None, file: str | None = None) -> KeySource:
    return key_source(
        url=url, file=file, max_age_s=60, folder=folder, parse=parse_set, path="oidc.issuers[0]"
    )


def test_keys_of_a_file_are_the_policys_and_no_others(tmp_path: Path) -> None:
    write_keys(tmp_path)
    found = source(tmp_path, file="jwks.json")
    keys = found.of(GITHUB, {GITHUB: issuer_keys(kid="other")})
    assert keys is not None and keys.get("k1") is not None and keys.get("other") is None


def test_keys_at_an_url_are_those_that_were_given(tmp_path: Path) -> None:
    found = source(tmp_path, url="https://keys.example/jwks")
    given = {GITHUB: issuer_keys()}
    assert found.of(GITHUB, given) is given[GITHUB]
    assert found.of("https://another.example", given) is None


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"{" + b" " * MAX_SET_BYTES + b"}"])
def test_file_that_is_no_key_set_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "jwks.json").write_bytes(content)
    with pytest.raises(ConfigurationError) as refused:
        source(tmp_path, file="jwks.json")
    assert "jwks.json" in refused.value.detail
