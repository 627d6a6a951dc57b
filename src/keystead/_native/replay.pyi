from typing import Final, final

MAX_CAPACITY: Final[int]
NEW: Final[int]
SEEN: Final[int]
TOO_OLD: Final[int]
FULL: Final[int]

@final
class ReplayTable:
    """A bounded table of proofs that were seen; any number of threads may use it.

    ``capacity`` is how many it holds, 1 to ``MAX_CAPACITY``; proofs that could have been accepted
    before ``not_before`` are refused. Times are Unix seconds of 64 bits.

    Raises ValueError for another capacity, MemoryError, OverflowError for larger times.
    """

    def __new__(cls, *, capacity: int, not_before: int) -> ReplayTable: ...
    def __len__(self) -> int:
        """How many proofs are inside their windows."""

    def refuse_before(self, time: int) -> None:
        """Move ``not_before`` forward to ``time``; it never moves back."""

    def remember(self, jkt: bytes, jti: bytes, first: int, last: int, now: int) -> int:
        """``NEW`` where the proof was not seen before; else ``SEEN``, ``TOO_OLD`` or ``FULL``.

        Raises TypeError where something is not exactly ``bytes``.
        """

    def remember_all(self, uses: tuple[tuple[bytes, bytes, int, int], ...], now: int) -> bytes:
        """One verdict a byte, as ``remember`` would give them one after the other.

        A use is ``jkt``, ``jti``, ``first`` and ``last``. The GIL is released meanwhile. Raises
        TypeError as ``remember`` does, and then remembers none of them.
        """
