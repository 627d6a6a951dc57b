"""A development folder's first configuration."""

import os
from pathlib import Path

import pytest

from keystead.config import AudienceConfig, SubjectIssuerConfig, load_config
from keystead.delegation.policy import DelegationPolicy
from keystead.dev import DELEGATION, DevSettings, free_ports, prepare
from keystead.errors import ConfigurationError, Reason

ISSUER = SubjectIssuerConfig(
    issuer='https://idp.example/"quoted"',
    jwks_url="https://idp.example/jwks",
    audiences=("http://127.0.0.1:1", "é"),
    clients=("back\\slash",),
    aal={"phrh": 3, "a.b c": 2},
)
AUDIENCE = AudienceConfig(uri="https://api.example", scopes=("a.read", "a.write"))


def settings(**changes: object) -> DevSettings:
    return DevSettings(http_port=1, grpc_port=2, **changes)


def test_prepared_configuration_says_what_was_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    prepare(folder, settings(subject_issuers=(ISSUER,), audiences=(AUDIENCE, AUDIENCE_TWO)))
    config = load_config(folder / "keystead.toml")
    assert tuple(config.subject_issuers) == (ISSUER,)
    assert tuple(config.audiences) == (AUDIENCE, AUDIENCE_TWO)
    assert config.issuer == settings().issuer == "http://127.0.0.1:1"
    assert (config.server.http.port, config.server.grpc.port) == (1, 2)
    assert config.development


AUDIENCE_TWO = AudienceConfig(uri="https://two.example", scopes=("b",), max_lifetime_s=60)


def test_prepared_folder_is_private_and_has_the_policy(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    prepare(folder, settings(delegation=DELEGATION + "\n// mine\n"))
    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / "operator.credential").stat().st_mode & 0o077 == 0
    text = (folder / "delegation.cedar").read_text()
    assert text.endswith("// mine\n")
    assert DelegationPolicy.parse(text).rules.keys() == {"dev-exchange"}


def test_given_anchors_are_the_only_ones(tmp_path: Path) -> None:
    prepare(tmp_path / "one", settings(anchors={"host.pem": b"pem"}))
    prepare(tmp_path / "two", settings())
    assert os.listdir(tmp_path / "one" / "anchors") == ["host.pem"]
    assert not (tmp_path / "two" / "anchors").exists()


def test_refuses_a_folder_that_others_may_enter(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o750)
    with pytest.raises(ConfigurationError) as refused:
        prepare(folder, settings())
    assert refused.value.reason is Reason.PERMISSIONS_TOO_OPEN


def test_a_folder_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner could put links where root writes the credential."""
    folder = tmp_path / "dev"
    folder.mkdir(mode=0o700)
    monkeypatch.setattr("os.geteuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(ConfigurationError) as refused:
        prepare(folder, settings())
    assert refused.value.reason is Reason.PERMISSIONS_TOO_OPEN
    assert list(folder.iterdir()) == []


def test_free_ports_differ_and_a_taken_one_is_not_given() -> None:
    taken = free_ports(0)[0]
    assert free_ports(taken) == [taken]
    assert len(set(free_ports(0, 0, 0, 0))) == 4
    first, second = free_ports(taken, taken)
    assert first == taken
    assert second != taken
