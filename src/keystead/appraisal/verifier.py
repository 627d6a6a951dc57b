"""Appraisal of any kind of evidence: one row a kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from keystead.appraisal import tpm2
from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.result import AttestationResult
from keystead.errors import EvidenceRejected, Reason
from keystead.evidence import kinds
from keystead.evidence.envelope import Submission
from keystead.evidence.kinds import Evidence
from keystead.model import EvidenceKind

Appraiser = Callable[[Evidence, AppraisalPolicy, int], AttestationResult]


def _saved_tpm2(evidence: Evidence, policy: AppraisalPolicy, now: int) -> AttestationResult:
    return tpm2.conclude_by_ak_certificate(
        tpm2.appraise(evidence, policy=policy, nonce=None, now=now)
    )


SAVED: Final[Mapping[EvidenceKind, Appraiser]] = {
    EvidenceKind.TPM2: _saved_tpm2,
}
"""How saved evidence of each kind is appraised, with nobody left to ask."""


def appraise_saved(
    submission: Submission, *, policy: AppraisalPolicy, now: int
) -> AttestationResult:
    """What saved evidence shows by itself, at ``now``; nothing is bound by it.

    Raises Malformed, or EvidenceRejected with the reason and the number of the step; for ``tpm2``
    without a trusted AK certificate always, with ak_not_bound_to_ek once all else has passed.
    """
    evidence = kinds.parse(submission)
    appraiser = SAVED.get(submission.kind)
    if appraiser is None:
        raise EvidenceRejected(Reason.KIND_UNSUPPORTED, f"no appraiser for {submission.kind}")
    return appraiser(evidence, policy, now)
