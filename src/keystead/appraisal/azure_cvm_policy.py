"""What ``azure-cvm`` evidence has to show.

    [azure-cvm.required_pcrs]
    sha256 = [0, 2, 4, 7]
    [azure-cvm.pcr_values.sha256]
    0 = ["<64 hex digits>"]
    ...
    [azure-cvm.sev-snp]
    measurements = "any"
    id_key_digests = ["<96 hex digits>"]

``docs/evidence/azure-cvm.md`` has a row for each entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from keystead.appraisal.pcr_tables import (
    PcrReferences,
    PcrValueTables,
    RequiredPcrs,
    boot_code_pinned,
    pcr_references,
    required_selection,
)
from keystead.appraisal.policy_tables import DEFAULT_MAX_AGE_S, MaxAge, Table, empty
from keystead.appraisal.sev_snp_policy import SnpPolicy, SnpReportTable, snp_policy
from keystead.appraisal.tdx_policy import TdReportTable, TdxPolicy, td_report_policy
from keystead.codec.tpm2 import PcrSelection


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureCvmPolicy:
    """``sev_snp`` and ``tdx``: what the hardware has to show; None: no such machine is let in."""

    sev_snp: SnpPolicy | None = None
    tdx: TdxPolicy | None = None
    required_pcrs: PcrSelection
    pcr_values: PcrReferences
    max_age_s: int = DEFAULT_MAX_AGE_S

    @property
    def boot_pinned(self) -> bool:
        """Whether values are named for all boot code."""
        return boot_code_pinned(self.pcr_values)


class AzureCvmTable(Table, frozen=True):
    """``[azure-cvm]``."""

    sev_snp: SnpReportTable | None = msgspec.field(name="sev-snp", default=None)
    tdx: TdReportTable | None = None
    required_pcrs: RequiredPcrs = msgspec.field(default_factory=dict)
    pcr_values: PcrValueTables = msgspec.field(default_factory=dict)
    max_age_s: MaxAge = DEFAULT_MAX_AGE_S


def azure_cvm_policy(table: AzureCvmTable, folder: Path) -> AzureCvmPolicy:
    """The rules that ``table`` spells; ConfigurationError names the entry."""
    if table.sev_snp is None and table.tdx is None:
        raise empty("azure-cvm.sev-snp: no hardware has rules")
    required = required_selection(table.required_pcrs, "azure-cvm.required_pcrs")
    return AzureCvmPolicy(
        sev_snp=None
        if table.sev_snp is None
        else snp_policy(table.sev_snp, folder, path="azure-cvm.sev-snp", max_age_s=table.max_age_s),
        tdx=None
        if table.tdx is None
        else td_report_policy(table.tdx, folder, path="azure-cvm.tdx", max_age_s=table.max_age_s),
        required_pcrs=required,
        pcr_values=pcr_references(table.pcr_values, required=required, path="azure-cvm.pcr_values"),
        max_age_s=table.max_age_s,
    )
