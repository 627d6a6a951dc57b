import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from keystead.audit import HashChain, verify_chain
from keystead.errors import Reason, Replayed, Unavailable
from keystead.model import (
    AuditEvent,
    ChainedEvent,
)
from keystead.operations import (
    PutFact,
)
from keystead.storage import SqliteReader, SqliteStore
from keystead.storage.sqlite import writer as writer_module
from keystead.storage.sqlite.files import connect_writer
from tests.store_samples import NOW, event, once


@dataclass
class Disk:
    """Opens writing connections, and has them fail as a bad disk would."""

    before: Callable[[str], None] = lambda _: None
    prepare: Callable[[sqlite3.Connection], None] = lambda _: None
    opened: int = 0
    statements: list[str] = field(default_factory=list)

    def connect(self, path: Path) -> sqlite3.Connection:
        disk = self

        class Watched(sqlite3.Connection):
            def execute(self, sql: str, *parameters: object) -> sqlite3.Cursor:
                disk.statements.append(sql)
                disk.before(sql)
                return super().execute(sql, *parameters)  # type: ignore[arg-type]

        connect_writer(path).close()  # journal mode and the like
        connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, factory=Watched
        )
        connection.execute("PRAGMA synchronous = FULL")
        self.prepare(connection)
        self.opened += 1
        return connection


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
async def store(tmp_path: Path, disk: Disk) -> AsyncIterator[SqliteStore]:
    store = SqliteStore.open(tmp_path / "keystead.db", chain=HashChain(), connect=disk.connect)
    yield store
    disk.before = lambda _: None
    await store.close()


async def unavailable(store: SqliteStore, reason: Reason, *events: AuditEvent) -> None:
    with pytest.raises(Unavailable) as caught:
        await store.apply([once(b"doomed")], events=events)
    assert caught.value.reason is reason


def failing(start: str, error: Exception) -> Callable[[str], None]:
    def before(sql: str) -> None:
        if sql.lstrip().startswith(start):
            raise error

    return before


def waiting_for(permission: threading.Event) -> Callable[[str], None]:
    def before(sql: str) -> None:
        if sql == "COMMIT":
            permission.wait(10)

    return before


# --- durable before it is acknowledged ------------------------------------------------------------


async def test_nobody_hears_of_success_before_commit_returned(
    store: SqliteStore, disk: Disk, tmp_path: Path
) -> None:
    may_commit = threading.Event()
    disk.before = waiting_for(may_commit)
    task = asyncio.ensure_future(store.apply([once(b"k")], events=[event()]))
    await asyncio.sleep(0.1)
    assert not task.done()
    reader = SqliteReader.open(tmp_path / "keystead.db")
    assert not reader.seen("proof", b"k")
    may_commit.set()
    await task
    assert reader.seen("proof", b"k")
    reader.close()


async def test_units_that_wait_share_one_commit(store: SqliteStore, disk: Disk) -> None:
    may_commit = threading.Event()
    disk.before = waiting_for(may_commit)
    first = asyncio.ensure_future(store.apply([once(b"first")], events=()))
    await asyncio.sleep(0.1)
    others = [
        asyncio.ensure_future(store.apply([once(b"%d" % n)], events=[event()])) for n in range(300)
    ]
    await asyncio.sleep(0)
    disk.statements.clear()
    may_commit.set()
    await asyncio.gather(first, *others)
    assert disk.statements.count("COMMIT") == 1


