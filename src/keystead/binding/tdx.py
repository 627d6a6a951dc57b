"""The key that a quote names, in steps that continue ``appraisal.tdx``.

13. The result is of this quote, and was made for a challenge.
14. REPORTDATA is the binding hash of this key, this issuer and this challenge, then zeros.

``measured-code`` is claimed only where the policy says that its values cover all that runs in the
TD, and never of a TD that its host may debug or another TD may move: then only code that the policy
knows can have named the key.
"""

from __future__ import annotations

import hmac

from keystead.appraisal.result import AttestationResult
from keystead.appraisal.tdx import quote_id
from keystead.binding.binding_hash import binding_hash, padded
from keystead.binding.certified_key import CertifiedKey, affirmed_key
from keystead.codec.td_quote import TdQuote
from keystead.errors import BindingRejected, Reason
from keystead.evidence.tdx import TdxEvidence
from keystead.jose.jwk import PublicJwk
from keystead.model import EvidenceKind, Freshness, Protection


def bind_key(
    evidence: TdxEvidence,
    result: AttestationResult,
    *,
    key: PublicJwk,
    issuer: str,
    nonce: bytes,
) -> CertifiedKey:
    """Steps 13 and 14: ``key`` was named by what runs in the TD. BindingRejected."""
    check_same_evidence(evidence.quote, result)
    check_key(evidence.quote, key, issuer=issuer, nonce=nonce)
    return affirmed_key(
        key,
        kind=EvidenceKind.TDX,
        attester=result.attester,
        nonce=nonce,
        protection=Protection.MEASURED_CODE if result.boot_pinned else Protection.NONE,
    )


def check_same_evidence(quote: TdQuote, result: AttestationResult) -> None:
    """Step 13."""
    if (result.kind, result.attester) != (EvidenceKind.TDX, quote_id(quote)):
        raise BindingRejected(Reason.EVIDENCE_MISMATCH, "the result of another quote", step=13)
    if result.freshness is not Freshness.CHALLENGED:
        raise BindingRejected(Reason.NONCE_MISMATCH, "no challenge was answered", step=13)


def check_key(quote: TdQuote, key: PublicJwk, *, issuer: str, nonce: bytes) -> None:
    """Step 14: one hash says both that this key is meant and that this challenge was answered."""
    wanted = padded(binding_hash(EvidenceKind.TDX, issuer=issuer, nonce=nonce, key=key))
    if not hmac.compare_digest(quote.report.report_data, wanted):
        raise BindingRejected(
            Reason.KEY_MISMATCH, "REPORTDATA is of another key or challenge", step=14
        )
