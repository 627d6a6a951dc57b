"""Attestation results, the keys they bind, and the evidence that is kept of them."""

from __future__ import annotations

import sqlite3

from keystead.errors import Conflict, Reason, Refused
from keystead.operations import (
    BindKey,
    EndBinding,
    KeepDevice,
    KeepEvidence,
    PutResult,
    RequireLiveBinding,
)
from keystead.storage.sqlite import rows
from keystead.storage.sqlite.operations.grants import revoke_with_descendants

_BIND = """
INSERT INTO bindings (jkt, spiffe_id, ek, entry, expires_at, body) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET ek = excluded.ek, entry = excluded.entry,
    expires_at = excluded.expires_at, body = excluded.body
WHERE spiffe_id = excluded.spiffe_id
"""
_KEEP = """
INSERT INTO evidence (jkt, until, body) VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET until = excluded.until, body = excluded.body
"""
_KEEP_DEVICE = """
INSERT INTO devices (id, body) VALUES (?, ?) ON CONFLICT DO UPDATE SET body = excluded.body
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
    entry = "SELECT 1 FROM entries WHERE id = ? AND ek IS ?"
    if connection.execute(entry, (key.entry, key.ek)).fetchone() is None:
        raise Refused(Reason.NO_REGISTRATION_ENTRY, f"entry {key.entry} is not there for this EK")
    row = (key.jkt, key.spiffe_id, key.ek, key.entry, key.expires_at, rows.BINDING.encode(key))
    if connection.execute(_BIND, row).rowcount == 0:
        raise Conflict(Reason.KEY_BOUND_TO_ANOTHER_ID, f"key {key.jkt}")


def keep_evidence(connection: sqlite3.Connection, operation: KeepEvidence) -> None:
    """One row a key: the latest, or none where that is not kept."""
    if operation.evidence is None:
        connection.execute("DELETE FROM evidence WHERE jkt = ?", (operation.jkt,))
        return
    row = (operation.jkt, operation.until, rows.EVIDENCE.encode(operation.evidence))
    connection.execute(_KEEP, row)


def keep_device(connection: sqlite3.Connection, operation: KeepDevice) -> None:
    """That a key of a device is attested once is kept by its counter (``RaiseCounter``)."""
    body = rows.EVIDENCE.encode(operation.evidence)
    connection.execute(_KEEP_DEVICE, (operation.device, body))


def end(connection: sqlite3.Connection, operation: EndBinding) -> None:
    """The binding, the evidence for it, and the grants of its key."""
    unbind(connection, "jkt = ?", operation.jkt, at=operation.at)


def unbind(connection: sqlite3.Connection, where: str, value: str, *, at: int) -> None:
    """End the bindings that ``where`` (ours, with one parameter) names, and what hangs on them."""
    ended = connection.execute(
        f"DELETE FROM bindings WHERE {where} RETURNING jkt",  # noqa: S608
        (value,),
    ).fetchall()
    for (jkt,) in ended:
        connection.execute("DELETE FROM evidence WHERE jkt = ?", (jkt,))
        live = "SELECT id FROM grants WHERE jkt = ? AND revoked_at IS NULL"
        for (grant,) in connection.execute(live, (jkt,)).fetchall():
            revoke_with_descendants(connection, grant, at=at)


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