async def test_the_writer_is_durable_at_every_commit(tmp_path: Path) -> None:
    path = tmp_path / "keystead.db"
    await SqliteStore.open(path, chain=HashChain()).close()
    with closing(connect_writer(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


# --- a disk that fails ----------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["BEGIN", "SAVEPOINT", "INSERT", "SELECT", "RELEASE", "COMMIT"])
@pytest.mark.parametrize(
    "error",
    [
        sqlite3.OperationalError("disk I/O error"),
        sqlite3.OperationalError("database or disk is full"),
        sqlite3.OperationalError("attempt to write a readonly database"),
        sqlite3.DatabaseError("database disk image is malformed"),
    ],
    ids=["ioerr", "full", "readonly", "corrupt"],
)
async def test_a_disk_error_anywhere_acknowledges_nothing_and_passes(
    store: SqliteStore, disk: Disk, where: str, error: Exception
) -> None:
    before = await store.apply([once(b"before")], events=[event()])
    disk.before = failing(where, error)
    await unavailable(store, Reason.AUDIT_UNAVAILABLE, event())
    if where != "SELECT":  # without events, nothing is read
        await unavailable(store, Reason.STORE_UNAVAILABLE)
    disk.before = lambda _: None
    assert not await store.seen("proof", b"doomed")
    after = await store.apply([once(b"doomed")], events=[event()])
    assert await store.events() == before + after
    assert verify_chain(before + after) == after[-1]


async def test_everybody_in_a_failed_batch_is_told(store: SqliteStore, disk: Disk) -> None:
    disk.before = failing("COMMIT", sqlite3.OperationalError("disk I/O error"))
    outcomes = await asyncio.gather(
        *(store.apply([once(b"%d" % n)], events=[event()]) for n in range(40)),
        return_exceptions=True,
    )
    assert {type(outcome) for outcome in outcomes} == {Unavailable}
    disk.before = lambda _: None
    assert await store.last_event() is None


async def test_a_new_connection_is_made_after_a_failure(store: SqliteStore, disk: Disk) -> None:
    await store.apply([once(b"k")], events=())
    opened = disk.opened
    disk.before = failing("COMMIT", sqlite3.OperationalError("disk I/O error"))
    await unavailable(store, Reason.STORE_UNAVAILABLE)
    disk.before = lambda _: None
    await store.apply([once(b"again")], events=())
    await store.apply([once(b"and again")], events=())
    assert disk.opened == opened + 1


async def test_a_full_disk_is_unavailable_until_there_is_room(
    store: SqliteStore, disk: Disk
) -> None:
    def small(connection: sqlite3.Connection) -> None:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")

    disk.prepare = small
    big = PutFact(name="big", value=bytes(100_000))
    with pytest.raises(Unavailable) as caught:
        await store.apply([big], events=[event()])  # the connection is opened by the first unit
    assert caught.value.reason is Reason.AUDIT_UNAVAILABLE
    assert "full" in caught.value.detail
    disk.prepare = lambda _: None
    await store.apply([big], events=[event()])
    assert await store.fact("big") == bytes(100_000)
    assert [link.sequence for link in await store.events()] == [1]


async def test_a_file_that_became_read_only_is_unavailable(store: SqliteStore, disk: Disk) -> None:
    def read_only(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA query_only = ON")

    disk.prepare = read_only
    await unavailable(store, Reason.AUDIT_UNAVAILABLE, event())
    await unavailable(store, Reason.STORE_UNAVAILABLE)
    disk.prepare = lambda _: None
    await store.apply([once(b"k")], events=())


async def test_a_file_that_vanished_is_not_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "keystead.db"
    store = SqliteStore.open(path, chain=HashChain())
    for left in tmp_path.glob("keystead.db*"):
        if left.suffix != ".lock":
            left.unlink()
    await unavailable(store, Reason.AUDIT_UNAVAILABLE, event())
    assert not path.exists()
    await store.close()


async def test_a_damaged_last_event_stops_the_trail(tmp_path: Path) -> None:
    path = tmp_path / "keystead.db"
    store = SqliteStore.open(path, chain=HashChain())
    await store.apply((), events=[event()])
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE events SET event = x'7b7d'")  # {}
    await unavailable(store, Reason.AUDIT_UNAVAILABLE, event())
    await store.close()


# --- a unit that cannot be ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "impossible",
    [
        PutFact(name="a lone \ud800 surrogate", value=b""),
        once(b"k", until=2**64),
        PutFact(name="not bytes", value=object()),  # type: ignore[arg-type]
        PutFact(name="nothing", value=None),  # type: ignore[arg-type]
    ],
)
async def test_an_impossible_unit_fails_alone(store: SqliteStore, impossible: PutFact) -> None:
    good, bad, more = await asyncio.gather(
        store.apply([once(b"1")], events=[event()]),
        store.apply([once(b"2"), impossible], events=[event()]),
        store.apply([once(b"3")], events=[event()]),
        return_exceptions=True,
    )
    assert isinstance(good, tuple)
    assert isinstance(bad, Exception)
    assert not isinstance(bad, Unavailable)
    assert isinstance(more, tuple)
    assert await store.events() == good + more
    assert not await store.seen("proof", b"2")


class BrokenChain(HashChain):
    def link(self, previous: ChainedEvent | None, event: AuditEvent) -> ChainedEvent:
        if event.object == "poison":
            raise ZeroDivisionError
        return super().link(previous, event)


async def test_an_event_that_cannot_be_chained_fails_its_unit_alone(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "keystead.db", chain=BrokenChain())
    good, bad = await asyncio.gather(
        store.apply([once(b"1")], events=[event()]),
        store.apply([once(b"2")], events=[event(), event(object="poison")]),
        return_exceptions=True,
    )
    assert isinstance(bad, ZeroDivisionError)
    assert await store.events() == good
    assert not await store.seen("proof", b"2")
    await store.close()


# --- the queue ------------------------------------------------------------------------------------


async def test_a_full_queue_turns_callers_away_at_once(
    store: SqliteStore, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "MAX_QUEUED_UNITS", 8)
    may_commit = threading.Event()
    disk.before = waiting_for(may_commit)
    tasks = [asyncio.ensure_future(store.apply([once(b"0")], events=()))]
    await asyncio.sleep(0.1)
    tasks += [asyncio.ensure_future(store.apply([once(b"%d" % n)], events=())) for n in range(1, 9)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable) as caught:
        await store.apply([once(b"one too many")], events=())
    assert caught.value.reason is Reason.STORE_UNAVAILABLE
    assert caught.value.retry_after_s >= 1
    may_commit.set()
    await asyncio.gather(*tasks)
    await store.apply([once(b"one too many")], events=())


async def test_a_long_queue_is_taken_in_batches(
    store: SqliteStore, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "MAX_BATCH_UNITS", 10)
    tasks = [asyncio.ensure_future(store.apply([once(b"%d" % n)], events=())) for n in range(95)]
    await asyncio.gather(*tasks)
    assert disk.statements.count("COMMIT") >= 10


def test_loops_of_several_threads_are_answered(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "keystead.db", chain=HashChain())
    lengths: list[int] = []

    async def load() -> None:
        links = await asyncio.gather(*(store.apply((), events=[event()]) for _ in range(50)))
        lengths.append(len(links))

    threads = [threading.Thread(target=lambda: asyncio.run(load())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lengths == [50, 50, 50]

    async def finish() -> None:
        assert len(await store.events()) == 150
        await store.close()

    asyncio.run(finish())


def test_a_loop_that_closed_in_the_meantime_stops_nobody(tmp_path: Path) -> None:
    may_commit = threading.Event()
    disk = Disk(before=waiting_for(may_commit))
    may_commit.set()
    store = SqliteStore.open(tmp_path / "keystead.db", chain=HashChain(), connect=disk.connect)
    may_commit.clear()

    async def leave() -> None:
        task = asyncio.ensure_future(store.apply([once(b"left")], events=()))
        await asyncio.sleep(0.05)
        task.cancel()

    asyncio.run(leave())
    may_commit.set()

    async def stay() -> None:
        with pytest.raises(Replayed):
            await store.apply([once(b"left")], events=())
        await store.apply([once(b"stayed")], events=())
        await store.close()

    asyncio.run(stay())


# --- forgetting -----------------------------------------------------------------------------------


async def test_forgetting_waits_for_the_margin(store: SqliteStore) -> None:
    await store.apply([once(b"k", until=NOW)], events=())
    await store.apply((), events=[event(at=NOW + writer_module.PRUNE_MARGIN_S)])
    assert await store.seen("proof", b"k")
    later = NOW + writer_module.PRUNE_MARGIN_S + writer_module.PRUNE_EVERY_S
    await store.apply((), events=[event(at=later)])
    assert not await store.seen("proof", b"k")


async def test_a_refused_unit_moves_no_time(store: SqliteStore) -> None:
    await store.apply([once(b"k", until=NOW)], events=())
    with pytest.raises(Replayed):
        await store.apply([once(b"k")], events=[event(at=NOW + 1_000_000)])
    await store.apply((), events=[event(at=NOW)])
    assert await store.seen("proof", b"k")


async def test_a_clock_that_jumps_ahead_and_back_makes_nothing_usable_again(
    store: SqliteStore,
) -> None:
    await store.apply([once(b"k", until=NOW + 60)], events=[event(at=NOW)])
    await store.apply((), events=[event(at=NOW + 1_000_000)])
    with pytest.raises(Replayed):
        await store.apply([once(b"k", until=NOW + 60)], events=[event(at=NOW + 1)])
    await store.apply([once(b"new", until=NOW + 61)], events=[event(at=NOW + 2)])
