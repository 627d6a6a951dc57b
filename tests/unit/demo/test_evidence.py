"""What the demo asks of an attestation result, for each kind, and whom its service believes."""

from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from keystead.appraisal.policy import parse_policy
from keystead.demo import build_platform, stolen_evidence
from keystead.demo.evidence import Evidence
from keystead.demo.failure import StepFailed
from keystead.demo.kinds import DEFAULT_KIND, KINDS
from keystead.demo.story import Story
from keystead.dev import APPRAISAL, DevSettings
from keystead.model import Freshness

PLATFORM = "http://127.0.0.1:1"
SAID: Mapping[str, Mapping[str, Any]] = {
    "tpm2": {"ek": "host"},
    "oidc": {"platform": PLATFORM},
}
RESULTS: Mapping[str, Mapping[str, Any]] = {
    "tpm2": {
        "ear.status": "warning",
        "keystead.evidence": {
            "ek": "host",
            "pcrs": {"sha256": {"0": "00"}},
            "anchor_class": "emulated",
        },
        "keystead.residency": {
            "protection": "non-exportable",
            "hardware": False,
            "freshness": "challenged",
        },
    },
    "oidc": {
        "ear.status": "warning",
        "keystead.evidence": {
            "anchor": PLATFORM,
            "anchor_class": "identity-provider",
            "claims": {"repository_id": build_platform.REPOSITORY_ID},
        },
        "keystead.residency": {
            "protection": "none",
            "hardware": False,
            "freshness": "challenged",
        },
    },
}
EVIDENCE = "keystead.evidence"
RESIDENCY = "keystead.residency"
WRONG: list[tuple[str, str, Any]] = [
    ("tpm2", "ear.status", "affirming"),
    ("tpm2", EVIDENCE, {"ek": "another"}),
    ("tpm2", EVIDENCE, {"anchor_class": "tpm"}),
    ("tpm2", RESIDENCY, {"protection": "none"}),
    ("oidc", "ear.status", "affirming"),
    ("oidc", EVIDENCE, {"anchor": "http://127.0.0.1:2"}),
    ("oidc", EVIDENCE, {"anchor_class": "tee"}),
    ("oidc", EVIDENCE, {"claims": {"repository_id": "another"}}),
    ("oidc", RESIDENCY, {"protection": "measured-code"}),
    ("oidc", RESIDENCY, {"hardware": True}),
    ("oidc", RESIDENCY, {"freshness": "bearer"}),
]


def check(kind: str, result: Mapping[str, Any], *, challenged: bool = True, ek: str = "s") -> None:
    host = SimpleNamespace(said=SAID[kind])
    scene: Any = SimpleNamespace(
        story=Story(Console(file=StringIO())), stage=SimpleNamespace(host=host)
    )
    KINDS[kind].check_result(scene, dict(result), issuer_ek=ek, challenged=challenged)


@pytest.mark.parametrize("kind", KINDS)
def test_takes_the_result_that_it_is_about(kind: str) -> None:
    check(kind, RESULTS[kind])


@pytest.mark.parametrize(("kind", "name", "value"), WRONG)
def test_fails_for_another_result(kind: str, name: str, value: Any) -> None:
    said = RESULTS[kind][name]
    changed = {**said, **value} if isinstance(value, dict) else value
    with pytest.raises(StepFailed):
        check(kind, {**RESULTS[kind], name: changed})


@pytest.mark.parametrize("kind", KINDS)
def test_fails_for_a_result_of_no_challenge(kind: str) -> None:
    with pytest.raises(StepFailed):
        check(kind, RESULTS[kind], challenged=False)


def test_fails_where_the_hosts_ek_is_the_services() -> None:
    with pytest.raises(StepFailed, match="not the EK of the service"):
        check("tpm2", RESULTS["tpm2"], ek="host")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_listed_by_its_own_name_and_warns(kind: str) -> None:
    evidence: Evidence = KINDS[kind]
    assert evidence.kind.value == kind
    assert "EMULATED HARDWARE" in evidence.banner
    assert ("hardware", False) in [(each.name, each.value) for each in evidence.residency]
    assert DEFAULT_KIND == "tpm2"


def test_the_service_believes_the_stand_in_and_nobody_else() -> None:
    host: Any = SimpleNamespace(said=SAID["oidc"])
    settings = KINDS["oidc"].configure(DevSettings(http_port=1, grpc_port=2), host)
    policy = parse_policy(settings.appraisal.encode(), folder=Path("/nonexistent"))
    assert policy.kinds == {"oidc"}
    assert policy.oidc is not None
    assert list(policy.oidc.issuers) == [PLATFORM]
    assert policy.oidc.issuers[PLATFORM].freshness is Freshness.CHALLENGED
    assert settings.anchors == {}


def test_the_service_believes_tpms_of_the_hosts_manufacturer(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(b"a CA")
    host: Any = SimpleNamespace(said={"ca": str(tmp_path / "ca.pem")})
    settings = KINDS["tpm2"].configure(DevSettings(http_port=1, grpc_port=2), host)
    assert settings.anchors == {"host-ek-ca.pem": b"a CA"}
    assert settings.appraisal == APPRAISAL


def test_a_thief_whose_key_is_bound_fails_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keystead.agent.workload.Workload.attest", lambda workload: None)
    scene: Any = SimpleNamespace(
        story=Story(Console(file=StringIO())),
        stage=SimpleNamespace(server="127.0.0.1:1", issuer="http://127.0.0.1:2"),
    )
    with pytest.raises(StepFailed, match="was bound"):
        stolen_evidence.attack(scene)
