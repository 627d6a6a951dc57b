"""The key that a report names, in steps that continue ``appraisal.sev_snp``.

12. The result is of this report, and was made for a challenge.
13. REPORT_DATA is the binding hash of this key, this issuer and this challenge, then zeros.

``measured-code`` is claimed only where the policy says that the measurement covers all that runs in
the guest, and never of a guest that its host may debug or hand on: then only code that the policy
knows can have named the key.
"""

from __future__ import annotations

import hmac

from keystead.appraisal.result import AttestationResult
from keystead.appraisal.sev_snp import report_id
from keystead.binding.binding_hash import binding_hash, padded
from keystead.binding.certified_key import CertifiedKey, affirmed_key
from keystead.codec.snp import SnpReport
from keystead.errors import BindingRejected, Reason
from keystead.evidence.sev_snp import SnpEvidence
from keystead.jose.jwk import PublicJwk
from keystead.model import EvidenceKind, Freshness, Protection


def bind_key(
    evidence: SnpEvidence,
    result: AttestationResult,
    *,
    key: PublicJwk,
    issuer: str,
    nonce: bytes,
) -> CertifiedKey:
    """Steps 12 and 13: ``key`` was named by what runs in the guest. BindingRejected."""
    check_same_evidence(evidence.report, result)
    check_key(evidence.report, key, issuer=issuer, nonce=nonce)
    return affirmed_key(
        key,
        kind=EvidenceKind.SEV_SNP,
        attester=result.attester,
        nonce=nonce,
        protection=Protection.MEASURED_CODE if result.boot_pinned else Protection.NONE,
    )


def check_same_evidence(report: SnpReport, result: AttestationResult) -> None:
    """Step 12."""
    if (result.kind, result.attester) != (EvidenceKind.SEV_SNP, report_id(report)):
        raise BindingRejected(Reason.EVIDENCE_MISMATCH, "the result of another report", step=12)
    if result.freshness is not Freshness.CHALLENGED:
        raise BindingRejected(Reason.NONCE_MISMATCH, "no challenge was answered", step=12)


def check_key(report: SnpReport, key: PublicJwk, *, issuer: str, nonce: bytes) -> None:
    """Step 13: one hash says both that this key is meant and that this challenge was answered."""
    wanted = padded(binding_hash(EvidenceKind.SEV_SNP, issuer=issuer, nonce=nonce, key=key))
    if not hmac.compare_digest(report.report_data, wanted):
        raise BindingRejected(
            Reason.KEY_MISMATCH, "REPORT_DATA is of another key or challenge", step=13
        )
