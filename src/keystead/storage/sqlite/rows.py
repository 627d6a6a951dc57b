"""What the ``body`` of a row holds: a frozen dataclass of the model as strict JSON.

A body decodes only to the exact type, and only if encoding it again gives the same bytes, so
nothing that somebody else wrote into the file is half understood.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Generic, Literal, TypeVar

import msgspec

from keystead.errors import Reason, Rejected, Unavailable
from keystead.model import (
    AuditEvent,
    BoundKey,
    ChainedEvent,
    Checkpoint,
    EnrolledHost,
    Grant,
    KeptEvidence,
    RegistrationEntry,
    SigningKey,
)

_T = TypeVar("_T")


def _plain(value: object) -> object:
    if isinstance(value, Mapping):  # a read-only view, say
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not stored")


class RowBody(Generic[_T]):
    """Encodes and decodes one type; ``order`` is that of members, its fields' own by default."""

    __slots__ = ("_decoder", "_encoder", "_name")

    def __init__(self, kind: type[_T], *, order: Literal["sorted"] | None = None) -> None:
        self._encoder = msgspec.json.Encoder(enc_hook=_plain, order=order)
        self._decoder = msgspec.json.Decoder(kind)
        self._name = kind.__name__

    def encode(self, value: _T) -> bytes:
        """``value`` as JSON."""
        return self._encoder.encode(value)

    def decode(self, body: object) -> _T:
        """The value; Unavailable (store_unavailable) where the body is not what was stored."""
        try:
            if type(body) is not bytes:
                raise msgspec.ValidationError("not a BLOB")
            value = self._decoder.decode(body)
            if self._encoder.encode(value) != body:
                raise msgspec.ValidationError("not its only spelling")
        except (msgspec.DecodeError, UnicodeError) as error:
            detail = f"a stored {self._name} does not decode: {error}"
            raise Unavailable(Reason.STORE_UNAVAILABLE, detail) from error
        return value


BINDING = RowBody(BoundKey)
HOST = RowBody(EnrolledHost)
ENTRY = RowBody(RegistrationEntry)
GRANT = RowBody(Grant)
EVIDENCE = RowBody(KeptEvidence)
KEY = RowBody(SigningKey)
CHECKPOINT = RowBody(Checkpoint)
# The canonical JSON that the chain hashes.
EVENT = RowBody(AuditEvent, order="sorted")


def decode_grant(row: tuple[object, ...]) -> Grant:
    """The grant of a row (body, revoked_at): revocation is a column, the rest never changes."""
    body, revoked_at = row
    grant = GRANT.decode(body)
    return replace(grant, revoked_at=revoked_at) if isinstance(revoked_at, int) else grant


def decode_chained(row: tuple[object, ...]) -> ChainedEvent:
    """The event of a row (sequence, event, previous, hash); Rejected (audit_chain_broken)."""
    sequence, event, previous, digest = row
    if type(sequence) is int and type(previous) is bytes and type(digest) is bytes:
        try:
            return ChainedEvent(
                sequence=sequence, event=EVENT.decode(event), previous=previous, hash=digest
            )
        except Unavailable as error:
            detail = f"event {sequence}: {error.detail}"
            raise Rejected(Reason.AUDIT_CHAIN_BROKEN, detail) from error
    raise Rejected(Reason.AUDIT_CHAIN_BROKEN, f"event {sequence} has columns of other types")
