import ast
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import keystead.appraisal.result as module
from keystead.appraisal import tpm2 as appraisal
from keystead.appraisal.pcr_tables import boot_code_pinned
from keystead.appraisal.result import (
    EAR_TYP,
    AttestationResult,
    Tier,
    ear_claims,
    status,
    trustworthiness,
)
from keystead.codec import base64url, json
from keystead.model import AnchorClass, EvidenceKind, Jkt, Protection
from tests.evidence_builder import (
    NONCE,
    NOW,
    PCRS,
    SHA256,
    Dice,
    Host,
    anchor_set,
    appraisal_policy,
)

ISSUER = "https://issuer.example"
HOST = Host.make()


@dataclass(frozen=True)
class Key:
    jkt: Jkt
    protection: Protection = Protection.NON_EXPORTABLE


def result(anchor_class: AnchorClass = AnchorClass.TPM, **changes: Any) -> AttestationResult:
    policy = appraisal_policy(anchors=anchor_set(anchor_class), **changes)
    found = appraisal.appraise(HOST.evidence(), policy=policy, nonce=NONCE, now=NOW)
    activation = appraisal.begin_activation(found, entropy=Dice())
    secret = HOST.activate(activation.credential_blob, activation.encrypted_secret)
    return appraisal.conclude(found, activation=activation, returned_secret=secret)


def claims(of: AttestationResult, **changes: Any) -> dict[str, Any]:
    wanted: dict[str, Any] = {
        "issuer": ISSUER,
        "key": Key(Jkt("thumbprint")),
        "nonce": NONCE,
        "now": NOW + 1,
        "expires_at": NOW + 600,
    }
    return dict(ear_claims(of, **(wanted | changes)))


def test_says_what_was_appraised() -> None:
    found = claims(result())
    assert EAR_TYP == "ear+jwt"
    assert found["iss"] == ISSUER
    assert found["eat_profile"] == "tag:github.com,2023:veraison/ear"
    assert (found["iat"], found["exp"]) == (NOW + 1, NOW + 600)
    assert found["eat_nonce"] == base64url.encode(NONCE)
    assert found["cnf"] == {"jkt": "thumbprint"}
    assert set(found["ear.verifier-id"]) == {"developer", "build"}
    submodule = found["submods"]["tpm2"]
    assert submodule["ear.status"] == "affirming"
    assert submodule["ear.trustworthiness-vector"] == {"hardware": 2, "instance-identity": 2}
    assert submodule["ear.appraisal-policy-id"] == "test@3"
    assert submodule["keystead.residency"] == {
        "kind": "tpm2",
        "protection": "non-exportable",
        "hardware": True,
        "verified_at": NOW,
        "freshness": "challenged",
        "policy": "test@3",
    }
    assert submodule["keystead.evidence"]["pcrs"] == {"sha256": {"0": "11" * 32, "7": "77" * 32}}
    assert submodule["keystead.evidence"]["reset_count"] == 3


def test_is_json() -> None:
    found = claims(result())
    assert json.parse_object(json.encode(found)) == found


@pytest.mark.parametrize("anchor_class", [AnchorClass.EMULATED, AnchorClass.VIRTUAL_TPM])
def test_what_is_no_hardware_is_at_best_a_warning(anchor_class: AnchorClass) -> None:
    found = result(anchor_class)
    assert not found.hardware
    assert trustworthiness(found)["hardware"] == 32
    submodule = claims(found)["submods"]["tpm2"]
    assert submodule["ear.status"] == "warning"
    assert submodule["keystead.residency"]["hardware"] is False


def test_claims_the_boot_only_where_its_code_is_pinned() -> None:
    assert "executables" not in trustworthiness(result())
    values = {SHA256: {index: frozenset({bytes(32)}) for index in (0, 2, 4)}}
    assert boot_code_pinned(values)
    loose = {SHA256: {**values[SHA256], 4: None}}
    assert not boot_code_pinned(loose)
    assert not boot_code_pinned({})


def test_without_a_key_nothing_is_said_of_one() -> None:
    found = claims(result(), key=None, nonce=None)
    assert "cnf" not in found and "eat_nonce" not in found
    assert "keystead.residency" not in found["submods"]["tpm2"]


@pytest.mark.parametrize(
    ("vector", "tier"),
    [
        ({"hardware": 2}, Tier.AFFIRMING),
        ({"hardware": 2, "executables": 31}, Tier.AFFIRMING),
        ({"hardware": 2, "executables": 32}, Tier.WARNING),
        ({"hardware": 95}, Tier.WARNING),
        ({"hardware": 2, "executables": 96}, Tier.CONTRAINDICATED),
    ],
)
def test_the_status_is_that_of_the_worst_claim(vector: dict[str, int], tier: Tier) -> None:
    assert status(vector) is tier


def test_nobody_makes_a_result_without_the_appraisal() -> None:
    good = result()
    with pytest.raises((TypeError, ValueError)):
        replace(good, anchor_class=AnchorClass.TPM)
    fields = {name: getattr(good, name) for name in AttestationResult.__slots__}
    with pytest.raises(TypeError):
        AttestationResult(**fields, seal=object())


def users(*names: str) -> set[str]:
    source = Path(module.__file__).parent.parent
    return {
        str(path.relative_to(source))
        for path in source.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Name) and node.id in names)
        or (isinstance(node, ast.alias) and node.name in names)
    }


def test_only_appraisers_affirm_and_only_bindings_certify() -> None:
    kinds = [kind.value.replace("-", "_") for kind in EvidenceKind]
    assert users("affirmed") <= {
        "appraisal/app_attest_assertion.py",
        *(f"appraisal/{kind}.py" for kind in kinds),
    }
    assert users("affirmed_key") <= {
        "binding/certified_key.py",
        *(f"binding/{kind}.py" for kind in kinds),
    }
    assert users("_SEAL") == {"appraisal/result.py", "binding/certified_key.py"}


def test_the_quoted_values_are_what_came() -> None:
    assert result().pcrs["sha256"][0] == PCRS[SHA256][0].hex()
