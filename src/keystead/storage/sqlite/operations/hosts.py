"""Enrolled hosts and registration entries, and what falls with them."""

from __future__ import annotations

import sqlite3

from keystead.errors import Conflict, NotFound, Reason
from keystead.model import (
    EkId,
)
from keystead.operations import (
    EnrolHost,
    PutEntry,
    RemoveEntry,
    RemoveHost,
)
from keystead.storage.sqlite import rows
from keystead.storage.sqlite.operations.bindings import unbind


def enrol(connection: sqlite3.Connection, operation: EnrolHost) -> None:
    """Conflict where one of EK and SPIFFE ID is another host's; both the same: enrol it anew."""
    host = operation.host
    taken = connection.execute(
        "SELECT 1 FROM hosts WHERE (ek = ?1 OR spiffe_id = ?2) AND (ek, spiffe_id) <> (?1, ?2)",
        (host.ek, host.spiffe_id),
    ).fetchone()
    if taken is not None:
        raise Conflict(Reason.CONFLICT, f"EK {host.ek} or {host.spiffe_id} is another host's")
    connection.execute(
        "INSERT OR REPLACE INTO hosts (ek, spiffe_id, enrolled_at, body) VALUES (?, ?, ?, ?)",
        (host.ek, host.spiffe_id, host.enrolled_at, rows.HOST.encode(host)),
    )


def remove(connection: sqlite3.Connection, operation: RemoveHost) -> None:
    """Its entries by EK and by parent, every binding under its EK, and their grants go with it."""
    row = connection.execute(
        "DELETE FROM hosts WHERE ek = ? RETURNING spiffe_id", (operation.ek,)
    ).fetchone()
    if row is None:
        raise NotFound(Reason.NOT_FOUND, f"host {operation.ek}")
    entries = connection.execute(
        "DELETE FROM entries WHERE ek = ? OR parent = ? RETURNING id", (operation.ek, row[0])
    ).fetchall()
    for (entry,) in entries:
        unbind(connection, "entry = ?", entry, at=operation.at)
    unbind(connection, "ek = ?", operation.ek, at=operation.at)


def put_entry(connection: sqlite3.Connection, operation: PutEntry) -> None:
    """The same entry again changes nothing."""
    entry = operation.entry
    if entry.ek is not None:
        _require_host(connection, entry.ek)
    stored = connection.execute("SELECT body FROM entries WHERE id = ?", (entry.id,)).fetchone()
    if stored is None:
        connection.execute(
            "INSERT INTO entries (id, ek, parent, created_at, body) VALUES (?, ?, ?, ?, ?)",
            (entry.id, entry.ek, entry.parent, entry.created_at, rows.ENTRY.encode(entry)),
        )
    elif rows.ENTRY.decode(stored[0]) != entry:
        raise Conflict(Reason.CONFLICT, f"entry {entry.id} exists with other content")


def remove_entry(connection: sqlite3.Connection, operation: RemoveEntry) -> None:
    """Its bindings and their grants go with it."""
    removed = connection.execute("DELETE FROM entries WHERE id = ?", (operation.id,))
    if removed.rowcount == 0:
        raise NotFound(Reason.NOT_FOUND, f"entry {operation.id}")
    unbind(connection, "entry = ?", operation.id, at=operation.at)


def _require_host(connection: sqlite3.Connection, ek: EkId) -> None:
    if not connection.execute("SELECT 1 FROM hosts WHERE ek = ?", (ek,)).fetchone():
        raise NotFound(Reason.NOT_FOUND, f"host {ek}")
