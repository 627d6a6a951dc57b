"""Whether the service can do its work: the store answers, and so does the TPM."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass

from keystead.errors import KeysteadError
from keystead.ports import SigningHardware, Store

PROBE_TIMEOUT_S = 2.0
"""A part that does not answer a read in this time counts as away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReport:
    """Empty text means healthy; otherwise the reason."""

    store: str
    hardware: str

    @property
    def healthy(self) -> bool:
        """Whether tokens can be issued now."""
        return not (self.store or self.hardware)


class Health:
    """The health use case."""

    def __init__(self, *, store: Store, hardware: SigningHardware, development: bool) -> None:
        self._store = store
        self._hardware = hardware
        self.development = development

    async def check(self) -> HealthReport:
        """Ask both, each with a deadline; never raises."""
        store, hardware = await asyncio.gather(
            _probe(self._store.last_event()), _probe(self._hardware.read_counter())
        )
        return HealthReport(store=store, hardware=hardware)


async def _probe(question: Awaitable[object]) -> str:
    try:
        await asyncio.wait_for(question, PROBE_TIMEOUT_S)
    except KeysteadError as error:
        return error.reason.value
    except TimeoutError:
        return "timeout"
    return ""
