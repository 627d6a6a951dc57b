"""The checked cursor that every binary parser here uses.

A read past the end is :class:`~keystead.errors.Malformed`, and so are bytes left over at
:meth:`Reader.end`. Results are ``bytes`` copies, so nothing outlives the caller's buffer by
accident.
"""

from __future__ import annotations

from struct import Struct
from typing import Any, Literal

from keystead.errors import Malformed, Reason

ByteOrder = Literal["big", "little"]


class Reader:
    """A cursor over one immutable buffer, in one byte order (TPM: big; event logs, SNP: little)."""

    __slots__ = ("_at", "_data", "_order")

    def __init__(self, data: bytes, order: ByteOrder = "big") -> None:
        if type(data) is not bytes:
            raise TypeError("Reader reads bytes")
        self._data = data
        self._at = 0
        self._order: ByteOrder = order

    @property
    def offset(self) -> int:
        """How many bytes were read."""
        return self._at

    @property
    def remaining(self) -> int:
        """How many bytes are left."""
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        end = self._at + count
        if count < 0 or end > len(self._data):
            raise self._short(count)
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def since(self, offset: int) -> bytes:
        """What was read from ``offset`` on."""
        return self._data[offset : self._at]

    def _unsigned(self, count: int) -> int:
        # Not by take(): most of what is read are numbers.
        end = self._at + count
        taken = self._data[self._at : end]
        if len(taken) != count:
            raise self._short(count)
        self._at = end
        return int.from_bytes(taken, self._order)

    def _short(self, count: int) -> Malformed:
        return Malformed(Reason.MALFORMED, f"needs {count} bytes at {self._at}, has fewer")

    def u8(self) -> int:
        at = self._at
        if at == len(self._data):
            raise self._short(1)
        self._at = at + 1
        return self._data[at]

    def u16(self) -> int:
        return self._unsigned(2)

    def u32(self) -> int:
        return self._unsigned(4)

    def u64(self) -> int:
        return self._unsigned(8)

    def fields(self, layout: Struct) -> tuple[Any, ...]:
        """The fields of ``layout``, which says its own byte order: one read for several numbers."""
        at = self._at
        if len(self._data) - at < layout.size:
            raise self._short(layout.size)
        self._at = at + layout.size
        return layout.unpack_from(self._data, at)

    def sized(self, *, max_bytes: int) -> bytes:
        """A 16-bit length and that many bytes: a TPM2B, at most ``max_bytes`` long."""
        start = self._at + 2
        length = int.from_bytes(self._data[self._at : start], self._order)
        if start > len(self._data):
            raise self._short(2)
        if length > max_bytes:
            raise Malformed(Reason.TOO_LARGE, f"{length} bytes where {max_bytes} are allowed")
        self._at = start
        return self.take(length)

    def rest(self) -> bytes:
        """Everything that is left."""
        return self.take(self.remaining)

    def end(self) -> None:
        """Refuse trailing bytes."""
        if self.remaining:
            raise Malformed(Reason.MALFORMED, f"{self.remaining} bytes left over")
