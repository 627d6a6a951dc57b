"""Refusals of strangers, counted instead of logged one by one.

Anybody can be refused as often as they like; if each refusal were an audit event, a stranger
could fill the disk, and a full disk stops issuance.
"""

from __future__ import annotations

from collections import Counter

from keystead.errors import Reason
from keystead.model import AuditAction, AuditEvent

# Kinds of refusal told apart between two drains; the rest are counted together.
MAX_KINDS = 32
_OTHER = "other"
_TOTAL = "total"


class RefusalAggregator:
    """Counts refusals of unauthenticated callers until the next :meth:`drain`."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def note(self, reason: Reason, step: int | None = None) -> None:
        """Count one refusal."""
        self._add(reason.value if step is None else f"{reason.value} (step {step})", 1)

    def put_back(self, drained: AuditEvent) -> None:
        """Count again what :meth:`drain` gave, because it could not be written."""
        for kind, count in drained.detail.items():
            if kind != _TOTAL:
                self._add(kind, int(count))

    def _add(self, kind: str, count: int) -> None:
        if kind not in self._counts and len(self._counts) >= MAX_KINDS:
            kind = _OTHER
        self._counts[kind] += count

    def drain(self, now: int) -> AuditEvent | None:
        """One event with the counts, which start again; None where nobody was refused.

        Its detail has one member for each kind, ``other`` for kinds beyond ``MAX_KINDS``, and
        their ``total``.
        """
        if not self._counts:
            return None
        detail: dict[str, str | int] = {**self._counts, _TOTAL: self._counts.total()}
        self._counts = Counter()
        return AuditEvent(action=AuditAction.REFUSALS_AGGREGATED, at=now, detail=detail)
