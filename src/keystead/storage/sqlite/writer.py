"""The thread that writes: it owns the only writing connection and commits in groups.

All units that wait, up to ``MAX_BATCH_UNITS``, share one transaction and so one wait for the disk;
nobody hears of success before COMMIT has returned. When the disk fails, everybody in the batch is
told so, the connection is dropped, and the next batch tries with a new one.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from keystead.errors import KeysteadError, Reason, Unavailable
from keystead.model import ChainedEvent
from keystead.ports import EventChain
from keystead.storage.sqlite.operations.once import prune
from keystead.storage.sqlite.transaction import Unit, newest_time, run_units

# Beyond this, waiting longer for company gains nothing: the disk's wait is already shared.
MAX_BATCH_UNITS = 512
# Units that may wait. At ten thousand a second this is less than half a second of work; callers
# beyond are told to come back rather than wait past their deadlines.
MAX_QUEUED_UNITS = 4_096
# Used-once keys are kept this long after their end. Longer than clocks differ, so that a small
# step of the clock back refuses nobody.
PRUNE_MARGIN_S = 300
# How much newer the trail must be for another round of pruning.
PRUNE_EVERY_S = 10
# Rows that a transaction may forget: more than its units add, so that forgetting keeps up, and few
# enough that nobody in the batch feels it.
PRUNE_ROWS = 64
PRUNE_ROWS_PER_UNIT = 4

_Future = asyncio.Future[tuple[ChainedEvent, ...]]


@dataclass(slots=True, kw_only=True)
class QueuedUnit(Unit):
    """A unit and who waits for it."""

    loop: asyncio.AbstractEventLoop
    future: _Future


class Writer:
    """Runs units of work one group after another on its own thread."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], *, chain: EventChain) -> None:
        """``connect`` opens the writing connection, on the thread, again after each failure."""
        self._connect = connect
        self._chain = chain
        self._queue: SimpleQueue[QueuedUnit | None] = SimpleQueue()
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        self._pruned_at = 0
        self._thread = threading.Thread(target=self._run, name="keystead-store", daemon=True)
        self._thread.start()

    def submit(self, unit: QueuedUnit) -> None:
        """Queue ``unit``; its future is set when it is durable or refused.

        Raises Unavailable at once where the queue is full or the writer is closed.
        """
        if self._closed:
            raise Unavailable(Reason.SHUTTING_DOWN, "the store is closed")
        if self._queue.qsize() >= MAX_QUEUED_UNITS:
            raise Unavailable(Reason.STORE_UNAVAILABLE, f"{MAX_QUEUED_UNITS} units wait already")
        self._queue.put(unit)

    def close(self) -> None:
        """Finish what was accepted and close the connection; blocks, may be called again."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        going = True
        while going:
            units, going = self._next_batch()
            if units:
                self._commit_or_fail(units)
                _reply(units)
        self._refuse_late_units()
        self._drop_connection()

    def _next_batch(self) -> tuple[list[QueuedUnit], bool]:
        """The units that wait, at least one; and whether there may be more."""
        units: list[QueuedUnit] = []
        item = self._queue.get()
        try:
            while item is not None:
                units.append(item)
                if len(units) == MAX_BATCH_UNITS:
                    return units, True
                item = self._queue.get_nowait()
        except Empty:
            return units, True
        return units, False

    def _refuse_late_units(self) -> None:
        """Answer what another thread put behind the end of the queue."""
        while not self._queue.empty():
            if (unit := self._queue.get()) is not None:
                unit.error = Unavailable(Reason.SHUTTING_DOWN, "the store is closed")
                _reply([unit])

    def _commit_or_fail(self, units: Sequence[QueuedUnit]) -> None:
        try:
            self._commit(units)
        except Exception as error:  # whatever it is, nobody may wait for ever
            self._drop_connection()
            for unit in units:
                unit.chained = ()
                unit.error = _unavailable(error, unit)

    def _commit(self, units: Sequence[QueuedUnit]) -> None:
        if self._connection is None:
            self._connection = self._connect()
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        run_units(connection, units, chain=self._chain)
        pruned_at = self._prune(connection, units)
        connection.execute("COMMIT")
        self._pruned_at = pruned_at

    def _prune(self, connection: sqlite3.Connection, units: Sequence[Unit]) -> int:
        """Forget what ended long before these units' events; up to when that is done."""
        now = newest_time(units)
        if now < self._pruned_at + PRUNE_EVERY_S:
            return self._pruned_at
        limit = PRUNE_ROWS + PRUNE_ROWS_PER_UNIT * len(units)
        more = prune(connection, before=now - PRUNE_MARGIN_S, limit=limit)
        return self._pruned_at if more else now

    def _drop_connection(self) -> None:
        """Close it; what was not committed is gone."""
        if self._connection is not None:
            with suppress(sqlite3.Error):  # the disk that failed may fail this too
                self._connection.close()
            self._connection = None


def _unavailable(error: Exception, unit: Unit) -> Unavailable:
    reason = Reason.AUDIT_UNAVAILABLE if unit.events else Reason.STORE_UNAVAILABLE
    detail = error.detail if isinstance(error, KeysteadError) else str(error)
    unavailable = Unavailable(reason, f"nothing was written: {detail}")
    unavailable.__cause__ = error
    return unavailable


def _reply(units: Sequence[QueuedUnit]) -> None:
    """Wake each loop once for all of its units."""
    by_loop: dict[asyncio.AbstractEventLoop, list[QueuedUnit]] = {}
    for unit in units:
        by_loop.setdefault(unit.loop, []).append(unit)
    for loop, done in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle, done)
        except RuntimeError:
            continue  # that loop is closed: nobody waits there any more


def _settle(units: Sequence[QueuedUnit]) -> None:
    for unit in units:
        if unit.future.done():
            continue  # cancelled while it waited; what is durable stays
        if unit.error is not None:
            unit.future.set_exception(unit.error)
        else:
            unit.future.set_result(unit.chained)
