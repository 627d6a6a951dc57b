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
from functools import partial
from typing import Final, TypeVar, cast

from keystead.errors import KeysteadError, Reason, Unavailable
from keystead.hardware.tpm2.connection import Connection
from keystead.hardware.tpm2.queue import Job, JobQueue
from keystead.hardware.tpm2.response_codes import TpmError
from keystead.hardware.tpm2.transport import ConnectionLost, TpmHangs

# Between attempts to reconnect.
_FIRST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 0.5
# While the TPM is away nobody waits longer than this for it to come back.
AWAY_TIMEOUT_S: Final = 2.0
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
        self._away_since = 0.0
        self._connections = 0
        self._undelivered: Callable[[], None] | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def reconnects(self) -> int:
        """How often the TPM was connected to again."""
        return max(self._connections - 1, 0)

    @property
    def away(self) -> bool:
        """Whether the TPM was lost and not reached again since."""
        return self._away

    @property
    def waiting(self) -> int:
        """How many operations wait for the TPM."""
        return len(self._queue)

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
        while (job := self._next()) is not None:
            if job.expired():
                job.fail(_too_late())
            elif job.future.set_running_or_notify_cancel():
                finish = self._finished(job)
                self._deliver()
                self._undelivered = finish
        self._deliver()
        if self._connection is not None:
            self._connection.release()

    def _next(self) -> Job | None:
        job = self._queue.take_waiting()
        if job is None:
            self._deliver()
            job = self._queue.take()
        return job

    def _deliver(self) -> None:
        """Wake the caller of the previous job; the transport does so while the TPM computes.

        The caller's thread then competes for the interpreter with a thread that only waits.
        """
        finish, self._undelivered = self._undelivered, None
        if finish is not None:
            finish()

    def _finished(self, job: Job) -> Callable[[], None]:
        """Run the job; what is returned tells its caller how it went."""
        try:
            return partial(job.future.set_result, self._perform(job))
        except (KeysteadError, TpmError, ConnectionLost) as error:
            return partial(job.future.set_exception, _for_caller(error))
        except BaseException as error:  # a bug: the caller sees it, the thread lives on
            self._disconnect()
            return partial(job.future.set_exception, error)

    def _perform(self, job: Job) -> object:
        """Run the job; once more on a new connection where that can do no harm."""
        for last_try in (False, True):
            fresh = self._connection is None
            connection = self._connected(job)
            try:
                return job.operation(connection)
            except (ConnectionLost, TpmError) as error:
                if isinstance(error, TpmError) and not error.stale:
                    raise
                self._lose(error)
                if last_try or fresh or not job.repeatable or isinstance(error, TpmHangs):
                    raise
        raise AssertionError  # the second try returns or raises

    def _connected(self, job: Job) -> Connection:
        """The connection, made again if need be, for as long as the job and AWAY_TIMEOUT_S let."""
        pause_s = _FIRST_PAUSE_S
        while self._connection is None:
            self._deliver()
            try:
                self._connection = self._connect()
            except (ConnectionLost, TpmError) as error:
                self._lose(ConnectionLost(str(error)))
                give_up = min(job.deadline, self._away_since + AWAY_TIMEOUT_S)
                if time.monotonic() + pause_s >= give_up or self._queue.wait_closed(pause_s):
                    raise ConnectionLost(str(error)) from error
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            else:
                self._connection.channel.transport.meanwhile(self._deliver)
                self._connections += 1
                self._away = False
        return self._connection

    def _lose(self, error: ConnectionLost | TpmError) -> None:
        self._disconnect()
        if isinstance(error, ConnectionLost) and not self._away:
            self._away_since = time.monotonic()
            self._away = True

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
