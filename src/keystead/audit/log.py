"""Whether a log is whole: nothing changed, nothing cut off, no older copy put in its place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from keystead.audit.chain import verify_link
from keystead.audit.checkpoints import verify_checkpoint
from keystead.errors import Reason, Rejected
from keystead.jose.jwk import JwkSet
from keystead.model import ChainedEvent, Checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class LogReport:
    """A log that passed: how many ``events``, and how many of them a checkpoint pins."""

    events: int
    pinned: int
    checkpoints: int
    last: ChainedEvent | None
    newest: Checkpoint | None


def verify_log(
    events: Iterable[ChainedEvent],
    *,
    checkpoints: Sequence[Checkpoint],
    keys: JwkSet,
    issuer: str,
    counter: int | None = None,
    announced: Checkpoint | None = None,
    witness: Checkpoint | None = None,
) -> LogReport:
    """What ``events``, the whole log from its first event, amounts to, after these checks:

    1. Every stored checkpoint, and the ``witness`` kept elsewhere, is signed by one of ``keys``
       and says what its fields say: checkpoint_invalid.
    2. Stored checkpoints go forward in sequence, and in the counter by one: audit_rolled_back.
    3. The log's newest checkpoint is not behind the witness: audit_rolled_back.
    4. The TPM's ``counter`` (None: it cannot be asked) is the newest checkpoint's, or one more and
       that of the checkpoint ``announced`` before a crash, which then has to pass 1, 2 and 6 like
       the stored ones: audit_rolled_back. A log without any checkpoint does not pass: a service
       has one before it opens its doors.
    5. Each event follows the one before it: audit_chain_broken, naming the sequence.
    6. The event at each checkpoint's sequence, the witness's too, has the checkpoint's hash, and
       the log reaches them all: audit_rolled_back.

    Events after the newest checkpoint are chained but not pinned: cutting them off again is seen
    by the next reader who keeps a later checkpoint, not before. Memory holds the checkpoints and
    one event. Raises Malformed or Rejected with the reason and the number of the check.
    """
    newest = checkpoints[-1] if checkpoints else None
    pins = [*checkpoints, *pending(newest, counter, announced)]
    check_signatures(pins, witness, keys=keys, issuer=issuer)
    check_order(pins)
    check_witness(pins[-1] if pins else None, witness)
    check_counter(newest, counter, announced)
    if witness is not None:
        pins.append(witness)
    last = check_events(events, pins)
    return LogReport(
        events=last.sequence if last else 0,
        pinned=max((pin.sequence for pin in pins), default=0),
        checkpoints=len(checkpoints),
        last=last,
        newest=newest,
    )


def check_signatures(
    checkpoints: Sequence[Checkpoint], witness: Checkpoint | None, *, keys: JwkSet, issuer: str
) -> None:
    """Step 1."""
    for checkpoint in checkpoints if witness is None else [*checkpoints, witness]:
        try:
            signed = verify_checkpoint(checkpoint.jws, keys=keys, issuer=issuer)
        except Rejected as error:
            detail = f"checkpoint at {checkpoint.sequence}: {error.detail}"
            raise Rejected(error.reason, detail, step=1) from error
        if signed != checkpoint:
            detail = f"checkpoint at {checkpoint.sequence} is not what was signed"
            raise Rejected(Reason.CHECKPOINT_INVALID, detail, step=1)


def check_order(checkpoints: Sequence[Checkpoint]) -> None:
    """Step 2."""
    for earlier, later in pairwise(checkpoints):
        if later.sequence <= earlier.sequence or later.counter != earlier.counter + 1:
            detail = f"checkpoint at {later.sequence} does not follow that at {earlier.sequence}"
            raise Rejected(Reason.AUDIT_ROLLED_BACK, detail, step=2)


def check_witness(newest: Checkpoint | None, witness: Checkpoint | None) -> None:
    """Step 3."""
    if witness is None:
        return
    if newest is None or newest.counter < witness.counter or newest.sequence < witness.sequence:
        detail = f"no checkpoint as new as the witness's at {witness.sequence}"
        raise Rejected(Reason.AUDIT_ROLLED_BACK, detail, step=3)


def pending(
    newest: Checkpoint | None, counter: int | None, announced: Checkpoint | None
) -> tuple[Checkpoint, ...]:
    """``announced`` where it is the next checkpoint and the TPM has counted for it, else none."""
    if newest is None or announced is None or counter != newest.counter + 1:
        return ()
    return (announced,) if announced.counter == counter else ()


def check_counter(
    newest: Checkpoint | None, counter: int | None, announced: Checkpoint | None
) -> None:
    """Step 4. That ``announced`` is good is not asked here: it is one more pin."""
    if counter is None:
        return
    if newest is None:
        detail = f"the TPM counted to {counter}, the log has no checkpoint"
        raise Rejected(Reason.AUDIT_ROLLED_BACK, detail, step=4)
    if counter == newest.counter or pending(newest, counter, announced):
        return
    whose = ": not this log's TPM" if counter < newest.counter else ""
    detail = f"the TPM counted to {counter}, the log to {newest.counter}{whose}"
    raise Rejected(Reason.AUDIT_ROLLED_BACK, detail, step=4)


def check_events(
    events: Iterable[ChainedEvent],
    pins: Sequence[Checkpoint],
    *,
    start: ChainedEvent | None = None,
) -> ChainedEvent | None:
    """Steps 5 and 6: the last event. The first follows ``start``."""
    waiting = sorted(pins, key=lambda pin: pin.sequence, reverse=True)
    last = start
    for event in events:
        try:
            verify_link(last, event)
        except Rejected as error:
            raise Rejected(error.reason, error.detail, step=5) from error
        while waiting and waiting[-1].sequence == event.sequence:
            _check_pin(event, waiting.pop())
        last = event
    if waiting:
        end = last.sequence if last else 0
        detail = f"the log ends at {end}, a checkpoint is at {waiting[0].sequence}"
        raise Rejected(Reason.AUDIT_ROLLED_BACK, detail, step=6)
    return last


def _check_pin(event: ChainedEvent, pin: Checkpoint) -> None:
    if event.hash != pin.hash:
        detail = f"event {event.sequence} is not the one that the checkpoint there pins"
        raise Rejected(Reason.AUDIT_ROLLED_BACK, detail, step=6)
