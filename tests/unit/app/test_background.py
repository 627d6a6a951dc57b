"""What the service does by itself goes on, whatever one round ran into."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from keystead.app import background as module
from keystead.app.background import background
from keystead.config import AuditConfig
from keystead.errors import EvidenceRejected, KeysteadError, Reason, Rejected, Unavailable
from keystead.model import AuditAction, KeyPurpose
from tests.service_parts import PUBLISH_AHEAD_S, Installation, installation

STEP_S = 0.01


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[Installation]:
    async with installation(tmp_path / "state") as made:
        yield made


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour's waiting is a hundredth of a second here."""
    sleep = asyncio.sleep
    monkeypatch.setattr(module.asyncio, "sleep", lambda seconds: sleep(STEP_S))


def ignore(error: KeysteadError) -> None:
    raise AssertionError("nothing was rolled back")


async def until(condition: Callable[[], Any]) -> None:
    """Wait for it, at most some seconds."""
    for _ in range(1_000):
        found = condition()
        if found if isinstance(found, bool) else await found:
            return
        await asyncio.sleep(STEP_S)
    raise AssertionError("it did not happen")


async def sealed_again(it: Installation) -> bool:
    """The start sealed once."""
    return len(await it.store.checkpoints()) > 1


async def test_keys_rotate_trails_are_sealed_and_refusals_are_written(it: Installation) -> None:
    successor = await it.keyring.rotate(KeyPurpose.TOKEN, owner="keystead", caller="adam")
    it.clock.at += PUBLISH_AHEAD_S
    it.trail.note_refusal(EvidenceRejected(Reason.QUOTE_TYPE))
    async with background(it.keyring, it.trail, AuditConfig(), stop=ignore):
        await until(lambda: it.keyring.active(KeyPurpose.TOKEN).kid == successor.kid)
        await until(lambda: it.events(AuditAction.REFUSALS_AGGREGATED))
        await until(lambda: sealed_again(it))


@pytest.mark.parametrize(
    "error", [Unavailable(Reason.HARDWARE_UNAVAILABLE), RuntimeError("a bug"), KeyError("x")]
)
async def test_a_round_that_fails_is_not_the_last(
    it: Installation, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    rounds: list[int] = []

    async def failing() -> None:
        rounds.append(1)
        if len(rounds) < 4:
            raise error

    monkeypatch.setattr(it.keyring, "advance", failing)
    async with background(it.keyring, it.trail, AuditConfig(), stop=ignore):
        await until(lambda: len(rounds) > 5)


async def test_the_end_writes_what_was_counted_and_seals(it: Installation) -> None:
    async with background(it.keyring, it.trail, AuditConfig(), stop=ignore):
        it.trail.note_refusal(EvidenceRejected(Reason.QUOTE_TYPE))
    (told,) = await it.events(AuditAction.REFUSALS_AGGREGATED)
    assert told.detail["total"] == 1
    last = await it.store.last_checkpoint()
    assert last is not None and last.sequence >= len(await it.events()) - 1


async def test_the_end_comes_also_while_the_tpm_is_away(it: Installation) -> None:
    before = await it.store.checkpoints()
    await it.agent()
    it.tpm.away = True
    async with background(it.keyring, it.trail, AuditConfig(), stop=ignore):
        pass
    assert await it.store.checkpoints() == before


async def test_a_rolled_back_trail_stops_the_service(it: Installation) -> None:
    stopped: list[KeysteadError] = []
    await it.trail.seal(caller="keystead")
    await it.tpm.increment_counter()
    await it.agent()
    async with background(it.keyring, it.trail, AuditConfig(), stop=stopped.append):
        await until(lambda: bool(stopped))
    assert isinstance(stopped[0], Rejected)
    assert stopped[0].reason is Reason.AUDIT_ROLLED_BACK


async def test_a_trail_that_does_not_follow_from_its_checkpoint_stops_the_service(
    it: Installation, tmp_path: Path
) -> None:
    stopped: list[KeysteadError] = []
    await it.agent()
    with closing(sqlite3.connect(tmp_path / "state" / "keystead.sqlite3")) as file, file:
        file.execute(
            "UPDATE events SET hash = zeroblob(32) WHERE sequence = (SELECT max(sequence) - 1 "
            "FROM events)"
        )
    async with background(it.keyring, it.trail, AuditConfig(), stop=stopped.append):
        await until(lambda: bool(stopped))
    assert stopped[0].reason is Reason.AUDIT_CHAIN_BROKEN
