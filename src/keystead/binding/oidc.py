"""The key that a workload's token is for, in steps that continue ``appraisal.oidc``.

10. The result is of this token, and the token answered this challenge where its audience may.
11. Its audience is the answer that names the key to bind.

A token whose audience the workload does not choose names no key: whoever holds it binds a key of
their own. That is why it has to be young, is taken once, and is called ``bearer``. Nothing is
claimed about where any of these keys live.
"""

from __future__ import annotations

import hmac

from keystead.appraisal.result import AttestationResult
from keystead.binding.binding_hash import binding_hash
from keystead.binding.certified_key import CertifiedKey, affirmed_key
from keystead.errors import BindingRejected, Reason
from keystead.evidence.oidc import OidcEvidence, answer_of, audience
from keystead.jose.jwk import PublicJwk
from keystead.model import EvidenceKind, Freshness, Protection


def audience_for(key: PublicJwk, *, issuer: str, nonce: bytes) -> str:
    """What the workload asks its platform to make the audience, to have ``key`` bound."""
    return audience(nonce + binding_hash(EvidenceKind.OIDC, issuer=issuer, nonce=nonce, key=key))


def bind_key(
    evidence: OidcEvidence,
    result: AttestationResult,
    *,
    key: PublicJwk,
    issuer: str,
    nonce: bytes,
) -> CertifiedKey:
    """Steps 10 and 11: ``key`` is the workload's, or its bearer's. BindingRejected.

    ``issuer`` is this service. Before a ``bearer`` result binds anything, the store has to have
    taken the appraisal's ``single_use``.
    """
    check_same_evidence(evidence, result)
    check_key(evidence, result, key, issuer=issuer, nonce=nonce)
    return affirmed_key(
        key,
        kind=EvidenceKind.OIDC,
        attester=result.attester,
        nonce=nonce,
        protection=Protection.NONE,
    )


def check_same_evidence(evidence: OidcEvidence, result: AttestationResult) -> None:
    """Step 10: an answer that was only looked at, without its challenge, binds nothing."""
    token = evidence.token
    if (result.kind, result.attester) != (EvidenceKind.OIDC, token.id):
        raise BindingRejected(Reason.EVIDENCE_MISMATCH, "the result of another token", step=10)
    answers = any(answer_of(each) is not None for each in token.audience)
    if answers is not (result.freshness is Freshness.CHALLENGED):
        raise BindingRejected(Reason.NONCE_MISMATCH, "no challenge was answered", step=10)


def check_key(
    evidence: OidcEvidence, result: AttestationResult, key: PublicJwk, *, issuer: str, nonce: bytes
) -> None:
    """Step 11."""
    if result.freshness is Freshness.BEARER:
        return
    wanted = audience_for(key, issuer=issuer, nonce=nonce)
    if len(evidence.token.audience) != 1 or not hmac.compare_digest(
        evidence.token.audience[0].encode(), wanted.encode()
    ):
        raise BindingRejected(Reason.KEY_MISMATCH, "the token is for another key", step=11)
