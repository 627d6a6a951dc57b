"""The key that an attestation document names, in steps that continue ``appraisal.aws_nitro``.

 8. The result is of this document, and the document answered this challenge.
 9. Its ``public_key`` is the key to bind, or its ``user_data`` is the binding hash of that key.

``measured-code`` is claimed only of an enclave whose whole image the policy pins, and never in
debug mode: then only code that the policy knows can have named the key. NitroTPM's PCRs name a boot
loader and not a whole image, so for them nothing is claimed.
"""

from __future__ import annotations

import hmac

from keystead.appraisal.aws_nitro import document_id
from keystead.appraisal.result import AttestationResult
from keystead.binding.binding_hash import binding_hash
from keystead.binding.certified_key import CertifiedKey, affirmed_key
from keystead.codec.nitro import AttestationDocument, DocumentType
from keystead.errors import BindingRejected, Reason
from keystead.evidence.aws_nitro import NitroEvidence
from keystead.jose.jwk import PublicJwk
from keystead.model import EvidenceKind, Freshness, Protection


def bind_key(
    evidence: NitroEvidence,
    result: AttestationResult,
    *,
    key: PublicJwk,
    issuer: str,
    nonce: bytes,
) -> CertifiedKey:
    """Steps 8 and 9: ``key`` was named by what runs in the enclave. BindingRejected."""
    document = evidence.document
    check_same_evidence(document, result, nonce)
    check_key(document, key, issuer=issuer, nonce=nonce)
    return affirmed_key(
        key,
        kind=EvidenceKind.AWS_NITRO,
        attester=result.attester,
        nonce=nonce,
        protection=_protection(document, result),
    )


def check_same_evidence(
    document: AttestationDocument, result: AttestationResult, nonce: bytes
) -> None:
    """Step 8."""
    if (result.kind, result.attester) != (EvidenceKind.AWS_NITRO, document_id(document)):
        raise BindingRejected(Reason.EVIDENCE_MISMATCH, "the result of another document", step=8)
    answered = hmac.compare_digest(document.nonce or b"", nonce)
    if not answered or result.freshness is not Freshness.CHALLENGED:
        raise BindingRejected(Reason.NONCE_MISMATCH, "no challenge was answered", step=8)


def check_key(document: AttestationDocument, key: PublicJwk, *, issuer: str, nonce: bytes) -> None:
    """Step 9: ``user_data`` is for programs that need ``public_key`` for something else."""
    if hmac.compare_digest(document.public_key or b"", key.spki):
        return
    hashed = binding_hash(EvidenceKind.AWS_NITRO, issuer=issuer, nonce=nonce, key=key)
    if not hmac.compare_digest(document.user_data or b"", hashed):
        raise BindingRejected(Reason.KEY_MISMATCH, "the document names another key", step=9)


def _protection(document: AttestationDocument, result: AttestationResult) -> Protection:
    enclave = document.type is DocumentType.ENCLAVE
    return Protection.MEASURED_CODE if enclave and result.boot_pinned else Protection.NONE
