"""Whose quotes a policy believes, and what was verified of such quotes before.

A host sends the same certificates, revocation lists and statements of Intel's with every quote, and
hosts of one family the same statements. What is remembered holds for a time and for these bytes
alone: ``appraisal.chain_cache``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from keystead.appraisal.anchors import AnchorSet
from keystead.appraisal.chain_cache import DatedCache
from keystead.appraisal.intel_chain import PckPath
from keystead.codec.tcb_info import QeIdentity, TcbInfo

MAX_KEPT_STATEMENTS: Final = 256
"""Some tens of kilobytes each; a family of platforms has one pair a month."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statements:
    """What Intel signed, verified and in force from ``not_before`` to ``not_after``, Unix seconds.

    Signer's certificates and revocation list hold all of that time as well.
    """

    tcb_info: TcbInfo
    qe_identity: QeIdentity
    not_before: int
    not_after: int

    def holds_at(self, at: int) -> bool:
        """Whether everything that they were verified by is valid then, and they are in force."""
        return self.not_before <= at <= self.not_after

    @property
    def evaluation(self) -> int:
        """The older of their two numbers: both rise when Intel looks at its platforms again."""
        return min(self.tcb_info.evaluation, self.qe_identity.evaluation)


class DcapMemory:
    """The anchors of one policy, and what was found of them; a new policy has a new one."""

    __slots__ = ("anchors", "paths", "statements")

    def __init__(self, anchors: AnchorSet) -> None:
        self.anchors = anchors
        self.paths: DatedCache[PckPath] = DatedCache()
        self.statements: DatedCache[Statements] = DatedCache(capacity=MAX_KEPT_STATEMENTS)
