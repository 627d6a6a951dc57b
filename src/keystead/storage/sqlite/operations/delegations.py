"""Revoked delegations: until when a user's tokens start nothing any more."""

from __future__ import annotations

import hashlib
import sqlite3

from keystead.errors import Reason, Refused
from keystead.operations import (
    Delegation,
    RefuseEarlierSubjects,
    RequireLaterSubject,
)

_REFUSE = """
INSERT INTO revoked_delegations (key, until) VALUES (?1, ?2)
ON CONFLICT DO UPDATE SET until = max(until, excluded.until)
"""
_UNTIL = "SELECT until FROM revoked_delegations WHERE key = ?"


def refuse_earlier(connection: sqlite3.Connection, operation: RefuseEarlierSubjects) -> None:
    """The time only moves forward."""
    connection.execute(_REFUSE, (_key(operation.delegation), operation.at))


def require_later(connection: sqlite3.Connection, operation: RequireLaterSubject) -> None:
    """A token of the very second of the revocation is refused too."""
    row = connection.execute(_UNTIL, (_key(operation.delegation),)).fetchone()
    if row is not None and operation.issued_at <= row[0]:
        raise Refused(Reason.GRANT_REVOKED, "the user's token is older than the revocation")


def _key(delegation: Delegation) -> bytes:
    """Each name with its length, so that no two delegations can be spelled alike."""
    names = (
        delegation.subject_issuer,
        delegation.sub,
        delegation.agent,
        delegation.audience,
    )
    digest = hashlib.sha256()
    for name in names:
        text = name.encode()
        digest.update(len(text).to_bytes(4, "big") + text)
    return digest.digest()
