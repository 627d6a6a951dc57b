"""Attestation results and the keys they bind."""

from __future__ import annotations

import sqlite3

from keystead.errors import Conflict, Reason, Refused
from keystead.model import BindKey, PutResult, RequireLiveBinding
from keystead.storage.sqlite import rows

_BIND = """
INSERT INTO bindings (jkt, spiffe_id, ek, entry, expires_at, body) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET ek = excluded.ek, entry = excluded.entry,
    expires_at = excluded.expires_at, body = excluded.body
WHERE spiffe_id = excluded.spiffe_id
"""


def put_result(connection: sqlite3.Connection, operation: PutResult) -> None:
    """The id is the content's hash, so a second time changes nothing."""
    connection.execute(
        "INSERT INTO results (id, spiffe_id, expires_at, jwt) VALUES (?, ?, ?, ?) "
        "ON CONFLICT DO NOTHING",
        (operation.id, operation.spiffe_id, operation.expires_at, operation.jwt),
    )


def bind(connection: sqlite3.Connection, operation: BindKey) -> None:
    """Conflict for a key of another ID; Refused where its entry went while it was appraised."""
    key = operation.key
    entry = "SELECT 1 FROM entries WHERE id = ? AND ek = ?"
    if connection.execute(entry, (key.entry, key.ek)).fetchone() is None:
        raise Refused(Reason.NO_REGISTRATION_ENTRY, f"entry {key.entry} is not there for this EK")
    row = (key.jkt, key.spiffe_id, key.ek, key.entry, key.expires_at, rows.BINDING.encode(key))
    if connection.execute(_BIND, row).rowcount == 0:
        raise Conflict(Reason.KEY_BOUND_TO_ANOTHER_ID, f"key {key.jkt}")


def require_live(connection: sqlite3.Connection, operation: RequireLiveBinding) -> None:
    """Refused: key_not_bound, binding_expired."""
    row = connection.execute(
        "SELECT expires_at FROM bindings WHERE jkt = ? AND spiffe_id = ?",
        (operation.jkt, operation.spiffe_id),
    ).fetchone()
    if row is None:
        raise Refused(Reason.KEY_NOT_BOUND, f"key {operation.jkt}")
    if row[0] <= operation.now:
        raise Refused(Reason.BINDING_EXPIRED, f"key {operation.jkt}")
