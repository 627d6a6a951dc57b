"""Somebody with the state file and an editor: every change of the trail is found."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from keystead.audit import HashChain, LogReport, verify_log
from keystead.errors import Reason, Rejected
from keystead.model import (
    Checkpoint,
)
from keystead.operations import (
    PutCheckpoint,
)
from keystead.storage import SqliteReader, SqliteStore
from tests.audit_log import ISSUER, KEYS, signed_checkpoint
from tests.store_samples import event

EVENTS = 40


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A stopped service's file: forty events, a checkpoint after 20 and one after 30."""
    path = tmp_path / "keystead.db"
    store = SqliteStore.open(path, chain=HashChain())
    for number in range(EVENTS):
        (link,) = await store.apply((), events=[event(object=f"token-{number}")])
        if link.sequence in (20, 30):
            pin = signed_checkpoint(link, counter=link.sequence // 10)
            await store.apply([PutCheckpoint(checkpoint=pin)], events=())
    await store.close()
    return path


def edit(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            assert connection.execute(statement).rowcount != 0


def verify(
    path: Path, *, counter: int | None = None, witness: Checkpoint | None = None
) -> LogReport:
    reader = SqliteReader.open(path)
    try:
        return verify_log(
            reader.iterate_events(),
            checkpoints=reader.checkpoints(),
            keys=KEYS,
            issuer=ISSUER,
            counter=counter,
            witness=witness,
        )
    finally:
        reader.close()


def found(path: Path, reason: Reason, **options: object) -> str:
    with pytest.raises(Rejected) as caught:
        verify(path, **options)  # type: ignore[arg-type]
    assert caught.value.reason is reason
    return caught.value.detail


def test_an_untouched_file_verifies(path: Path) -> None:
    report = verify(path, counter=3)
    assert (report.events, report.pinned, report.checkpoints) == (EVENTS, 30, 2)


@pytest.mark.parametrize("sequence", [1, 17, EVENTS])
@pytest.mark.parametrize(
    "change",
    [
        "event = CAST(replace(CAST(event AS TEXT), 'user-1', 'user-2') AS BLOB)",
        "event = CAST(replace(CAST(event AS TEXT), '1790000000', '1790000001') AS BLOB)",
        "event = CAST(CAST(event AS TEXT) || ' ' AS BLOB)",
        "event = x''",
        "event = CAST('null' AS BLOB)",
        'event = CAST(replace(CAST(event AS TEXT), \'{"action"\', \'{"x":1,"action"\') AS BLOB)',
        "previous = randomblob(32)",
        "previous = x''",
        "hash = zeroblob(32)",
        "hash = x''",
    ],
)
def test_a_change_of_any_column_is_found_and_named(path: Path, sequence: int, change: str) -> None:
    edit(path, f"UPDATE events SET {change} WHERE sequence = {sequence}")
    assert f"event {sequence}" in found(path, Reason.AUDIT_CHAIN_BROKEN)


def test_a_changed_number_is_found(path: Path) -> None:
    edit(path, f"UPDATE events SET sequence = 99 WHERE sequence = {EVENTS}")
    assert f"event {EVENTS} is missing" in found(path, Reason.AUDIT_CHAIN_BROKEN)


def test_a_column_of_another_type_is_found(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_schema SET sql = replace(sql, ') STRICT', ')') WHERE name = 'events'"
        )
    edit(path, "UPDATE events SET hash = 'text' WHERE sequence = 17")
    assert "event 17" in found(path, Reason.AUDIT_CHAIN_BROKEN)


@pytest.mark.parametrize("sequence", [1, 17])
def test_a_removed_event_is_found_and_named(path: Path, sequence: int) -> None:
    edit(path, f"DELETE FROM events WHERE sequence = {sequence}")
    assert f"event {sequence} is missing" in found(path, Reason.AUDIT_CHAIN_BROKEN)


def test_two_events_that_changed_places_are_found(path: Path) -> None:
    edit(
        path,
        "UPDATE events SET sequence = -5 WHERE sequence = 5",
        "UPDATE events SET sequence = 5 WHERE sequence = 6",
        "UPDATE events SET sequence = 6 WHERE sequence = -5",
    )
    assert "event 5" in found(path, Reason.AUDIT_CHAIN_BROKEN)


def test_a_cut_tail_is_found_by_the_checkpoint(path: Path) -> None:
    edit(path, "DELETE FROM events WHERE sequence > 25")
    assert "ends at 25" in found(path, Reason.AUDIT_ROLLED_BACK)


def test_a_tail_cut_with_its_checkpoint_is_found_by_counter_and_witness(path: Path) -> None:
    reader = SqliteReader.open(path)
    witness = reader.last_checkpoint()
    reader.close()
    edit(
        path,
        "DELETE FROM events WHERE sequence > 25",
        "DELETE FROM checkpoints WHERE sequence = 30",
    )
    found(path, Reason.AUDIT_ROLLED_BACK, counter=3)
    found(path, Reason.AUDIT_ROLLED_BACK, witness=witness)


async def test_an_older_copy_of_the_file_is_found(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    shutil.copyfile(path, copy)
    store = SqliteStore.open(path, chain=HashChain())
    (link,) = await store.apply((), events=[event()])
    witness = signed_checkpoint(link, counter=4)
    await store.apply([PutCheckpoint(checkpoint=witness)], events=())
    await store.close()
    assert verify(path, counter=4, witness=witness).events == EVENTS + 1
    shutil.copyfile(copy, path)
    found(path, Reason.AUDIT_ROLLED_BACK, counter=4)
    found(path, Reason.AUDIT_ROLLED_BACK, witness=witness)


async def test_an_older_copy_that_the_service_went_on_with_is_found(
    path: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.db"
    shutil.copyfile(path, copy)
    store = SqliteStore.open(path, chain=HashChain())
    links = await store.apply((), events=[event(object="real")])
    witness = signed_checkpoint(links[-1], counter=4)
    await store.apply([PutCheckpoint(checkpoint=witness)], events=())
    await store.close()
    shutil.copyfile(copy, path)
    store = SqliteStore.open(path, chain=HashChain())
    links = await store.apply((), events=[event(object="forged"), event(object="more")])
    later = signed_checkpoint(links[-1], counter=5)
    await store.apply([PutCheckpoint(checkpoint=later)], events=())
    await store.close()
    detail = found(path, Reason.AUDIT_ROLLED_BACK, counter=5)
    assert "does not follow" in detail


def test_a_checkpoint_row_that_was_edited_is_found(path: Path) -> None:
    body = "replace(CAST(body AS TEXT), '\"counter\":3', '\"counter\":4')"
    edit(path, f"UPDATE checkpoints SET body = CAST({body} AS BLOB) WHERE sequence = 30")
    found(path, Reason.CHECKPOINT_INVALID, counter=4)
