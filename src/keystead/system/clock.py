"""The system's clock."""

from __future__ import annotations

import time


class SystemClock:
    """Implements :class:`keystead.ports.Clock` with the operating system's wall clock."""

    __slots__ = ()

    def now(self) -> int:
        """Unix seconds, rounded down."""
        return int(time.time())


class Stopwatch:
    """How long something takes, from when this is made; decides nothing."""

    __slots__ = ("_started",)

    def __init__(self) -> None:
        self._started = time.monotonic()

    def seconds(self) -> float:
        """Since it was made."""
        return time.monotonic() - self._started
