"""The key that an app's client data name, in steps that continue ``appraisal.app_attest``.

 9. The result is of this attestation, and the attestation answered this challenge.
10. Its client data are the challenge's nonce and, after it, the binding hash of the key to bind.

Nothing is claimed about where that key lives: App Attest proves which app asks, on a device of
Apple's, and the app may keep the key wherever it likes.
"""

from __future__ import annotations

import hmac

from keystead.appraisal.app_attest import attestation_id
from keystead.appraisal.app_attest_assertion import assertion_id
from keystead.appraisal.result import AttestationResult
from keystead.binding.binding_hash import binding_hash
from keystead.binding.certified_key import CertifiedKey, affirmed_key
from keystead.errors import BindingRejected, Reason
from keystead.evidence.app_attest import AppAssertionEvidence, AppAttestEvidence
from keystead.evidence.challenge import NONCE_BYTES
from keystead.jose.jwk import PublicJwk
from keystead.model import EvidenceKind, Freshness, Protection


def client_data_for(key: PublicJwk, *, issuer: str, nonce: bytes) -> bytes:
    """What the app has attested: 64 bytes, whose SHA-256 is App Attest's ``clientDataHash``."""
    return nonce + binding_hash(EvidenceKind.APP_ATTEST, issuer=issuer, nonce=nonce, key=key)


def bind_key(
    evidence: AppAttestEvidence | AppAssertionEvidence,
    result: AttestationResult,
    *,
    key: PublicJwk,
    issuer: str,
    nonce: bytes,
) -> CertifiedKey:
    """Steps 9 and 10: the app that is or was attested named ``key``. BindingRejected."""
    check_same_evidence(evidence, result, nonce)
    check_key(evidence, key, issuer=issuer, nonce=nonce)
    return affirmed_key(
        key,
        kind=EvidenceKind.APP_ATTEST,
        attester=result.attester,
        nonce=nonce,
        protection=Protection.NONE,
    )


def check_same_evidence(
    evidence: AppAttestEvidence | AppAssertionEvidence, result: AttestationResult, nonce: bytes
) -> None:
    """Step 9."""
    if isinstance(evidence, AppAttestEvidence):
        id = attestation_id(evidence.attestation)
    else:
        id = assertion_id(evidence.assertion)
    expected = (EvidenceKind.APP_ATTEST, id)
    if (result.kind, result.attester) != expected:
        raise BindingRejected(Reason.EVIDENCE_MISMATCH, "another attestation's result", step=9)
    answered = hmac.compare_digest(evidence.client_data[:NONCE_BYTES], nonce)
    if not answered or result.freshness is not Freshness.CHALLENGED:
        raise BindingRejected(Reason.NONCE_MISMATCH, "no challenge was answered", step=9)


def check_key(
    evidence: AppAttestEvidence | AppAssertionEvidence,
    key: PublicJwk,
    *,
    issuer: str,
    nonce: bytes,
) -> None:
    """Step 10: ``client_data`` is bound by step 3 of the appraisal, or step 16 of an assertion."""
    if not hmac.compare_digest(
        evidence.client_data, client_data_for(key, issuer=issuer, nonce=nonce)
    ):
        raise BindingRejected(Reason.KEY_MISMATCH, "the client data name another key", step=10)
