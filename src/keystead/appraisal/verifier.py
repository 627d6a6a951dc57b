"""Appraisal of saved evidence of any kind: one row a kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from keystead.appraisal import app_attest, aws_nitro, azure_cvm, maa, oidc, sev_snp, tdx, tpm2
from keystead.appraisal.issuer_keys import NO_KEYS, IssuerKeys
from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.result import AttestationResult
from keystead.errors import Malformed, Reason
from keystead.evidence import app_attest as app_attest_evidence
from keystead.evidence import aws_nitro as aws_nitro_evidence
from keystead.evidence import azure_cvm as azure_cvm_evidence
from keystead.evidence import maa as maa_evidence
from keystead.evidence import oidc as oidc_evidence
from keystead.evidence import sev_snp as sev_snp_evidence
from keystead.evidence import tdx as tdx_evidence
from keystead.evidence import tpm2 as tpm2_evidence
from keystead.evidence.envelope import Submission
from keystead.model import EvidenceKind

Appraiser = Callable[[Submission, AppraisalPolicy, int], AttestationResult]
TokenAppraiser = Callable[[Submission, AppraisalPolicy, int, IssuerKeys], AttestationResult]


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


def _saved_tdx(submission: Submission, policy: AppraisalPolicy, now: int) -> AttestationResult:
    evidence = tdx_evidence.parse(submission)
    return tdx.conclude(tdx.appraise(evidence, policy=policy, nonce=None, now=now))


def _saved_oidc(
    submission: Submission, policy: AppraisalPolicy, now: int, keys: IssuerKeys
) -> AttestationResult:
    evidence = oidc_evidence.parse(submission)
    return oidc.conclude(oidc.appraise(evidence, policy=policy, nonce=None, now=now, keys=keys))


def _saved_maa(
    submission: Submission, policy: AppraisalPolicy, now: int, keys: IssuerKeys
) -> AttestationResult:
    evidence = maa_evidence.parse(submission)
    return maa.conclude(maa.appraise(evidence, policy=policy, nonce=None, now=now, keys=keys))


def _saved_azure_cvm(
    submission: Submission, policy: AppraisalPolicy, now: int
) -> AttestationResult:
    evidence = azure_cvm_evidence.parse(submission)
    return azure_cvm.conclude(azure_cvm.appraise(evidence, policy=policy, nonce=None, now=now))


SAVED: Final[Mapping[EvidenceKind, Appraiser]] = {
    EvidenceKind.TPM2: _saved_tpm2,
    EvidenceKind.AWS_NITRO: _saved_aws_nitro,
    EvidenceKind.APP_ATTEST: _saved_app_attest,
    EvidenceKind.SEV_SNP: _saved_sev_snp,
    EvidenceKind.TDX: _saved_tdx,
    EvidenceKind.AZURE_CVM: _saved_azure_cvm,
}
"""How saved evidence of each kind is appraised, with nobody left to ask."""

SAVED_TOKENS: Final[Mapping[EvidenceKind, TokenAppraiser]] = {
    EvidenceKind.OIDC: _saved_oidc,
    EvidenceKind.MAA: _saved_maa,
}
"""The same for kinds that are one token, whose issuers' keys may stand at an URL."""


def appraise_saved(
    submission: Submission, *, policy: AppraisalPolicy, now: int, keys: IssuerKeys = NO_KEYS
) -> AttestationResult:
    """What saved evidence shows by itself, at ``now``; nothing is bound by it.

    ``keys`` are those of token issuers whose keys the policy does not have in files.
    Raises Malformed, or EvidenceRejected with the reason and the number of the step; for ``tpm2``
    without a trusted AK certificate always, with ak_not_bound_to_ek once all else has passed.
    """
    by_keys = SAVED_TOKENS.get(submission.kind)
    if by_keys is not None:
        return by_keys(submission, policy, now, keys)
    appraiser = SAVED.get(submission.kind)
    if appraiser is None:
        raise Malformed(Reason.KIND_UNSUPPORTED, f"kind {submission.kind}")
    return appraiser(submission, policy, now)
