"""The key that a workload named to Microsoft Azure Attestation."""

from typing import Any

import pytest

from keystead.appraisal import maa
from keystead.appraisal.result import AttestationResult
from keystead.binding.maa import bind_key, client_nonce_for
from keystead.codec import base64url
from keystead.errors import BindingRejected, Reason
from keystead.evidence.maa import MaaEvidence
from keystead.model import EvidenceKind, Protection
from tests.jose_keys import public_jwk
from tests.workload_tokens import (
    INSTANCE,
    KEY,
    MAA_RULES,
    NONCE,
    NOW,
    OTHER_KEY,
    SERVICE,
    client_payload,
    issuer_keys,
    maa_claims,
    maa_evidence,
    maa_policy,
    maa_token,
)

NONCE_ALONE = client_payload(base64url.encode(NONCE))
BARE = MAA_RULES + 'attestation_type = "sevsnpvm"\n'


def appraised(
    rules: str = MAA_RULES, *, nonce: bytes | None = NONCE, **claims: Any
) -> tuple[MaaEvidence, AttestationResult]:
    evidence = maa_evidence(maa_token(maa_claims(**claims)))
    found = maa.appraise(
        evidence,
        policy=maa_policy(rules),
        nonce=nonce,
        now=NOW,
        keys={INSTANCE: issuer_keys()},
    )
    return evidence, maa.conclude(found)


def bind(evidence: MaaEvidence, result: AttestationResult, **changes: Any) -> Any:
    arguments: dict[str, Any] = {"key": KEY, "issuer": SERVICE, "nonce": NONCE} | changes
    return bind_key(evidence, result, **arguments)


def refusal(
    evidence: MaaEvidence, result: AttestationResult, **changes: Any
) -> tuple[Reason, int | None]:
    with pytest.raises(BindingRejected) as refused:
        bind(evidence, result, **changes)
    return refused.value.reason, refused.value.step


def runtime(*keys: object) -> dict[str, Any]:
    return {"x-ms-runtime": {**NONCE_ALONE, "keys": list(keys)}}


def test_binds_the_key_that_the_clients_nonce_names() -> None:
    evidence, result = appraised()
    certified = bind(evidence, result)
    assert (certified.jkt, certified.kind) == (KEY.thumbprint, EvidenceKind.MAA)
    assert certified.attester == result.attester and certified.nonce == NONCE
    assert len(client_nonce_for(KEY, issuer=SERVICE, nonce=NONCE)) == 86


def test_nothing_is_claimed_of_a_vm_whose_disk_nobody_measured() -> None:
    assert bind(*appraised()).protection is Protection.NONE


def test_measured_code_is_claimed_where_the_policy_pins_the_whole_image() -> None:
    pinned = appraised(BARE + "whole_image = true", vm=False)
    assert bind(*pinned).protection is Protection.MEASURED_CODE
    assert bind(*appraised(BARE, vm=False)).protection is Protection.NONE


def test_binds_a_key_among_the_runtimes_keys() -> None:
    other = public_jwk("RS256", "tpm").to_dict() | {"key_ops": ["encrypt"]}
    evidence, result = appraised(**runtime(other, KEY.to_dict()))
    assert bind(evidence, result).jkt == KEY.thumbprint
    assert refusal(evidence, result, key=OTHER_KEY) == (Reason.KEY_MISMATCH, 16)


@pytest.mark.parametrize(
    "member",
    [
        {**KEY.to_dict(), "key_ops": ["encrypt"]},
        {**KEY.to_dict(), "use": "enc"},
        {**KEY.to_dict(), "x": "AA"},
        {},
    ],
)
def test_key_for_something_else_is_not_the_one(member: dict[str, Any]) -> None:
    assert refusal(*appraised(**runtime(member))) == (Reason.KEY_MISMATCH, 16)


def test_answer_with_a_hash_is_about_that_key_and_no_other() -> None:
    answer = client_payload(client_nonce_for(OTHER_KEY, issuer=SERVICE, nonce=NONCE))
    claims = {"x-ms-runtime": {**answer, "keys": [KEY.to_dict()]}}
    assert refusal(*appraised(**claims)) == (Reason.KEY_MISMATCH, 16)


def test_rejects_another_key_service_or_challenge() -> None:
    evidence, result = appraised()
    assert refusal(evidence, result, key=OTHER_KEY) == (Reason.KEY_MISMATCH, 16)
    assert refusal(evidence, result, issuer="https://b.example") == (Reason.KEY_MISMATCH, 16)
    assert refusal(evidence, result, nonce=b"\x4f" * 32) == (Reason.NONCE_MISMATCH, 15)


def test_rejects_the_result_of_another_token() -> None:
    evidence, _ = appraised()
    _, result = appraised(jti="other")
    assert refusal(evidence, result) == (Reason.EVIDENCE_MISMATCH, 15)


def test_saved_token_binds_nothing() -> None:
    assert refusal(*appraised(nonce=None)) == (Reason.NONCE_MISMATCH, 15)
