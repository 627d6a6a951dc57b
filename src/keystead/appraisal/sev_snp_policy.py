"""What ``sev-snp`` evidence has to show.

    [sev-snp]
    measurements = ["<96 hex digits>"]

    [sev-snp.minimum_tcb.Milan]
    boot_loader = 4
    tee = 0
    snp = 24
    microcode = 219

``docs/evidence/sev-snp.md`` has a row for each entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from keystead.appraisal.amd_chain import AmdPath, build_amd_path
from keystead.appraisal.chain_cache import PathCache
from keystead.appraisal.policy_tables import (
    DEFAULT_MAX_AGE_S,
    FilePath,
    HexValues,
    MaxAge,
    Table,
    TeeAnchorTable,
    empty,
    reference_values,
    tee_anchors,
    wrong,
)
from keystead.appraisal.revocation_lists import load_revocation_list
from keystead.codec.snp import (
    HOST_DATA_BYTES,
    ID_KEY_DIGEST_BYTES,
    MEASUREMENT_BYTES,
    Product,
    TcbVersion,
)
from keystead.model import EvidenceKind

MAX_VMPL: Final = 3
"""The least privileged level of a guest; a host's own reports say another number."""

# One a root and kind of signing key, with some to spare.
_MAX_REVOCATION_LISTS: Final = 16

_SecurityVersion = Annotated[int, Meta(ge=0, le=255)]
_Paths = Annotated[
    list[FilePath],
    Meta(max_length=_MAX_REVOCATION_LISTS),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SnpPolicy:
    """Values are the allowed ones, or None where the policy says "any".

    ``minimum_tcb`` has each product that is allowed, or is None where any TCB of any product is.
    ``whole_image``: the operator's word that the measurement covers all that runs in the guest.
    """

    measurements: frozenset[bytes] | None
    whole_image: bool = False
    host_data: frozenset[bytes] | None = None
    id_key_digests: frozenset[bytes] | None = None
    author_key_digests: frozenset[bytes] | None = None
    minimum_tcb: Mapping[Product, TcbVersion] | None
    max_vmpl: int = 0
    allow_debug: bool = False
    allow_migration_agent: bool = False
    max_age_s: int = DEFAULT_MAX_AGE_S
    chains: PathCache[AmdPath] = field(repr=False, compare=False)

    @property
    def code_pinned(self) -> bool:
        """Whether only a guest whose start the policy knows is let in."""
        return self.measurements is not None or self.id_key_digests is not None


class TcbTable(Table, frozen=True):
    """The least security version of each part of the firmware."""

    boot_loader: _SecurityVersion
    tee: _SecurityVersion
    snp: _SecurityVersion
    microcode: _SecurityVersion
    fmc: _SecurityVersion | None = None


class SnpReportTable(Table, frozen=True):
    """What a report has to show, alone or as a part of other evidence."""

    pinned_anchors: bool = True
    anchors: list[TeeAnchorTable] = msgspec.field(default_factory=list)
    revocation_lists: _Paths = msgspec.field(default_factory=list)
    measurements: HexValues = msgspec.field(default_factory=list)
    whole_image: bool = False
    host_data: HexValues = "any"
    id_key_digests: HexValues = "any"
    author_key_digests: HexValues = "any"
    minimum_tcb: dict[Literal["Milan", "Genoa", "Turin"], TcbTable] | Literal["any"] = (
        msgspec.field(default_factory=dict)
    )
    max_vmpl: Annotated[int, Meta(ge=0, le=MAX_VMPL)] = 0
    allow_debug: bool = False
    allow_migration_agent: bool = False


class SnpTable(SnpReportTable, frozen=True):
    """``[sev-snp]``."""

    max_age_s: MaxAge = DEFAULT_MAX_AGE_S


def snp_policy(
    table: SnpReportTable, folder: Path, *, max_age_s: int, path: str = "sev-snp"
) -> SnpPolicy:
    """The rules that ``table`` spells; ConfigurationError names the entry, below ``path``."""
    if table.whole_image and table.measurements == "any":
        raise wrong(f"{path}.whole_image: says nothing where measurements are any")
    return SnpPolicy(
        measurements=reference_values(
            table.measurements, size_bytes=MEASUREMENT_BYTES, path=f"{path}.measurements"
        ),
        whole_image=table.whole_image,
        host_data=reference_values(
            table.host_data, size_bytes=HOST_DATA_BYTES, path=f"{path}.host_data"
        ),
        id_key_digests=reference_values(
            table.id_key_digests, size_bytes=ID_KEY_DIGEST_BYTES, path=f"{path}.id_key_digests"
        ),
        author_key_digests=reference_values(
            table.author_key_digests,
            size_bytes=ID_KEY_DIGEST_BYTES,
            path=f"{path}.author_key_digests",
        ),
        minimum_tcb=_minimum_tcb(table, f"{path}.minimum_tcb"),
        max_vmpl=table.max_vmpl,
        allow_debug=table.allow_debug,
        allow_migration_agent=table.allow_migration_agent,
        max_age_s=max_age_s,
        chains=_chains(table, folder),
    )


def _chains(table: SnpReportTable, folder: Path) -> PathCache[AmdPath]:
    anchors = tee_anchors(
        EvidenceKind.SEV_SNP, table.anchors, pinned=table.pinned_anchors, folder=folder
    )
    revocations = [load_revocation_list(folder / each) for each in table.revocation_lists]
    return PathCache(partial(build_amd_path, anchors=anchors, revocations=tuple(revocations)))


def _minimum_tcb(table: SnpReportTable, path: str) -> dict[Product, TcbVersion] | None:
    if isinstance(table.minimum_tcb, str):
        return None
    if not table.minimum_tcb:
        raise empty(f'{path}: expected a table for each product, or "any" written out')
    return {
        (product := Product(name)): _tcb(each, product, f"{path}.{name}")
        for name, each in table.minimum_tcb.items()
    }


def _tcb(table: TcbTable, product: Product, path: str) -> TcbVersion:
    """FMC is a part of Turin's firmware alone."""
    if (table.fmc is None) == (product is Product.TURIN):
        raise wrong(f"{path}.fmc: a number for Turin, and no entry for any other product")
    return TcbVersion(
        boot_loader=table.boot_loader,
        tee=table.tee,
        snp=table.snp,
        microcode=table.microcode,
        fmc=table.fmc or 0,
    )
