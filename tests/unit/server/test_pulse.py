"""Asking for health is no load."""

import asyncio

from keystead.server.pulse import KEPT_S, Pulse
from keystead.service.health import HealthReport


class Health:
    """Counts how often somebody really looked."""

    def __init__(self) -> None:
        self.looks = 0

    async def check(self) -> HealthReport:
        await asyncio.sleep(0)
        self.looks += 1
        return HealthReport(store="", hardware="")


async def test_many_who_ask_at_once_cost_one_look() -> None:
    health, now = Health(), [0.0]
    pulse = Pulse(health, monotonic=lambda: now[0])
    reports = await asyncio.gather(*(pulse.report() for _ in range(100)))
    assert health.looks == 1
    assert all(report.healthy for report in reports)


async def test_an_old_answer_is_asked_for_again() -> None:
    health, now = Health(), [0.0]
    pulse = Pulse(health, monotonic=lambda: now[0])
    await pulse.report()
    now[0] = KEPT_S / 2
    await pulse.report()
    assert health.looks == 1
    now[0] = KEPT_S
    await pulse.report()
    assert health.looks == 2
