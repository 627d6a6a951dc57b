"""The bounded queue in front of the owner thread."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future

from keystead.errors import Reason, Unavailable
from keystead.hardware.tpm2.connection import Connection


class Job:
    """One operation, its future, and until when (monotonic seconds) anybody waits for it."""

    __slots__ = ("deadline", "future", "operation", "repeatable")

    def __init__(
        self, operation: Callable[[Connection], object], *, deadline: float, repeatable: bool
    ) -> None:
        self.operation = operation
        self.deadline = deadline
        self.repeatable = repeatable
        self.future: Future[object] = Future()

    def expired(self) -> bool:
        """Whether nobody waits any more."""
        return self.future.cancelled() or time.monotonic() >= self.deadline

    def fail(self, error: Exception) -> None:
        """Answer with ``error`` unless the caller left."""
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)


class JobQueue:
    """First in, first out; refuses at once when ``limit`` callers wait."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        """How many jobs wait."""
        return len(self._jobs)

    def put(self, job: Job) -> None:
        """Raises Unavailable: hardware_busy when full, shutting_down after :meth:`close`."""
        with self._changed:
            if self._closed:
                raise Unavailable(Reason.SHUTTING_DOWN, "the TPM is being closed")
            if len(self._jobs) >= self._limit:
                self._jobs = deque(waiting for waiting in self._jobs if not waiting.expired())
            if len(self._jobs) >= self._limit:
                raise Unavailable(Reason.HARDWARE_BUSY, f"{self._limit} operations wait")
            self._jobs.append(job)
            self._changed.notify()

    def take_waiting(self) -> Job | None:
        """The next job if there is one, without waiting."""
        with self._changed:
            return self._jobs.popleft() if self._jobs else None

    def take(self) -> Job | None:
        """The next job, waiting for one; None once closed."""
        with self._changed:
            while not self._jobs and not self._closed:
                self._changed.wait()
            return self._jobs.popleft() if not self._closed else None

    def close(self) -> list[Job]:
        """Refuse new jobs, and return those that were waiting."""
        with self._changed:
            self._closed = True
            waiting = list(self._jobs)
            self._jobs.clear()
            self._changed.notify_all()
            return waiting

    def wait_closed(self, timeout_s: float) -> bool:
        """Sleep, but only until :meth:`close`; True once closed."""
        with self._changed:
            return self._changed.wait_for(lambda: self._closed, timeout_s)
