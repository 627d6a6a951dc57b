"""What ``tdx`` evidence has to show.

    [tdx]
    minimum_tcb_evaluation = 17
    mrtd = ["<96 hex digits>"]
    mrconfigid = "any"
    mrowner = "any"
    mrownerconfig = "any"
    rtmr0 = "any"
    rtmr1 = ["<96 hex digits>"]
    rtmr2 = ["<96 hex digits>"]
    rtmr3 = "any"

``docs/evidence/tdx.md`` has a row for each entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from keystead.appraisal.dcap_memory import DcapMemory
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
from keystead.codec.tcb_info import TcbStatus
from keystead.codec.td_quote import REGISTER_BYTES, RTMRS
from keystead.model import EvidenceKind

CODE: Final = ("mrtd", *(f"rtmr{index}" for index in range(RTMRS)))
"""What is measured: the firmware before the start, then what each register was extended with."""
NAMED: Final = ("mrconfigid", "mrowner", "mrownerconfig", "mrseam", "mrsignerseam")
"""What the host named at the start, and the TDX module, whose signer TCB info names as well."""

_Status = Literal[
    "UpToDate",
    "SWHardeningNeeded",
    "ConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded",
    "OutOfDate",
    "OutOfDateConfigurationNeeded",
]
_Advisory = Annotated[str, Meta(pattern="^INTEL-(SA|DOC)-[0-9]{5}$")]
_Evaluation = Annotated[int, Meta(ge=0, lt=1 << 31)]
_Rtmr = Annotated[int, Meta(ge=0, lt=RTMRS)]


@dataclass(frozen=True, slots=True, kw_only=True)
class TdLogRules:
    """``rtmrs``: which registers a log has to explain, where one is required or came."""

    required: bool = False
    rtmrs: frozenset[int] = frozenset(range(RTMRS))


@dataclass(frozen=True, slots=True, kw_only=True)
class TdxPolicy:
    """``memory`` has the anchors.

    ``values`` has each name of ``CODE`` and ``NAMED``: what is allowed, or None for "any".
    ``minimum_tcb_evaluation`` and ``advisories`` are None where the policy says "any".
    ``whole_image``: the operator's word that the named values cover all that runs in the TD.
    """

    memory: DcapMemory = field(repr=False, compare=False)
    values: Mapping[str, frozenset[bytes] | None]
    minimum_tcb_evaluation: int | None
    tcb_statuses: frozenset[TcbStatus] = frozenset({TcbStatus.UP_TO_DATE})
    advisories: frozenset[str] | None = frozenset()
    allow_debug: bool = False
    allow_migration: bool = False
    whole_image: bool = False
    event_log: TdLogRules = TdLogRules()
    max_age_s: int = DEFAULT_MAX_AGE_S

    @property
    def code_pinned(self) -> bool:
        """Whether only a TD whose firmware the policy knows is let in."""
        return self.values["mrtd"] is not None


class TdLogTable(Table, frozen=True):
    """``[tdx.event_log]``."""

    required: bool = False
    rtmrs: list[_Rtmr] = msgspec.field(default_factory=lambda: list(range(RTMRS)))


class TdReportTable(Table, frozen=True):
    """What a TD's quote has to show, in whichever kind of evidence it stands."""

    pinned_anchors: bool = True
    anchors: list[TeeAnchorTable] = msgspec.field(default_factory=list)
    tcb_statuses: list[_Status] = msgspec.field(default_factory=lambda: ["UpToDate"])
    advisories: list[_Advisory] | Literal["any"] = msgspec.field(default_factory=list)
    minimum_tcb_evaluation: _Evaluation | Literal["any"] | None = None
    mrtd: HexValues = msgspec.field(default_factory=list)
    rtmr0: HexValues = msgspec.field(default_factory=list)
    rtmr1: HexValues = msgspec.field(default_factory=list)
    rtmr2: HexValues = msgspec.field(default_factory=list)
    rtmr3: HexValues = msgspec.field(default_factory=list)
    mrconfigid: HexValues = msgspec.field(default_factory=list)
    mrowner: HexValues = msgspec.field(default_factory=list)
    mrownerconfig: HexValues = msgspec.field(default_factory=list)
    mrseam: HexValues = "any"
    mrsignerseam: HexValues = "any"
    allow_debug: bool = False
    allow_migration: bool = False
    whole_image: bool = False


class TdxTable(TdReportTable, frozen=True):
    """``[tdx]``."""

    event_log: TdLogTable = TdLogTable()
    max_age_s: MaxAge = DEFAULT_MAX_AGE_S


def tdx_policy(table: TdxTable, folder: Path) -> TdxPolicy:
    """The rules that ``[tdx]`` spells; ConfigurationError names the entry."""
    if not table.event_log.rtmrs:
        raise empty("tdx.event_log.rtmrs: a log that explains nothing")
    return td_report_policy(
        table,
        folder,
        path="tdx",
        max_age_s=table.max_age_s,
        event_log=TdLogRules(
            required=table.event_log.required, rtmrs=frozenset(table.event_log.rtmrs)
        ),
    )


def td_report_policy(
    table: TdReportTable,
    folder: Path,
    *,
    path: str,
    max_age_s: int,
    event_log: TdLogRules = TdLogRules(),
) -> TdxPolicy:
    """The same for any kind's table; the entry is named below ``path``."""
    if not table.tcb_statuses:
        raise empty(f"{path}.tcb_statuses: no status is allowed")
    if table.minimum_tcb_evaluation is None:
        raise empty(f'{path}.minimum_tcb_evaluation: expected a number, or "any" written out')
    if table.whole_image and table.mrtd == "any":
        raise wrong(f"{path}.whole_image: says nothing where mrtd is any")
    values = {
        name: reference_values(
            getattr(table, name), size_bytes=REGISTER_BYTES, path=f"{path}.{name}"
        )
        for name in (*CODE, *NAMED)
    }
    minimum = table.minimum_tcb_evaluation
    return TdxPolicy(
        memory=DcapMemory(
            tee_anchors(EvidenceKind.TDX, table.anchors, pinned=table.pinned_anchors, folder=folder)
        ),
        values=MappingProxyType(values),
        minimum_tcb_evaluation=None if isinstance(minimum, str) else minimum,
        tcb_statuses=frozenset(TcbStatus(each) for each in table.tcb_statuses),
        advisories=None if isinstance(table.advisories, str) else frozenset(table.advisories),
        allow_debug=table.allow_debug,
        allow_migration=table.allow_migration,
        whole_image=table.whole_image,
        event_log=event_log,
        max_age_s=max_age_s,
    )
