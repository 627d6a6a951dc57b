"""The hash chain: each event's hash covers the one before it, its number and its own bytes.

    hash = SHA-256("keystead audit v1" ‖ 0x00 ‖ previous hash ‖ sequence ‖ canonical JSON)

The first event follows 32 zero bytes and has sequence 1; the sequence is 8 bytes, big-endian.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from keystead.audit.events import bounded, encode_event
from keystead.errors import Reason, Rejected
from keystead.model import AuditEvent, ChainedEvent

FIRST_SEQUENCE = 1
HASH_BYTES = 32
GENESIS = bytes(HASH_BYTES)
_DOMAIN = b"keystead audit v1\0"


class HashChain:
    """Implements :class:`keystead.ports.EventChain`; events are brought within bounds here."""

    __slots__ = ()

    def link(self, previous: ChainedEvent | None, event: AuditEvent) -> ChainedEvent:
        """``event``, bounded, as the successor of ``previous`` (None: the first of all)."""
        kept = bounded(event)
        sequence, before = _position(previous)
        return ChainedEvent(
            sequence=sequence, event=kept, previous=before, hash=_hash(before, sequence, kept)
        )


def verify_chain(
    events: Iterable[ChainedEvent], *, start: ChainedEvent | None = None
) -> ChainedEvent | None:
    """The last of ``events``, each of which follows the one before it; the first follows ``start``.

    Holds one event at a time, so any log fits; call it again with the result as ``start`` for the
    next page. ``start`` itself comes back where there are no events. Raises Rejected
    (audit_chain_broken) naming the sequence at which the chain breaks.
    """
    last = start
    for event in events:
        verify_link(last, event)
        last = event
    return last


def verify_link(previous: ChainedEvent | None, event: ChainedEvent) -> None:
    """Raise Rejected (audit_chain_broken) unless ``event`` follows ``previous``."""
    sequence, before = _position(previous)
    if event.sequence != sequence:
        raise _broken(sequence, f"is missing: event {event.sequence} stands there")
    if event.previous != before:
        raise _broken(sequence, "does not follow the event before it")
    if event.hash != _hash(before, sequence, event.event):
        raise _broken(sequence, "was changed")


def _position(previous: ChainedEvent | None) -> tuple[int, bytes]:
    if previous is None:
        return FIRST_SEQUENCE, GENESIS
    return previous.sequence + 1, previous.hash


def _hash(previous: bytes, sequence: int, event: AuditEvent) -> bytes:
    number = sequence.to_bytes(8, "big")
    return hashlib.sha256(_DOMAIN + previous + number + encode_event(event)).digest()


def _broken(sequence: int, how: str) -> Rejected:
    return Rejected(Reason.AUDIT_CHAIN_BROKEN, f"event {sequence} {how}")
