"""A document that is read again and again, in a thread of its own: key sets, status lists.

Whoever asks gets what was read last, and its age, at once. Reading never happens twice at a time,
and after a try no other begins for ``interval_s``, whoever asks.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Lock, Thread
from typing import Generic, TypeVar

from keystead.errors import KeysteadError
from keystead.relying.forks import start_anew_in_children

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading(Generic[T]):
    """What was read, and when."""

    value: T
    at: int

    def age_s(self, now: int) -> int:
        """How old it is. After a clock that was wrong for a while, "in the future" is not young."""
        return abs(now - self.at)


class Refreshed(Generic[T]):
    """What ``read`` returned last; safe to share between threads.

    ``read`` is given the time. It returns the document, or raises ``KeysteadError`` or ``OSError``,
    after which the last good one stays.
    """

    def __init__(self, read: Callable[[int], T], *, name: str, interval_s: int) -> None:
        self._read = read
        self._name = name
        self._interval_s = interval_s
        self._tried_at: int | None = None
        self.last: Reading[T] | None = None
        self.last_error = "nothing fetched yet"
        self.start_anew()
        start_anew_in_children(self)

    def start_anew(self) -> None:
        """See :class:`keystead.relying.forks.Forked`. What was read stays."""
        self._lock = Lock()
        self._under_way: Future[None] | None = None

    def start(self, now: int) -> Future[None] | None:
        """The reading that is under way, begun now unless the last try is too recent.

        The future is done when the reading has ended, well or not, and never raises.
        """
        with self._lock:
            if self._under_way is not None:
                return self._under_way
            if self._tried_at is not None and abs(now - self._tried_at) < self._interval_s:
                return None
            self._tried_at = now
            self._under_way = future = Future[None]()
        try:
            Thread(target=self._run, args=(future, now), name=self._name, daemon=True).start()
        except RuntimeError as error:  # no more threads, or the interpreter is ending
            self.last_error = f"no thread to fetch in: {error}"
            self._end(future)
        return future

    def _run(self, future: Future[None], now: int) -> None:
        try:
            self.last = Reading(value=self._read(now), at=now)
        except (KeysteadError, OSError) as error:
            self.last_error = f"{type(error).__name__}: {error}"
        except Exception as error:  # a defect must not end in a verifier that waits for ever
            self.last_error = f"defect: {error!r}"
            raise
        finally:
            self._end(future)

    def _end(self, future: Future[None]) -> None:
        with self._lock:
            self._under_way = None
        future.set_result(None)
