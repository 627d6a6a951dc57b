"""Grants: stored, required to be live, revoked with everything below them."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from keystead.errors import Conflict, NotFound, Reason, Refused
from keystead.model import (
    Grant,
    GrantId,
)
from keystead.operations import (
    PutGrant,
    RequireLiveGrant,
    RevokeGrant,
)
from keystead.storage.sqlite import rows

MAX_LIVE_GRANTS = 256
"""Of one key and one user. Every exchange may make one, and an agent that starts anew forgets its
handles; a key that comes to this many in their lifetime is collecting them."""
_LIVE = """
SELECT count(*) FROM grants
WHERE jkt = ? AND sub = ? AND revoked_at IS NULL AND expires_at > ?
"""
_PUT = """
INSERT INTO grants (id, handle_hash, parent, sub, agent, jkt, created_at, expires_at, revoked_at,
    body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
# UNION, not UNION ALL: ends even if somebody wrote a circle into the file.
_REVOKE = """
WITH RECURSIVE below (id) AS (
    VALUES (?1) UNION SELECT grants.id FROM grants JOIN below ON grants.parent = below.id
)
UPDATE grants SET revoked_at = ?2 WHERE revoked_at IS NULL AND id IN (SELECT id FROM below)
"""


def put(connection: sqlite3.Connection, operation: PutGrant) -> None:
    """Refused where its parent is not live when it is made, or where its key has too many of this
    user; Conflict for its id or handle."""
    grant = operation.grant
    if grant.parent is not None:
        _require_live(connection, grant.parent, now=grant.created_at)
    live = (grant.jkt, grant.subject.sub, grant.created_at)
    if connection.execute(_LIVE, live).fetchone()[0] >= MAX_LIVE_GRANTS:
        raise Refused(Reason.LIMIT_EXCEEDED, f"{MAX_LIVE_GRANTS} live grants of one key and user")
    if connection.execute(_PUT, _row(grant)).rowcount == 0:
        raise Conflict(Reason.CONFLICT, f"grant {grant.id} or its handle exists")


def require_live(connection: sqlite3.Connection, operation: RequireLiveGrant) -> None:
    """Refused: grant_unknown, grant_revoked, grant_expired."""
    _require_live(connection, operation.id, now=operation.now)


def revoke(connection: sqlite3.Connection, operation: RevokeGrant) -> None:
    """A second time changes nothing."""
    found = connection.execute("SELECT 1 FROM grants WHERE id = ?", (operation.id,)).fetchone()
    if found is None:
        raise NotFound(Reason.NOT_FOUND, f"grant {operation.id}")
    revoke_with_descendants(connection, operation.id, at=operation.at)


def revoke_with_descendants(
    connection: sqlite3.Connection, grant: GrantId | str, *, at: int
) -> None:
    """Revoke what is live among ``grant`` and all that were started with its tokens."""
    connection.execute(_REVOKE, (grant, at))


def _row(grant: Grant) -> tuple[object, ...]:
    return (
        grant.id,
        grant.handle_hash,
        grant.parent,
        grant.subject.sub,
        grant.agent,
        grant.jkt,
        grant.created_at,
        grant.expires_at,
        grant.revoked_at,
        rows.GRANT.encode(replace(grant, revoked_at=None)),
    )


def _require_live(connection: sqlite3.Connection, grant: GrantId, *, now: int) -> None:
    row = connection.execute(
        "SELECT revoked_at, expires_at FROM grants WHERE id = ?", (grant,)
    ).fetchone()
    if row is None:
        raise Refused(Reason.GRANT_UNKNOWN, f"grant {grant}")
    revoked_at, expires_at = row
    if revoked_at is not None:
        raise Refused(Reason.GRANT_REVOKED, f"grant {grant}")
    if expires_at <= now:
        raise Refused(Reason.GRANT_EXPIRED, f"grant {grant}")
