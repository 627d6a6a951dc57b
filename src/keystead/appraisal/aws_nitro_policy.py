"""What ``aws-nitro`` evidence has to show.

    [aws-nitro]
    [aws-nitro.pcrs]
    0 = ["<96 hex digits>"]
    8 = "any"

``docs/evidence/aws-nitro.md`` has a row for each entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from keystead.appraisal.chain_cache import ChainCache
from keystead.appraisal.policy_tables import (
    DEFAULT_MAX_AGE_S,
    HexValues,
    MaxAge,
    Table,
    TeeAnchorTable,
    empty,
    reference_values,
    tee_anchors,
    wrong,
)
from keystead.codec.nitro import PCR_BYTES, PCR_COUNT, DocumentType
from keystead.model import EvidenceKind

DEFAULT_MAX_DOCUMENT_AGE_S: Final = 300
"""A document answers a challenge within seconds; this is for saved ones, and for slow clocks."""
# Leaf certificates live three hours.
_MAX_DOCUMENT_AGE_S: Final = 3 * 3_600

IMAGE_PCRS: Final[Mapping[DocumentType, frozenset[int]]] = {
    DocumentType.ENCLAVE: frozenset({0}),
    DocumentType.NITROTPM: frozenset({4, 7}),
}
"""PCR 0 of an enclave is its whole image. An instance boots through firmware: its PCRs 4 and 7 are
the boot loader and Secure Boot, which pin what follows only where the boot loader does."""

ZERO_PCR: Final = bytes(PCR_BYTES)
_INDEXES: Final = {str(index): index for index in range(PCR_COUNT)}


@dataclass(frozen=True, slots=True, kw_only=True)
class NitroPolicy:
    """``pcrs`` has every required PCR: its allowed values, or None where the policy says "any"."""

    document: DocumentType
    pcrs: Mapping[int, frozenset[bytes] | None]
    allow_debug: bool = False
    max_document_age_s: int = DEFAULT_MAX_DOCUMENT_AGE_S
    max_age_s: int = DEFAULT_MAX_AGE_S
    chains: ChainCache = field(repr=False, compare=False)

    @property
    def image_pinned(self) -> bool:
        """Whether the policy names values for all of ``IMAGE_PCRS``."""
        return all(self.pcrs.get(index) is not None for index in IMAGE_PCRS[self.document])


class NitroTable(Table, frozen=True):
    """``[aws-nitro]``."""

    document: Literal["enclave", "nitrotpm"] = "enclave"
    pinned_anchors: bool = True
    anchors: list[TeeAnchorTable] = msgspec.field(default_factory=list)
    pcrs: dict[str, HexValues] = msgspec.field(default_factory=dict)
    allow_debug: bool = False
    max_document_age_s: Annotated[int, Meta(ge=1, le=_MAX_DOCUMENT_AGE_S)] = (
        DEFAULT_MAX_DOCUMENT_AGE_S
    )
    max_age_s: MaxAge = DEFAULT_MAX_AGE_S


def nitro_policy(table: NitroTable, folder: Path) -> NitroPolicy:
    """The rules that ``table`` spells; ConfigurationError names the entry."""
    document = DocumentType(table.document)
    anchors = tee_anchors(
        EvidenceKind.AWS_NITRO, table.anchors, pinned=table.pinned_anchors, folder=folder
    )
    return NitroPolicy(
        document=document,
        pcrs=_pcrs(table, document),
        allow_debug=table.allow_debug,
        max_document_age_s=table.max_document_age_s,
        max_age_s=table.max_age_s,
        chains=ChainCache(anchors),
    )


def _pcrs(table: NitroTable, document: DocumentType) -> dict[int, frozenset[bytes] | None]:
    found = {}
    for text, value in table.pcrs.items():
        path = f"aws-nitro.pcrs.{text}"
        if text not in _INDEXES:
            raise wrong(f"{path}: expected the number of a PCR, 0 to {PCR_COUNT - 1}")
        found[_INDEXES[text]] = reference_values(value, size_bytes=PCR_BYTES, path=path)
    for index in sorted(IMAGE_PCRS[document] - found.keys()):
        raise empty(f'aws-nitro.pcrs.{index}: expected values, or "any" written out')
    if not table.allow_debug and document is DocumentType.ENCLAVE and ZERO_PCR in (found[0] or ()):
        raise wrong("aws-nitro.pcrs.0: all zeros is debug mode, which allow_debug does not allow")
    return found
