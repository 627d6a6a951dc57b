from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from keystead.appraisal import app_attest
from keystead.appraisal.result import AttestationResult
from keystead.binding.app_attest import bind_key, client_data_for
from keystead.binding.certified_key import CertifiedKey
from keystead.errors import BindingRejected, Reason
from keystead.evidence.app_attest import AppAttestEvidence
from keystead.jose.jwk import from_public_key
from keystead.model import EvidenceKind, Protection
from tests.app_attest_builder import Device
from tests.device_chains import NOW, curve_key

ISSUER = "https://issuer.example"
NONCE = b"\x4e" * 32
DEVICE = Device()
KEY = from_public_key(curve_key("workload", ec.SECP256R1).public_key())
OTHER = from_public_key(curve_key("other").public_key())
CLIENT_DATA = client_data_for(KEY, issuer=ISSUER, nonce=NONCE)
EVIDENCE = DEVICE.evidence(client_data=CLIENT_DATA)


def appraised(evidence: AppAttestEvidence, nonce: bytes | None = NONCE) -> AttestationResult:
    return app_attest.conclude(
        app_attest.appraise(evidence, policy=DEVICE.policy(), nonce=nonce, now=NOW)
    )


RESULT = appraised(EVIDENCE)


def bound(
    evidence: AppAttestEvidence = EVIDENCE, result: AttestationResult = RESULT, **changes: Any
) -> CertifiedKey:
    arguments: dict[str, Any] = {"key": KEY, "issuer": ISSUER, "nonce": NONCE} | changes
    return bind_key(evidence, result, **arguments)


def refusal(*arguments: Any, **named: Any) -> tuple[Reason, int | None]:
    with pytest.raises(BindingRejected) as refused:
        bound(*arguments, **named)
    return refused.value.reason, refused.value.step


def test_binds_the_key_that_the_client_data_name_and_claims_nothing_of_it() -> None:
    found = bound()
    assert (found.jkt, found.kind) == (KEY.thumbprint, EvidenceKind.APP_ATTEST)
    assert (found.attester, found.nonce) == (RESULT.attester, NONCE)
    assert found.protection is Protection.NONE


def test_step_9_the_result_is_of_this_attestation() -> None:
    # ECDSA makes every attestation another one.
    again = DEVICE.evidence(client_data=CLIENT_DATA)
    assert refusal(again) == (Reason.EVIDENCE_MISMATCH, 9)


def test_step_9_a_challenge_was_answered() -> None:
    assert refusal(EVIDENCE, appraised(EVIDENCE, None)) == (Reason.NONCE_MISMATCH, 9)
    assert refusal(nonce=bytes(32)) == (Reason.NONCE_MISMATCH, 9)


def test_step_10_no_other_key_or_issuer_is_bound() -> None:
    assert refusal(key=OTHER) == (Reason.KEY_MISMATCH, 10)
    assert refusal(issuer="https://other.example") == (Reason.KEY_MISMATCH, 10)
    longer = replace(EVIDENCE, client_data=CLIENT_DATA + b"\x00")
    assert refusal(longer) == (Reason.KEY_MISMATCH, 10)
