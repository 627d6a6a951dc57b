"""Nonces and proofs that may be used once, and forgetting them when nobody could use them again.

What was forgotten is never accepted again: when rows are deleted, the latest ``until`` among them
stays, and a key with that ``until`` or an earlier one is refused from then on, because the store
can no longer know. A clock that jumps ahead and back makes it refuse, not forget.
"""

from __future__ import annotations

import sqlite3

from keystead.errors import Reason, Replayed
from keystead.operations import (
    UseOnce,
)

REPLAY_REASONS = {
    "proof": Reason.PROOF_REPLAYED,
    "challenge": Reason.CHALLENGE_REPLAYED,
    "handover": Reason.SUBJECT_TOKEN_REPLAYED,
    "oidc": Reason.EVIDENCE_REPLAYED,
}
_USE = """
INSERT INTO used_once (space, key, until) SELECT ?1, ?2, ?3
WHERE NOT EXISTS (SELECT 1 FROM forgotten WHERE space = ?1 AND until >= ?3)
ON CONFLICT DO NOTHING
"""
_FORGET = """
DELETE FROM used_once WHERE (space, key) IN
    (SELECT space, key FROM used_once WHERE until < ?1 ORDER BY until LIMIT ?2)
RETURNING space, until
"""
_REMEMBER_FORGETTING = """
INSERT INTO forgotten (space, until) VALUES (?1, ?2)
ON CONFLICT DO UPDATE SET until = max(until, excluded.until)
"""
_PRUNE_RESULTS = """
DELETE FROM results WHERE id IN
    (SELECT id FROM results WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)
"""
_PRUNE_EVIDENCE = """
DELETE FROM evidence WHERE jkt IN
    (SELECT jkt FROM evidence WHERE until < ?1 ORDER BY until LIMIT ?2)
"""
_PRUNE_BINDINGS = """
DELETE FROM bindings WHERE jkt IN
    (SELECT jkt FROM bindings WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)
"""
BINDING_MEMORY_S = 30 * 86_400
"""How long a key stays its workload's after its binding ended. A build job's key is new each time
and its binding would stay for ever."""


def use(connection: sqlite3.Connection, operation: UseOnce) -> None:
    """Remember the key, or raise Replayed with the reason of its space."""
    reason = REPLAY_REASONS[operation.space]
    row = (operation.space, operation.key, operation.until)
    if connection.execute(_USE, row).rowcount == 0:
        raise Replayed(reason)


def prune(connection: sqlite3.Connection, *, before: int, limit: int) -> bool:
    """Delete up to ``limit`` rows of each kind that ended before that time; whether more may have.

    The oldest go first, so that what is forgotten stays behind what is remembered.
    """
    forgotten = connection.execute(_FORGET, (before, limit)).fetchall()
    latest: dict[str, int] = {}
    for space, until in forgotten:
        latest[space] = max(until, latest.get(space, until))
    connection.executemany(_REMEMBER_FORGETTING, list(latest.items()))
    deleted = [
        connection.execute(_PRUNE_RESULTS, (before, limit)).rowcount,
        connection.execute(_PRUNE_EVIDENCE, (before, limit)).rowcount,
        connection.execute(_PRUNE_BINDINGS, (before - BINDING_MEMORY_S, limit)).rowcount,
    ]
    return max(len(forgotten), *deleted) >= limit
