import sqlite3
from pathlib import Path

import pytest

from keystead.audit import HashChain, verify_chain
from keystead.errors import Reason, Unavailable
from keystead.operations import (
    PutGrant,
)
from keystead.storage import SqliteReader, SqliteStore
from keystead.storage.sqlite import reader as reader_module
from keystead.storage.sqlite.files import connect_reader
from tests.store_samples import event, grant, once


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keystead.db"


async def test_reads_beside_the_running_service(path: Path) -> None:
    store = SqliteStore.open(path, chain=HashChain())
    reader = SqliteReader.open(path)
    links = await store.apply([once(b"k"), PutGrant(grant=grant())], events=[event()])
    assert reader.events() == links
    assert reader.seen("proof", b"k")
    assert reader.grants() == (grant(),)
    reader.close()
    await store.close()


async def test_reads_after_the_service_stopped(path: Path) -> None:
    store = SqliteStore.open(path, chain=HashChain())
    links = await store.apply((), events=[event()])
    await store.close()
    reader = SqliteReader.open(path)
    assert reader.last_event() == links[0]
    reader.close()


async def test_a_long_log_is_read_page_by_page(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "_PAGE_EVENTS", 7)
    store = SqliteStore.open(path, chain=HashChain())
    links = await store.apply((), events=[event(object=str(n)) for n in range(23)])
    reader = SqliteReader.open(path)
    assert tuple(reader.iterate_events()) == links
    assert tuple(reader.iterate_events(after=14)) == links[14:]
    assert verify_chain(reader.iterate_events()) == links[-1]
    reader.close()
    await store.close()


async def test_a_reader_cannot_write(path: Path) -> None:
    await SqliteStore.open(path, chain=HashChain()).close()
    connection = connect_reader(path)
    for statement in (
        "DELETE FROM events",
        "CREATE TABLE mine (x)",
        "PRAGMA query_only = OFF; ",
        "DELETE FROM events",
    ):
        if statement.startswith("PRAGMA"):
            connection.execute(statement)
            continue
        with pytest.raises(sqlite3.OperationalError):
            connection.execute(statement)
    connection.close()


async def test_a_closed_reader_is_unavailable(path: Path) -> None:
    await SqliteStore.open(path, chain=HashChain()).close()
    reader = SqliteReader.open(path)
    reader.close()
    for query in (reader.last_event, reader.events):
        with pytest.raises(Unavailable) as caught:
            query()
        assert caught.value.reason is Reason.STORE_UNAVAILABLE


async def test_look_ups_use_an_index(path: Path) -> None:
    await SqliteStore.open(path, chain=HashChain()).close()
    connection = connect_reader(path)
    seen: list[str] = []
    connection.set_trace_callback(seen.append)
    reader = SqliteReader(connection)
    reader.seen("proof", b"k")
    reader.binding("j")  # type: ignore[arg-type]
    reader.result("r")  # type: ignore[arg-type]
    reader.host("h")  # type: ignore[arg-type]
    reader.entry("e")
    reader.grant("g")  # type: ignore[arg-type]
    reader.grant_by_handle(b"h")
    reader.key("k")  # type: ignore[arg-type]
    reader.last_event()
    reader.last_checkpoint()
    reader.fact("f")
    reader.grants(sub="s")
    reader.grants(agent="a")  # type: ignore[arg-type]
    reader.grants()
    reader.events(after=5)
    reader.entries(ek="e")  # type: ignore[arg-type]
    connection.set_trace_callback(None)
    for statement in seen:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
        steps = [row[3] for row in plan]
        first = steps[0]
        assert first.startswith("SEARCH") or "LIMIT" in statement, (statement, steps)
        assert not any("TEMP B-TREE" in step for step in steps if "grants" in statement), steps
    connection.close()
