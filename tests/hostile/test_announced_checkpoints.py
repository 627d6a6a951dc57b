"""Somebody who writes the state file puts back an older one and says that it was announced."""

import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from keystead.audit.checkpoints import ANNOUNCED_CHECKPOINT, COUNTER_BASELINE
from keystead.errors import KeysteadError, Reason
from keystead.model import Checkpoint
from tests.service_parts import OLGA, Installation, installation
from tests.software_hardware import SoftwareTpm

ROLLED_BACK = {Reason.AUDIT_ROLLED_BACK}


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A stopped installation, a copy from before its newest checkpoint, and that checkpoint."""

    tpm: SoftwareTpm
    state: Path
    copy: Path
    newest: Checkpoint

    def edit(self, *statements: str, copy: bool = True) -> None:
        folder = self.copy if copy else self.state
        with closing(sqlite3.connect(folder / "keystead.sqlite3")) as connection, connection:
            connection.execute("ATTACH ? AS newer", (str(self.state / "keystead.sqlite3"),))
            for statement in statements:
                assert connection.execute(statement).rowcount != 0

    def put_fact(self, name: str, value: bytes, *, copy: bool = True) -> None:
        self.edit(
            f"INSERT OR REPLACE INTO main.facts (name, value) VALUES ('{name}', x'{value.hex()}')",
            copy=copy,
        )

    @asynccontextmanager
    async def started(self, *, copy: bool = True) -> AsyncIterator[Installation]:
        async with installation(self.copy if copy else self.state, tpm=self.tpm) as it:
            yield it

    async def refused(self, reasons: set[Reason], *, copy: bool = True) -> None:
        with pytest.raises(KeysteadError) as caught:
            async with self.started(copy=copy):
                pass
        assert caught.value.reason in reasons


@pytest.fixture
async def scene(tmp_path: Path) -> Scene:
    tpm, state, copy = SoftwareTpm(), tmp_path / "state", tmp_path / "copy"
    async with installation(state, tpm=tpm) as it:
        await it.agent()
        await it.trail.checkpoint(OLGA)
    shutil.copytree(state, copy)
    async with installation(state, tpm=tpm) as it:
        await it.exchange(await it.agent())
        newest = await it.trail.checkpoint(OLGA)
    return Scene(tpm=tpm, state=state, copy=copy, newest=newest)


FACTS = [ANNOUNCED_CHECKPOINT, COUNTER_BASELINE]


async def test_nothing_wrong_with_the_newest_state(scene: Scene) -> None:
    async with scene.started(copy=False) as it:
        assert (await it.trail.checkpoint(OLGA)).counter == scene.newest.counter + 1


@pytest.mark.parametrize("fact", FACTS)
async def test_an_older_copy_with_the_counters_number_written_in(scene: Scene, fact: str) -> None:
    scene.put_fact(fact, str(scene.tpm.counter).encode())
    await scene.refused(ROLLED_BACK)


async def test_an_older_copy_with_the_later_checkpoint_announced(scene: Scene) -> None:
    scene.put_fact(ANNOUNCED_CHECKPOINT, scene.newest.jws.encode())
    await scene.refused(ROLLED_BACK)


@pytest.mark.parametrize("number", [-1, 0])
async def test_every_checkpoint_removed_and_the_counters_number_written_in(
    scene: Scene, number: int
) -> None:
    for fact in FACTS:
        scene.put_fact(fact, str(scene.tpm.counter + number).encode(), copy=False)
    scene.edit("DELETE FROM main.checkpoints", copy=False)
    await scene.refused(ROLLED_BACK, copy=False)


async def test_every_checkpoint_removed_and_the_newest_announced(scene: Scene) -> None:
    """It pins all of the history that there was; but a log with a history has a checkpoint."""
    scene.put_fact(ANNOUNCED_CHECKPOINT, scene.newest.jws.encode(), copy=False)
    scene.put_fact(COUNTER_BASELINE, str(scene.newest.counter - 1).encode(), copy=False)
    scene.edit("DELETE FROM main.checkpoints", copy=False)
    await scene.refused(ROLLED_BACK, copy=False)


async def test_an_older_copy_whose_checkpoint_was_given_the_newer_count(scene: Scene) -> None:
    old, new = scene.newest.counter - 1, scene.newest.counter
    body = f"replace(CAST(body AS TEXT), '\"counter\":{old}', '\"counter\":{new}')"
    scene.edit(
        f"UPDATE main.checkpoints SET body = CAST({body} AS BLOB) "
        "WHERE sequence = (SELECT max(sequence) FROM main.checkpoints)"
    )
    await scene.refused({Reason.CHECKPOINT_INVALID})


@pytest.mark.parametrize("announced", [True, False])
async def test_an_older_copy_with_the_newer_checkpoint_and_a_row_that_has_its_hash(
    scene: Scene, announced: bool
) -> None:
    """Fillers up to the pinned event, and in the last of them the hash that was signed."""
    at = scene.newest.sequence
    scene.edit(
        "INSERT INTO main.events SELECT * FROM newer.events "
        f"WHERE sequence > (SELECT max(sequence) FROM main.events) AND sequence <= {at}",
        "UPDATE main.events SET event = CAST(replace(CAST(event AS TEXT), "
        f"'1', '2') AS BLOB) WHERE sequence = {at}",
    )
    if announced:
        scene.put_fact(ANNOUNCED_CHECKPOINT, scene.newest.jws.encode())
    else:
        scene.edit(
            f"INSERT INTO main.checkpoints SELECT * FROM newer.checkpoints WHERE sequence = {at}"
        )
    await scene.refused({Reason.AUDIT_CHAIN_BROKEN})


async def test_a_history_rewritten_before_the_pinned_event_is_not_sealed_again(
    scene: Scene,
) -> None:
    """The pinned event's row stays as it was; what follows it hangs on another one."""
    scene.edit(
        f"UPDATE main.events SET previous = zeroblob(32) WHERE sequence = {scene.newest.sequence}",
        copy=False,
    )
    await scene.refused({Reason.AUDIT_CHAIN_BROKEN}, copy=False)


async def test_an_announcement_of_another_service(scene: Scene, tmp_path: Path) -> None:
    async with installation(tmp_path / "other", tpm=SoftwareTpm("other")) as other:
        while (forged := await other.trail.checkpoint(OLGA)).counter < scene.newest.counter:
            pass
    scene.put_fact(ANNOUNCED_CHECKPOINT, forged.jws.encode())
    await scene.refused(ROLLED_BACK)
    scene.put_fact(ANNOUNCED_CHECKPOINT, forged.jws.encode(), copy=False)
    async with scene.started(copy=False) as it:
        assert (await it.trail.checkpoint(OLGA)).counter == scene.newest.counter + 1


async def test_an_emptied_trail_is_refused_while_there_is_a_baseline(scene: Scene) -> None:
    scene.edit("DELETE FROM main.checkpoints", "DELETE FROM main.events", copy=False)
    await scene.refused(ROLLED_BACK, copy=False)
