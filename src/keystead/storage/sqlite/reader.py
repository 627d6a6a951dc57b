"""The queries, on a connection that cannot write.

The service holds one of these for look-ups by key, which take some 10 µs and run on the event
loop, and one on a thread for lists. A tool may open one beside the service, or after it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path

from keystead.errors import Reason, Unavailable
from keystead.model import (
    BoundKey,
    ChainedEvent,
    Checkpoint,
    EkId,
    EnrolledHost,
    Grant,
    GrantId,
    Jkt,
    KeptEvidence,
    KeyPurpose,
    KeyState,
    Kid,
    RegistrationEntry,
    ResultId,
    SigningKey,
    SpiffeId,
)
from keystead.storage.sqlite import files, rows, schema
from keystead.storage.sqlite.transaction import LAST_EVENT

# Events that are in memory at once while a log is read from end to end.
_PAGE_BINDINGS = 500
_PAGE_EVENTS = 1_000

_Row = tuple[object, ...]


class SqliteReader:
    """Typed queries; each raises Unavailable (store_unavailable) where the file cannot be read."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    def open(cls, path: Path) -> SqliteReader:
        """A reader of ``path``; ConfigurationError where it is no state file of our schema."""
        try:
            with ExitStack() as stack:
                connection = stack.enter_context(closing(files.connect_reader(path)))
                schema.check_current(connection)
                stack.pop_all()
        except sqlite3.Error as error:
            raise Unavailable(Reason.STORE_UNAVAILABLE, f"{path}: {error}") from error
        return cls(connection)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    # --- by key -------------------------------------------------------------------------------

    def seen(self, space: str, key: bytes) -> bool:
        sql = "SELECT 1 FROM used_once WHERE space = ? AND key = ?"
        return self._one(sql, space, key) is not None

    def counter(self, key: bytes) -> int | None:
        row = self._one("SELECT value FROM counters WHERE key = ?", key)
        return row[0] if row is not None and isinstance(row[0], int) else None

    def binding(self, jkt: Jkt) -> BoundKey | None:
        row = self._one("SELECT body FROM bindings WHERE jkt = ?", jkt)
        return None if row is None else rows.BINDING.decode(row[0])

    def evidence(self, jkt: Jkt) -> KeptEvidence | None:
        row = self._one("SELECT body FROM evidence WHERE jkt = ?", jkt)
        return None if row is None else rows.EVIDENCE.decode(row[0])

    def device(self, id: str) -> KeptEvidence | None:
        row = self._one("SELECT body FROM devices WHERE id = ?", id)
        return None if row is None else rows.EVIDENCE.decode(row[0])

    def result(self, id: ResultId) -> str | None:
        row = self._one("SELECT jwt FROM results WHERE id = ?", id)
        return None if row is None else str(row[0])

    def host(self, ek: EkId) -> EnrolledHost | None:
        row = self._one("SELECT body FROM hosts WHERE ek = ?", ek)
        return None if row is None else rows.HOST.decode(row[0])

    def host_named(self, spiffe_id: SpiffeId) -> EnrolledHost | None:
        row = self._one("SELECT body FROM hosts WHERE spiffe_id = ?", spiffe_id)
        return None if row is None else rows.HOST.decode(row[0])

    def entry(self, id: str) -> RegistrationEntry | None:
        row = self._one("SELECT body FROM entries WHERE id = ?", id)
        return None if row is None else rows.ENTRY.decode(row[0])

    def grant(self, id: GrantId) -> Grant | None:
        row = self._one("SELECT body, revoked_at FROM grants WHERE id = ?", id)
        return None if row is None else rows.decode_grant(row)

    def grant_by_handle(self, handle_hash: bytes) -> Grant | None:
        row = self._one("SELECT body, revoked_at FROM grants WHERE handle_hash = ?", handle_hash)
        return None if row is None else rows.decode_grant(row)

    def key(self, kid: Kid) -> SigningKey | None:
        row = self._one("SELECT body FROM keys WHERE kid = ?", kid)
        return None if row is None else rows.KEY.decode(row[0])

    def last_event(self) -> ChainedEvent | None:
        row = self._one(LAST_EVENT)
        return None if row is None else rows.decode_chained(row)

    def last_checkpoint(self) -> Checkpoint | None:
        row = self._one("SELECT body FROM checkpoints ORDER BY sequence DESC LIMIT 1")
        return None if row is None else rows.CHECKPOINT.decode(row[0])

    def fact(self, name: str) -> bytes | None:
        row = self._one("SELECT value FROM facts WHERE name = ?", name)
        return row[0] if row is not None and isinstance(row[0], bytes) else None

    # --- lists --------------------------------------------------------------------------------

    def hosts(self) -> tuple[EnrolledHost, ...]:
        found = self._all("SELECT body FROM hosts", {}, "ORDER BY enrolled_at, rowid")
        return tuple(rows.HOST.decode(body) for (body,) in found)

    def entries(
        self, *, ek: EkId | None = None, parent: SpiffeId | None = None
    ) -> tuple[RegistrationEntry, ...]:
        found = self._all(
            "SELECT body FROM entries", {"ek": ek, "parent": parent}, "ORDER BY created_at, rowid"
        )
        return tuple(rows.ENTRY.decode(body) for (body,) in found)

    def entries_without_host(self) -> tuple[RegistrationEntry, ...]:
        found = self._all(
            "SELECT body FROM entries", {}, "WHERE ek IS NULL ORDER BY created_at, rowid"
        )
        return tuple(rows.ENTRY.decode(body) for (body,) in found)

    def bindings(
        self, *, live_at: int, after: str = "", limit: int = _PAGE_BINDINGS
    ) -> tuple[BoundKey, ...]:
        found = self._all(
            "SELECT body FROM bindings",
            {},
            "WHERE jkt > ? AND expires_at > ? ORDER BY jkt LIMIT ?",
            after,
            live_at,
            limit,
        )
        return tuple(rows.BINDING.decode(body) for (body,) in found)

    def grants(
        self, *, sub: str | None = None, agent: SpiffeId | None = None, limit: int = 1000
    ) -> tuple[Grant, ...]:
        found = self._all(
            "SELECT body, revoked_at FROM grants",
            {"sub": sub, "agent": agent},
            "ORDER BY created_at DESC, rowid DESC LIMIT ?",
            limit,
        )
        return tuple(rows.decode_grant(row) for row in found)

    def keys(
        self, *, purpose: KeyPurpose | None = None, state: KeyState | None = None
    ) -> tuple[SigningKey, ...]:
        found = self._all(
            "SELECT body FROM keys",
            {"purpose": purpose, "state": state},
            "ORDER BY created_at, rowid",
        )
        return tuple(rows.KEY.decode(body) for (body,) in found)

    def events(self, *, after: int = 0, limit: int = 1000) -> tuple[ChainedEvent, ...]:
        found = self._all(
            "SELECT sequence, event, previous, hash FROM events",
            {},
            "WHERE sequence > ? ORDER BY sequence LIMIT ?",
            after,
            limit,
        )
        return tuple(rows.decode_chained(row) for row in found)

    def iterate_events(self, *, after: int = 0) -> Iterator[ChainedEvent]:
        """All events above ``after``, in order, a page at a time: any log fits in memory."""
        while page := self.events(after=after, limit=_PAGE_EVENTS):
            yield from page
            after = page[-1].sequence

    def checkpoints(self) -> tuple[Checkpoint, ...]:
        found = self._all("SELECT body FROM checkpoints", {}, "ORDER BY sequence")
        return tuple(rows.CHECKPOINT.decode(body) for (body,) in found)

    def _one(self, sql: str, *parameters: object) -> _Row | None:
        try:
            row: _Row | None = self._connection.execute(sql, parameters).fetchone()
        except sqlite3.Error as error:
            raise Unavailable(Reason.STORE_UNAVAILABLE, str(error)) from error
        return row

    def _all(
        self, select: str, filters: Mapping[str, str | None], rest: str, *parameters: int | str
    ) -> list[_Row]:
        """The rows whose columns equal the filters that are not None; names are ours alone."""
        given = {name: value for name, value in filters.items() if value is not None}
        where = " AND ".join(f"{name} = ?" for name in given)
        sql = f"{select} WHERE {where} {rest}" if where else f"{select} {rest}"
        try:
            return self._connection.execute(sql, (*given.values(), *parameters)).fetchall()
        except sqlite3.Error as error:
            raise Unavailable(Reason.STORE_UNAVAILABLE, str(error)) from error
