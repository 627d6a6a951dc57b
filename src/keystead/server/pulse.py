"""Whether the service works, asked rarely enough that asking is no load.

Strangers may ask ``/healthz``, and each real look costs a TPM command: an answer is kept for a
second, and everyone who asks meanwhile waits for the same look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from keystead.service.health import Health, HealthReport

KEPT_S = 1.0


class Pulse:
    """The newest health report."""

    def __init__(self, health: Health, *, monotonic: Callable[[], float]) -> None:
        self._health = health
        self._monotonic = monotonic
        self._looking = asyncio.Lock()
        self._report: HealthReport | None = None
        self._at = 0.0

    async def report(self) -> HealthReport:
        """A report at most ``KEPT_S`` seconds old."""
        async with self._looking:
            if self._report is None or self._monotonic() - self._at >= KEPT_S:
                self._report = await self._health.check()
                self._at = self._monotonic()
            return self._report
