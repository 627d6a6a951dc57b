"""Which proofs were seen: a proof opens one request, and never a second (RFC 9449 §11.1).

    replay = ReplayMemory(not_before=clock.now())

One memory serves one process. Several workers behind one address share a :class:`ReplayStore` of
their own making, or a proof seen by one can be replayed at another.
"""

from __future__ import annotations

from typing import Protocol

from keystead._native import replay as native
from keystead._native.replay import ReplayTable
from keystead.codec.json import MAX_INTEGER
from keystead.errors import ConfigurationError, ProofRejected, Reason, Replayed, Unavailable
from keystead.relying.steps import Step

# 1,500 requests a second for the default window of 71 seconds, in about 5 MB.
DEFAULT_CAPACITY = 100_000
# Above it an in-process memory is the wrong tool.
MAX_CAPACITY = native.MAX_CAPACITY


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
    is refused. Give 0 only where nothing ran before. Verifiers that share a memory have the same
    ``proof_max_age_s`` and ``leeway_s``: a proof is forgotten when the one that saw it would refuse
    it for its age, and must be too old for all of them then.
    """

    def __init__(self, *, capacity: int = DEFAULT_CAPACITY, not_before: int) -> None:
        if type(capacity) is not int or not 1 <= capacity <= MAX_CAPACITY:
            raise ConfigurationError(detail=f"capacity is 1 to {MAX_CAPACITY}, not {capacity!r}")
        if type(not_before) is not int or abs(not_before) > MAX_INTEGER:
            raise ConfigurationError(detail=f"not_before is Unix seconds, not {not_before!r}")
        self._capacity = capacity
        self._ages: tuple[int, int] | None = None
        self.table = ReplayTable(capacity=capacity, not_before=not_before)
        """The native table: what a batch of the engine remembers its proofs in, without the GIL."""

    def __len__(self) -> int:
        return len(self.table)

    def share(self, *, proof_max_age_s: int, leeway_s: int) -> None:
        """Serve verifiers of these settings. Raises ConfigurationError where it serves others."""
        ages = (proof_max_age_s, leeway_s)
        if self._ages not in (None, ages):
            raise ConfigurationError(
                detail="replay: verifiers that share a memory have the same proof_max_age_s and"
                f" leeway_s, here {self._ages} and {ages}"
            )
        self._ages = ages

    def refuse_before(self, time: int) -> None:
        """Move ``not_before`` forward to ``time``; it never moves back."""
        self.table.refuse_before(time)

    def remember(self, jkt: str, jti: str, *, first: int, last: int, now: int) -> None:
        """See :meth:`ReplayStore.remember`."""
        self.check(self.table.remember(jkt.encode(), jti.encode(), first, last, now))

    def check(self, verdict: int) -> None:
        """Return where ``verdict``, one of the table's, accepts a proof; else raise its error."""
        if verdict == native.SEEN:
            raise Replayed(Reason.PROOF_REPLAYED, step=Step.REPLAY)
        if verdict == native.TOO_OLD:
            detail = "made before this memory started, or before what is still remembered"
            raise ProofRejected(Reason.PROOF_TOO_OLD, detail, step=Step.REPLAY)
        if verdict != native.NEW:
            raise Unavailable(
                Reason.REPLAY_MEMORY_FULL, f"{self._capacity} proofs", step=Step.REPLAY
            )
