"""The key that a workload named to Microsoft Azure Attestation, in steps after ``appraisal.maa``.

15. The result is of this token, and the token answered this challenge.
16. The client's nonce is the answer that names the key to bind; or it is the challenge's nonce
    alone, and the key stands among the runtime's ``keys``.

``measured-code`` is claimed only where the policy pins a guest's whole image, and never of one that
can be debugged. An Azure VM boots its disk through a measured paravisor: its launch measurement is
not the image's, so of VMs nothing is claimed.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from keystead.appraisal.result import AttestationResult
from keystead.binding.binding_hash import binding_hash
from keystead.binding.certified_key import CertifiedKey, affirmed_key
from keystead.codec.json import JSON
from keystead.errors import BindingRejected, KeysteadError, Reason
from keystead.evidence.challenge import NONCE_BYTES
from keystead.evidence.maa import MaaEvidence, client_nonce
from keystead.jose.jwk import PublicJwk, parse_public
from keystead.model import EvidenceKind, Freshness, Protection


def client_nonce_for(key: PublicJwk, *, issuer: str, nonce: bytes) -> str:
    """The ``nonce`` of the payload with which the workload asks for its token."""
    return client_nonce(nonce + _hash(key, issuer=issuer, nonce=nonce))


def bind_key(
    evidence: MaaEvidence,
    result: AttestationResult,
    *,
    key: PublicJwk,
    issuer: str,
    nonce: bytes,
) -> CertifiedKey:
    """Steps 15 and 16: ``key`` was named by what runs in the guest. BindingRejected."""
    check_same_evidence(evidence, result, nonce)
    check_key(evidence, key, issuer=issuer, nonce=nonce)
    return affirmed_key(
        key,
        kind=EvidenceKind.MAA,
        attester=result.attester,
        nonce=nonce,
        protection=Protection.MEASURED_CODE if result.boot_pinned else Protection.NONE,
    )


def check_same_evidence(evidence: MaaEvidence, result: AttestationResult, nonce: bytes) -> None:
    """Step 15."""
    if (result.kind, result.attester) != (EvidenceKind.MAA, evidence.token.id):
        raise BindingRejected(Reason.EVIDENCE_MISMATCH, "the result of another token", step=15)
    answered = hmac.compare_digest((evidence.answer or b"")[:NONCE_BYTES], nonce)
    if not answered or result.freshness is not Freshness.CHALLENGED:
        raise BindingRejected(Reason.NONCE_MISMATCH, "no challenge was answered", step=15)


def check_key(evidence: MaaEvidence, key: PublicJwk, *, issuer: str, nonce: bytes) -> None:
    """Step 16: an answer with a hash in it is about that key and no other."""
    hashed = (evidence.answer or b"")[NONCE_BYTES:]
    if hashed:
        named = hmac.compare_digest(hashed, _hash(key, issuer=issuer, nonce=nonce))
    else:
        named = any(_is(key, each) for each in evidence.claims.runtime_keys)
    if not named:
        raise BindingRejected(Reason.KEY_MISMATCH, "the token names another key", step=16)


def _is(key: PublicJwk, member: Mapping[str, JSON]) -> bool:
    """A key for encryption, as the service's own client puts there, signs nothing."""
    try:
        found = parse_public(member)
    except KeysteadError:
        return False
    signs = found.key_ops is None or bool({"sign", "verify"} & set(found.key_ops))
    return signs and found.use in (None, "sig") and found.thumbprint == key.thumbprint


def _hash(key: PublicJwk, *, issuer: str, nonce: bytes) -> bytes:
    return binding_hash(EvidenceKind.MAA, issuer=issuer, nonce=nonce, key=key)
