"""The kinds of evidence there are. To add one: a member of EvidenceKind, a parser, a row here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from keystead.errors import Malformed, Reason
from keystead.evidence import app_attest, aws_nitro, azure_cvm, maa, oidc, sev_snp, tdx, tpm2
from keystead.evidence.app_attest import AppAttestEvidence
from keystead.evidence.aws_nitro import NitroEvidence
from keystead.evidence.azure_cvm import AzureCvmEvidence
from keystead.evidence.envelope import Submission
from keystead.evidence.maa import MaaEvidence
from keystead.evidence.oidc import OidcEvidence
from keystead.evidence.sev_snp import SnpEvidence
from keystead.evidence.tdx import TdxEvidence
from keystead.evidence.tpm2 import Tpm2Evidence
from keystead.model import EvidenceKind

Evidence: TypeAlias = (
    Tpm2Evidence
    | NitroEvidence
    | AppAttestEvidence
    | SnpEvidence
    | TdxEvidence
    | OidcEvidence
    | MaaEvidence
    | AzureCvmEvidence
)
"""Parsed evidence of any kind."""

KINDS: Final[Mapping[EvidenceKind, Callable[[Submission], Evidence]]] = {
    EvidenceKind.TPM2: tpm2.parse,
    EvidenceKind.AWS_NITRO: aws_nitro.parse,
    EvidenceKind.APP_ATTEST: app_attest.parse,
    EvidenceKind.SEV_SNP: sev_snp.parse,
    EvidenceKind.TDX: tdx.parse,
    EvidenceKind.AZURE_CVM: azure_cvm.parse,
    EvidenceKind.OIDC: oidc.parse,
    EvidenceKind.MAA: maa.parse,
}


def parse(submission: Submission) -> Evidence:
    """The evidence of ``submission``, by the parser of its kind; ``Malformed``."""
    parser = KINDS.get(submission.kind)
    if parser is None:
        raise Malformed(Reason.KIND_UNSUPPORTED, f"no parser for {submission.kind}")
    return parser(submission)
