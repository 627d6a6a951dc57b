"""Which proofs were seen: a proof opens one request, and never a second (RFC 9449 §11.1).

    replay = ReplayMemory(not_before=clock.now())

One memory serves one process. Several workers behind one address share a :class:`ReplayStore` of
their own making, or a proof seen by one can be replayed at another.
"""

from __future__ import annotations

import hashlib
from threading import Lock
from typing import Protocol

from keystead.errors import ConfigurationError, ProofRejected, Reason, Replayed, Unavailable
from keystead.relying.steps import Step

# 1,500 requests a second for the default window of 71 seconds, in about 12 MB.
DEFAULT_CAPACITY = 100_000
# Above it an in-process memory is the wrong tool.
MAX_CAPACITY = 10_000_000


class ReplayStore(Protocol):
    """Where used proofs are remembered. Called from any thread, and at most for milliseconds."""

    def remember(self, jkt: str, jti: str, *, first: int, last: int, now: int) -> None:
        """Accept this proof now and never again.

        ``first`` and ``last`` are the earliest and the latest second in which the proof can be
        accepted by its time; it must be remembered through ``last``. Raises ``Replayed``
        (``proof_replayed``) if it is known, ``ProofRejected`` (``proof_too_old``) if it could
        have been used and forgotten, ``Unavailable`` (``replay_memory_full``) if there is no
        room: an unremembered proof is never accepted.
        """
        ...


class ReplayMemory:
    """A ``ReplayStore`` in this process's memory; safe to share between threads.

    ``capacity`` bounds how many proofs it holds; when that many are inside their windows, new ones
    are refused until the oldest expire. ``not_before`` is when it started, in Unix seconds: a
    proof that could have been accepted before, perhaps by the process that ran here before,
    is refused. Give 0 only where nothing ran before.
    """

    def __init__(self, *, capacity: int = DEFAULT_CAPACITY, not_before: int) -> None:
        if not 1 <= capacity <= MAX_CAPACITY:
            raise ConfigurationError(detail=f"capacity is 1 to {MAX_CAPACITY}, not {capacity!r}")
        self._capacity = capacity
        self._not_before = not_before
        # The latest second seen: everything whose window ended before it is forgotten.
        self._horizon = 0
        self._lock = Lock()
        self._seen: set[bytes] = set()
        # The same keys by the last second of their windows: a few dozen lists, dropped whole.
        self._by_last: dict[int, list[bytes]] = {}

    def __len__(self) -> int:
        return len(self._seen)

    def refuse_before(self, time: int) -> None:
        """Move ``not_before`` forward to ``time``; it never moves back."""
        with self._lock:
            self._not_before = max(self._not_before, time)

    def remember(self, jkt: str, jti: str, *, first: int, last: int, now: int) -> None:
        """See :meth:`ReplayStore.remember`."""
        key = hashlib.sha256(f"{jkt}\0{jti}".encode()).digest()
        with self._lock:
            self._forget(now)
            if first < self._not_before:
                raise _too_old("made before this memory started")
            # After a clock that went forward and back again, its window may have been forgotten.
            if last < self._horizon:
                raise _too_old("made before what is still remembered")
            if key in self._seen:
                raise Replayed(Reason.PROOF_REPLAYED, step=Step.REPLAY)
            if len(self._seen) >= self._capacity:
                raise Unavailable(
                    Reason.REPLAY_MEMORY_FULL, f"{self._capacity} proofs", step=Step.REPLAY
                )
            self._seen.add(key)
            self._by_last.setdefault(last, []).append(key)

    def _forget(self, now: int) -> None:
        if now <= self._horizon:
            return
        self._horizon = now
        for last in [last for last in self._by_last if last < now]:
            self._seen.difference_update(self._by_last.pop(last))


def _too_old(detail: str) -> ProofRejected:
    return ProofRejected(Reason.PROOF_TOO_OLD, detail, step=Step.REPLAY)
