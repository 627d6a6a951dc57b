import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from keystead.audit import HashChain
from keystead.errors import ConfigurationError, Reason, Unavailable
from keystead.storage import SqliteReader, SqliteStore
from keystead.storage.sqlite import schema
from keystead.storage.sqlite.files import make_private_file
from keystead.storage.sqlite.rows import BINDING, ENTRY
from tests.store_samples import EK, bound_key, entry


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keystead.db"
    make_private_file(path)
    return path


def run_sql(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def open_store(path: Path) -> SqliteStore:
    return SqliteStore.open(path, chain=HashChain())


async def make_store(path: Path) -> None:
    await open_store(path).close()


async def test_a_new_file_gets_the_newest_schema(path: Path) -> None:
    await make_store(path)
    with closing(sqlite3.connect(path)) as connection:
        versions = connection.execute("SELECT version FROM schema_version").fetchall()
    assert versions == [(schema.SCHEMA_VERSION,)]


async def test_opening_again_changes_no_table(path: Path) -> None:
    await make_store(path)
    with closing(sqlite3.connect(path)) as connection:
        before = connection.execute("SELECT * FROM sqlite_schema").fetchall()
    await make_store(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT * FROM sqlite_schema").fetchall() == before


async def test_a_newer_schema_is_refused_by_its_number(path: Path) -> None:
    await make_store(path)
    run_sql(path, f"UPDATE schema_version SET version = {schema.SCHEMA_VERSION + 1}")
    for open_it in (open_store, SqliteReader.open):
        with pytest.raises(ConfigurationError) as caught:
            open_it(path)
        assert caught.value.reason is Reason.CONFIGURATION_INVALID
        assert f"schema {schema.SCHEMA_VERSION + 1}" in caught.value.detail


def test_another_programs_database_is_left_alone(path: Path) -> None:
    run_sql(path, "CREATE TABLE theirs (x)")
    for open_it in (open_store, SqliteReader.open):
        with pytest.raises(ConfigurationError):
            open_it(path)
    with closing(sqlite3.connect(path)) as connection:
        names = connection.execute("SELECT name FROM sqlite_schema").fetchall()
    assert names == [("theirs",)]


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"not a database" * 1_000)
    for open_it in (open_store, SqliteReader.open):
        with pytest.raises(Unavailable) as caught:
            open_it(path)
        assert caught.value.reason is Reason.STORE_UNAVAILABLE


async def test_a_reader_does_not_guess_at_an_older_schema(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_store(path)
    monkeypatch.setattr(schema, "SCHEMA_VERSION", schema.SCHEMA_VERSION + 1)
    with pytest.raises(ConfigurationError):
        SqliteReader.open(path)


def test_a_reader_wants_a_schema_and_makes_no_file(path: Path) -> None:
    with pytest.raises(ConfigurationError):
        SqliteReader.open(path)  # empty
    with pytest.raises(Unavailable):
        SqliteReader.open(path.with_name("missing.db"))
    assert not path.with_name("missing.db").exists()


def test_a_migration_that_fails_leaves_the_file_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "MIGRATIONS", ("CREATE TABLE one (x) STRICT; CREATE NONSENSE",))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        with pytest.raises(sqlite3.OperationalError):
            schema.migrate(connection)
        assert not connection.in_transaction
        assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == []


def test_only_missing_steps_are_taken(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        schema.migrate(connection)
        steps = (*schema.MIGRATIONS, "CREATE TABLE second (x INTEGER) STRICT")
        monkeypatch.setattr(schema, "MIGRATIONS", steps)
        monkeypatch.setattr(schema, "SCHEMA_VERSION", len(steps))
        schema.migrate(connection)
        assert connection.execute("SELECT count(*) FROM second").fetchone() == (0,)
        found = connection.execute("SELECT version FROM schema_version").fetchall()
        assert found == [(len(steps),)]


async def test_state_of_the_schema_before_is_all_there_after_the_step(path: Path) -> None:
    """Entries gained selectors and a template; bindings and grants stay as they are."""
    old = replace(entry(), labels=(("tier", 'pr"od'), ("ünit", "\\")))
    body = {
        name: value
        for name, value in json.loads(ENTRY.encode(old)).items()
        if name not in ("selectors", "template")
    }
    key = bound_key()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for script in schema.MIGRATIONS[:2]:
            for statement in script.split(";"):
                connection.execute(statement)
        connection.execute("CREATE TABLE schema_version (version INTEGER NOT NULL) STRICT")
        connection.execute("INSERT INTO schema_version VALUES (2)")
        connection.execute(
            "INSERT INTO entries VALUES (?, ?, ?, ?, ?)",
            (old.id, old.ek, old.parent, old.created_at, msgspec.json.encode(body)),
        )
        connection.execute(
            "INSERT INTO bindings VALUES (?, ?, ?, ?, ?, ?)",
            (key.jkt, key.spiffe_id, key.ek, key.entry, key.expires_at, BINDING.encode(key)),
        )
    store = open_store(path)
    try:
        assert await store.entry(old.id) == old
        assert await store.entries(ek=EK) == (old,)
        assert await store.binding(key.jkt) == key
        assert await store.evidence(key.jkt) is None
    finally:
        await store.close()
