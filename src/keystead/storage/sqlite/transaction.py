"""One transaction over many units of work; each is taken back alone if it is refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field

from keystead.model import (
    AuditEvent,
    ChainedEvent,
)
from keystead.operations import (
    Operation,
)
from keystead.ports import EventChain
from keystead.storage.sqlite import rows
from keystead.storage.sqlite.operations import run_operation

LAST_EVENT = "SELECT sequence, event, previous, hash FROM events ORDER BY sequence DESC LIMIT 1"
_APPEND = "INSERT INTO events (sequence, event, previous, hash) VALUES (?, ?, ?, ?)"

# These say that one unit was impossible (a string too long, an integer beyond 64 bits). All other
# sqlite3 errors say that the disk or the file is.
_UNIT_ERRORS = (sqlite3.DataError, sqlite3.IntegrityError, sqlite3.ProgrammingError)


@dataclass(slots=True, kw_only=True)
class Unit:
    """A unit of work, and what became of it once its transaction ran."""

    operations: Sequence[Operation]
    events: Sequence[AuditEvent]
    chained: tuple[ChainedEvent, ...] = ()
    error: Exception | None = field(default=None)


def run_units(connection: sqlite3.Connection, units: Sequence[Unit], *, chain: EventChain) -> None:
    """Run all units in the transaction that is open; each has its ``chained`` or its ``error``.

    A later unit sees what the earlier ones did. Raises sqlite3.Error where the disk fails, and
    Rejected where the chain's last event is damaged: then nothing here was done.
    """
    head = _last_event(connection) if any(unit.events for unit in units) else None
    for unit in units:
        connection.execute("SAVEPOINT unit")
        try:
            for operation in unit.operations:
                run_operation(connection, operation)
            unit.chained = _append(connection, unit.events, head, chain)
        except Exception as error:
            if _is_disk_error(error):
                raise
            connection.execute("ROLLBACK TO unit")
            unit.error = error
        connection.execute("RELEASE unit")
        if unit.chained:
            head = unit.chained[-1]


def newest_time(units: Sequence[Unit]) -> int:
    """The latest time that a unit which was not refused wrote into the trail, 0 for none."""
    return max((link.event.at for unit in units for link in unit.chained), default=0)


def _append(
    connection: sqlite3.Connection,
    events: Sequence[AuditEvent],
    head: ChainedEvent | None,
    chain: EventChain,
) -> tuple[ChainedEvent, ...]:
    chained = []
    for event in events:
        head = chain.link(head, event)
        row = (head.sequence, rows.EVENT.encode(head.event), head.previous, head.hash)
        connection.execute(_APPEND, row)
        chained.append(head)
    return tuple(chained)


def _last_event(connection: sqlite3.Connection) -> ChainedEvent | None:
    row = connection.execute(LAST_EVENT).fetchone()
    return None if row is None else rows.decode_chained(row)


def _is_disk_error(error: Exception) -> bool:
    return isinstance(error, sqlite3.Error) and not isinstance(error, _UNIT_ERRORS)
