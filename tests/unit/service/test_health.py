"""Health: a part that is away, or silent, is named."""

import asyncio
from typing import Any

import pytest

from keystead.service import health
from keystead.service.health import Health
from tests.service_parts import Installation


async def test_both_answer(it: Installation) -> None:
    report = await it.health.check()
    assert (report.healthy, report.store, report.hardware) == (True, "", "")
    assert it.health.development is True


async def test_a_tpm_that_is_away_is_named(it: Installation) -> None:
    it.tpm.away = True
    report = await it.health.check()
    assert (report.healthy, report.store, report.hardware) == (
        False,
        "",
        "hardware_unavailable",
    )


async def test_a_closed_store_is_named(it: Installation) -> None:
    await it.store.close()
    report = await it.health.check()
    assert not report.healthy
    assert report.store and not report.hardware


async def test_a_part_that_is_silent_counts_as_away(
    it: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead part must not go unnoticed because nobody waits for it to the end."""

    async def silent() -> Any:
        await asyncio.sleep(3_600)

    monkeypatch.setattr(health, "PROBE_TIMEOUT_S", 0.02)
    monkeypatch.setattr(it.tpm, "read_counter", silent)
    report = await asyncio.wait_for(it.health.check(), 5)
    assert (report.healthy, report.store, report.hardware) == (False, "", "timeout")


async def test_it_asks_anew_each_time(it: Installation) -> None:
    made = Health(store=it.store, hardware=it.tpm, development=False)
    it.tpm.away = True
    assert not (await made.check()).healthy
    it.tpm.away = False
    assert (await made.check()).healthy
