"""The one thread that talks to a TPM.

A TPM runs one command at a time and keeps what clients leave in it, so one thread owns the
connection. When the TPM dies, restarts or hangs the thread reconnects with a growing pause; in
the meantime callers get Unavailable at their own deadline, however long the thread itself is
stuck.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, TypeVar, cast

from keystead.errors import KeysteadError, Reason, Unavailable
from keystead.hardware.tpm2.connection import Connection
from keystead.hardware.tpm2.queue import Job, JobQueue
from keystead.hardware.tpm2.response_codes import TpmError
from keystead.hardware.tpm2.transport import ConnectionLost

# Between attempts to reconnect: quick for a restart, then no more often than once a second.
_FIRST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 1.0
# Once an attempt to connect has failed, nobody waits longer than this for the next one.
AWAY_TIMEOUT_S: Final = 1.0
# How long close() waits for the command that is under way.
_CLOSE_TIMEOUT_S: Final = 2.0

_Result = TypeVar("_Result")
Connect = Callable[[], Connection]


class TpmOwner:
    """Runs operations on one TPM in the order in which they come."""

    def __init__(self, connect: Connect, *, queue_limit: int, name: str) -> None:
        self._connect = connect
        self._queue = JobQueue(queue_limit)
        self._connection: Connection | None = None
        self._away = False
        self._reconnects = -1
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def reconnects(self) -> int:
        """How often the TPM was connected to again."""
        return max(self._reconnects, 0)

    @property
    def away(self) -> bool:
        """Whether the last attempt to reach the TPM failed."""
        return self._away

    def submit(
        self, operation: Callable[[Connection], _Result], *, timeout_s: float, repeatable: bool
    ) -> tuple[Future[_Result], float]:
        """The future of ``operation`` and how many seconds to wait for it.

        Raises:
            Unavailable: the queue is full, or the owner is closed.
        """
        patience_s = min(timeout_s, AWAY_TIMEOUT_S) if self._away else timeout_s
        deadline = time.monotonic() + patience_s
        job = Job(operation, deadline=deadline, repeatable=repeatable)
        self._queue.put(job)
        return cast("Future[_Result]", job.future), patience_s

    def close(self) -> None:
        """Fail what waits, let the running command end, close the connection."""
        for job in self._queue.close():
            job.fail(Unavailable(Reason.SHUTTING_DOWN, "the TPM is being closed"))
        if threading.current_thread() is not self._thread:
            self._thread.join(_CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        while (job := self._queue.take()) is not None:
            if job.expired():
                job.fail(_too_late())
            elif job.future.set_running_or_notify_cancel():
                self._answer(job)
        self._disconnect()

    def _answer(self, job: Job) -> None:
        try:
            result = self._perform(job)
        except (KeysteadError, TpmError, ConnectionLost) as error:
            job.future.set_exception(_for_caller(error))
        except BaseException as error:  # a bug: the caller sees it, the thread lives on
            self._disconnect()
            job.future.set_exception(error)
        else:
            job.future.set_result(result)

    def _perform(self, job: Job) -> object:
        """Run the job; once more on a new connection where that can do no harm."""
        fresh = self._connection is None
        try:
            return job.operation(self._connected(job))
        except (ConnectionLost, TpmError) as error:
            if isinstance(error, TpmError) and not error.stale:
                raise
            self._disconnect()
            if fresh or not job.repeatable:
                raise
        return job.operation(self._connected(job))

    def _connected(self, job: Job) -> Connection:
        pause_s = _FIRST_PAUSE_S
        while self._connection is None:
            try:
                self._connection = self._connect()
                self._reconnects += 1
                self._away = False
            except (ConnectionLost, TpmError) as error:
                self._away = True
                for dropped in self._queue.drop_expired():
                    dropped.fail(_too_late())
                if time.monotonic() + pause_s >= job.deadline or self._queue.wait_closed(pause_s):
                    raise ConnectionLost(str(error)) from error
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _too_late() -> Unavailable:
    return Unavailable(Reason.HARDWARE_UNAVAILABLE, "the TPM did not get to it in time")


def _for_caller(error: Exception) -> Exception:
    if isinstance(error, TpmError):
        return error.for_caller()
    if isinstance(error, ConnectionLost):
        return Unavailable(Reason.HARDWARE_UNAVAILABLE, str(error))
    return error
