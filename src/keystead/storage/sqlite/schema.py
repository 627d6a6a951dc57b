"""The tables, and how a file comes to have them."""

from __future__ import annotations

import sqlite3

from keystead.errors import ConfigurationError, Reason

_VERSION_1 = """
CREATE TABLE used_once (
    space TEXT NOT NULL, key BLOB NOT NULL, until INTEGER NOT NULL,
    PRIMARY KEY (space, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX used_once_until ON used_once (until);
CREATE TABLE forgotten (space TEXT PRIMARY KEY, until INTEGER NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE results (
    id TEXT PRIMARY KEY, spiffe_id TEXT NOT NULL, expires_at INTEGER NOT NULL, jwt TEXT NOT NULL
) STRICT;
CREATE INDEX results_expires_at ON results (expires_at);

CREATE TABLE hosts (
    ek TEXT PRIMARY KEY, spiffe_id TEXT NOT NULL UNIQUE, enrolled_at INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE TABLE entries (
    id TEXT PRIMARY KEY, ek TEXT NOT NULL, parent TEXT NOT NULL, created_at INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX entries_ek ON entries (ek);
CREATE INDEX entries_parent ON entries (parent);
CREATE TABLE bindings (
    jkt TEXT PRIMARY KEY, spiffe_id TEXT NOT NULL, ek TEXT NOT NULL, entry TEXT NOT NULL,
    expires_at INTEGER NOT NULL, body BLOB NOT NULL
) STRICT;
CREATE INDEX bindings_ek ON bindings (ek);
CREATE INDEX bindings_entry ON bindings (entry);

CREATE TABLE grants (
    id TEXT PRIMARY KEY, handle_hash BLOB NOT NULL UNIQUE, parent TEXT,
    sub TEXT NOT NULL, agent TEXT NOT NULL, jkt TEXT NOT NULL,
    created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, revoked_at INTEGER,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX grants_parent ON grants (parent) WHERE parent IS NOT NULL;
CREATE INDEX grants_jkt ON grants (jkt, sub);
CREATE INDEX grants_sub ON grants (sub, created_at);
CREATE INDEX grants_agent ON grants (agent, created_at);
CREATE INDEX grants_created_at ON grants (created_at);

CREATE TABLE keys (
    kid TEXT PRIMARY KEY, purpose TEXT NOT NULL, state TEXT NOT NULL,
    created_at INTEGER NOT NULL, body BLOB NOT NULL
) STRICT;

CREATE TABLE events (
    sequence INTEGER PRIMARY KEY, event BLOB NOT NULL, previous BLOB NOT NULL, hash BLOB NOT NULL
) STRICT;
CREATE TABLE checkpoints (sequence INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;

CREATE TABLE facts (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
"""

_VERSION_2 = """
CREATE TABLE counters (key BLOB PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE revoked_delegations (
    key BLOB PRIMARY KEY, until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""

# Evidence other than a TPM's names no EK; SQLite changes a column's constraint by a new table.
_VERSION_3 = """
CREATE TABLE entries_3 (
    id TEXT PRIMARY KEY, ek TEXT, parent TEXT, created_at INTEGER NOT NULL, body BLOB NOT NULL
) STRICT;
INSERT INTO entries_3 SELECT id, ek, parent, created_at,
    CAST(json_set(CAST(body AS TEXT), '$.selectors', json('{}'), '$.template', '') AS BLOB)
    FROM entries ORDER BY rowid;
DROP TABLE entries;
ALTER TABLE entries_3 RENAME TO entries;
CREATE INDEX entries_ek ON entries (ek);
CREATE INDEX entries_parent ON entries (parent);

CREATE TABLE bindings_3 (
    jkt TEXT PRIMARY KEY, spiffe_id TEXT NOT NULL, ek TEXT, entry TEXT NOT NULL,
    expires_at INTEGER NOT NULL, body BLOB NOT NULL
) STRICT;
INSERT INTO bindings_3 SELECT jkt, spiffe_id, ek, entry, expires_at, body FROM bindings;
DROP TABLE bindings;
ALTER TABLE bindings_3 RENAME TO bindings;
CREATE INDEX bindings_ek ON bindings (ek);
CREATE INDEX bindings_entry ON bindings (entry);
CREATE INDEX bindings_expires_at ON bindings (expires_at);

CREATE TABLE evidence (
    jkt TEXT PRIMARY KEY, until INTEGER NOT NULL, body BLOB NOT NULL
) STRICT;
CREATE INDEX evidence_until ON evidence (until);
CREATE TABLE devices (id TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT;
"""

# The step from each version to the next; a file knows in `schema_version` how many it has taken.
MIGRATIONS = (_VERSION_1, _VERSION_2, _VERSION_3)
SCHEMA_VERSION = len(MIGRATIONS)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the file to ``SCHEMA_VERSION`` in one transaction; ConfigurationError if it is newer.

    Raises sqlite3.Error where the file cannot be read or written.
    """
    if _version(connection) == SCHEMA_VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        check_version(connection)
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL) STRICT"
        )
        for script in MIGRATIONS[_version(connection) :]:
            for statement in script.split(";"):
                connection.execute(statement)
        connection.execute("DELETE FROM schema_version")
        connection.execute("INSERT INTO schema_version VALUES (?)", (SCHEMA_VERSION,))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def check_version(connection: sqlite3.Connection) -> None:
    """ConfigurationError where the file is of a newer Keystead, or of another program."""
    version = _version(connection)
    if version > SCHEMA_VERSION:
        raise ConfigurationError(
            Reason.CONFIGURATION_INVALID,
            f"the state file has schema {version}, this Keystead knows up to {SCHEMA_VERSION}: "
            "run the newer one",
        )
    if version == 0 and connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone():
        raise ConfigurationError(
            Reason.CONFIGURATION_INVALID, "the state file is another program's database"
        )


def check_current(connection: sqlite3.Connection) -> None:
    """ConfigurationError where the file does not have exactly ``SCHEMA_VERSION``."""
    check_version(connection)
    if (version := _version(connection)) != SCHEMA_VERSION:
        raise ConfigurationError(
            Reason.CONFIGURATION_INVALID,
            f"the state file has schema {version}, not {SCHEMA_VERSION}: start the service once",
        )


def _version(connection: sqlite3.Connection) -> int:
    """The file's schema version, 0 where it has no tables of ours."""
    table = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_version'"
    if connection.execute(table).fetchone() is None:
        return 0
    row = connection.execute("SELECT max(version) FROM schema_version").fetchone()
    return int(row[0] or 0)
