"""Appraisal of saved evidence of any kind: one row a kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from keystead.appraisal import app_attest, aws_nitro, sev_snp, tpm2
from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.result import AttestationResult
from keystead.errors import Malformed, Reason
from keystead.evidence import app_attest as app_attest_evidence
from keystead.evidence import aws_nitro as aws_nitro_evidence
from keystead.evidence import sev_snp as sev_snp_evidence
from keystead.evidence import tpm2 as tpm2_evidence
from keystead.evidence.envelope import Submission
from keystead.model import EvidenceKind

Appraiser = Callable[[Submission, AppraisalPolicy, int], AttestationResult]


def _saved_tpm2(submission: Submission, policy: AppraisalPolicy, now: int) -> AttestationResult:
    evidence = tpm2_evidence.parse(submission)
    return tpm2.conclude_by_ak_certificate(
        tpm2.appraise(evidence, policy=policy, nonce=None, now=now)
    )


def _saved_aws_nitro(
    submission: Submission, policy: AppraisalPolicy, now: int
) -> AttestationResult:
    evidence = aws_nitro_evidence.parse(submission)
    return aws_nitro.conclude(aws_nitro.appraise(evidence, policy=policy, nonce=None, now=now))


def _saved_app_attest(
    submission: Submission, policy: AppraisalPolicy, now: int
) -> AttestationResult:
    evidence = app_attest_evidence.parse(submission)
    return app_attest.conclude(app_attest.appraise(evidence, policy=policy, nonce=None, now=now))


def _saved_sev_snp(submission: Submission, policy: AppraisalPolicy, now: int) -> AttestationResult:
    evidence = sev_snp_evidence.parse(submission)
    return sev_snp.conclude(sev_snp.appraise(evidence, policy=policy, nonce=None, now=now))


SAVED: Final[Mapping[EvidenceKind, Appraiser]] = {
    EvidenceKind.TPM2: _saved_tpm2,
    EvidenceKind.AWS_NITRO: _saved_aws_nitro,
    EvidenceKind.APP_ATTEST: _saved_app_attest,
    EvidenceKind.SEV_SNP: _saved_sev_snp,
}
"""How saved evidence of each kind is appraised, with nobody left to ask."""


def appraise_saved(
    submission: Submission, *, policy: AppraisalPolicy, now: int
) -> AttestationResult:
    """What saved evidence shows by itself, at ``now``; nothing is bound by it.

    Raises Malformed, or EvidenceRejected with the reason and the number of the step; for ``tpm2``
    without a trusted AK certificate always, with ak_not_bound_to_ek once all else has passed.
    """
    appraiser = SAVED.get(submission.kind)
    if appraiser is None:
        raise Malformed(Reason.KIND_UNSUPPORTED, f"kind {submission.kind}")
    return appraiser(submission, policy, now)
