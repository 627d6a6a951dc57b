"""The system's clock."""

from __future__ import annotations

import time


class SystemClock:
    """Implements :class:`keystead.ports.Clock` with the operating system's wall clock."""

    __slots__ = ()

    def now(self) -> int:
        """Unix seconds, rounded down."""
        return int(time.time())
