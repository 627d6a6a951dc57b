"""Signing keys, the checkpoints they sign, and small facts."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from keystead.errors import Conflict, NotFound, Reason
from keystead.model import (
    KeyState,
    SigningKey,
)
from keystead.operations import (
    PutCheckpoint,
    PutFact,
    PutKey,
    SetKeyState,
)
from keystead.storage.sqlite import rows

# Only forward; a key that was never needed may retire without having signed.
_NEXT_STATES = {
    KeyState.PENDING: frozenset({KeyState.ACTIVE, KeyState.RETIRED}),
    KeyState.ACTIVE: frozenset({KeyState.RETIRED}),
    KeyState.RETIRED: frozenset[KeyState](),
}


def put(connection: sqlite3.Connection, operation: PutKey) -> None:
    """Conflict where the kid exists, whatever it is."""
    key = operation.key
    added = connection.execute(
        "INSERT INTO keys (kid, purpose, state, created_at, body) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT DO NOTHING",
        (key.kid, key.purpose.value, key.state.value, key.created_at, rows.KEY.encode(key)),
    )
    if added.rowcount == 0:
        raise Conflict(Reason.CONFLICT, f"key {key.kid} exists")


def set_state(connection: sqlite3.Connection, operation: SetKeyState) -> None:
    """Sets ``activates_at`` or ``retired_at`` to the time of the move; NotFound, Conflict."""
    row = connection.execute("SELECT body FROM keys WHERE kid = ?", (operation.kid,)).fetchone()
    if row is None:
        raise NotFound(Reason.NOT_FOUND, f"key {operation.kid}")
    key = _moved(rows.KEY.decode(row[0]), operation)
    connection.execute(
        "UPDATE keys SET state = ?, body = ? WHERE kid = ?",
        (key.state.value, rows.KEY.encode(key), key.kid),
    )


def put_checkpoint(connection: sqlite3.Connection, operation: PutCheckpoint) -> None:
    """Conflict unless both sequence and counter are beyond the last one's."""
    checkpoint = operation.checkpoint
    row = connection.execute(
        "SELECT body FROM checkpoints ORDER BY sequence DESC LIMIT 1"
    ).fetchone()
    if row is not None:
        last = rows.CHECKPOINT.decode(row[0])
        if checkpoint.sequence <= last.sequence or checkpoint.counter <= last.counter:
            raise Conflict(
                Reason.CONFLICT, f"the checkpoint is not ahead of that at {last.sequence}"
            )
    connection.execute(
        "INSERT INTO checkpoints (sequence, body) VALUES (?, ?)",
        (checkpoint.sequence, rows.CHECKPOINT.encode(checkpoint)),
    )


def put_fact(connection: sqlite3.Connection, operation: PutFact) -> None:
    """The newest value stays."""
    connection.execute(
        "INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)",
        (operation.name, operation.value),
    )


def _moved(key: SigningKey, operation: SetKeyState) -> SigningKey:
    if operation.state not in _NEXT_STATES[key.state]:
        raise Conflict(
            Reason.CONFLICT, f"key {key.kid} is {key.state}: it cannot become {operation.state}"
        )
    if operation.state is KeyState.ACTIVE:
        return replace(key, state=operation.state, activates_at=operation.at)
    return replace(key, state=operation.state, retired_at=operation.at)
