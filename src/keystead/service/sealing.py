"""Sealing the trail: a checkpoint is announced, counted in the TPM, stored; a crash loses none.

The announcement is the checkpoint itself, signed over the value that the counter is about to have.
Whoever writes the state file can put one back that the audit key signed, but then the log must have
what it pins; and each new checkpoint is signed only over events that follow the newest one's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from keystead.audit import CheckpointClaims, checkpoint_signing_input, parse_checkpoint
from keystead.audit.checkpoints import (
    ANNOUNCED_CHECKPOINT,
    COUNTER_BASELINE,
    parse_announced,
    parse_baseline,
)
from keystead.audit.log import check_counter, check_events, check_order, check_signatures, pending
from keystead.errors import NotFound, Reason, Rejected
from keystead.model import (
    AuditAction,
    AuditEvent,
    ChainedEvent,
    Checkpoint,
    KeyPurpose,
)
from keystead.operations import (
    PutCheckpoint,
    PutFact,
)
from keystead.ports import Clock, SigningHardware, Store
from keystead.service.keyring import Keyring

SERVICE = "keystead"
PAGE_EVENTS = 1000
FIRST_START = frozenset(
    {AuditAction.KEY_CREATED, AuditAction.SERVICE_STARTED, AuditAction.POLICY_CHANGED}
)
"""All that a service writes before its doors open for the first time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealingState:
    """What is stored and what the TPM counted, of one moment."""

    checkpoints: tuple[Checkpoint, ...]
    counter: int
    announced: Checkpoint | None


class Sealing:
    """Makes checkpoints, one at a time, each one count after the last."""

    def __init__(
        self,
        *,
        issuer: str,
        store: Store,
        hardware: SigningHardware,
        keyring: Keyring,
        clock: Clock,
    ) -> None:
        self._issuer = issuer
        self._store = store
        self._hardware = hardware
        self._keyring = keyring
        self._clock = clock
        self._lock = asyncio.Lock()

    async def state(self) -> SealingState:
        """For an auditor; waits while a checkpoint is made."""
        async with self._lock:
            return SealingState(
                checkpoints=await self._store.checkpoints(),
                counter=await self._hardware.read_counter(),
                announced=await self._announced(),
            )

    async def open(self) -> None:
        """Compare the counts before anything is written, and before there are keys to verify with.

        The first start takes the counter's value as its own. Rejected(audit_rolled_back) when the
        TPM has counted further than this trail: an older copy of the state folder was put back.
        """
        newest = await self._store.last_checkpoint()
        if newest is not None:
            check_counter(newest, await self._hardware.read_counter(), await self._announced())
            return
        await self._check_first_start()
        if parse_baseline(await self._store.fact(COUNTER_BASELINE)) is None:
            baseline = str(await self._hardware.increment_counter()).encode()
            await self._store.apply([PutFact(name=COUNTER_BASELINE, value=baseline)], events=())
        await self._due(None)

    async def resume(self) -> None:
        """Check the trail from the newest checkpoint on, and store the one that a crash left out.

        Rejected: audit_rolled_back, audit_chain_broken or checkpoint_invalid.
        """
        async with self._lock:
            await self._settle()

    async def seal(self, *, caller: str) -> Checkpoint:
        """Sign what the counter will say, store that, count, and store it as the checkpoint.

        Rejected as :meth:`resume`, and when somebody else counted in between.
        """
        async with self._lock:
            last, counter = await self._settle()
            if last is None:
                raise NotFound(Reason.NOT_FOUND, "no event yet")
            checkpoint = await self._sign(last, counter=counter + 1)
            announced = PutFact(name=ANNOUNCED_CHECKPOINT, value=checkpoint.jws.encode())
            await self._store.apply([announced], events=())
            reached = await self._hardware.increment_counter()
            if reached != checkpoint.counter:
                raise _rolled_back(f"the TPM counted to {reached}, not {checkpoint.counter}")
            await self._put(checkpoint, caller=caller)
        return checkpoint

    async def _settle(self) -> tuple[ChainedEvent | None, int]:
        """The last event, which follows from the newest checkpoint, and that one's counter."""
        newest = await self._store.last_checkpoint()
        due, counter = await self._due(newest)
        if newest is None:
            await self._check_first_start()
        keys = self._keyring.key_set(KeyPurpose.AUDIT)
        if newest is not None:
            check_signatures([newest], None, keys=keys, issuer=self._issuer)
        pins = [pin for pin in (newest, due) if pin is not None]
        if due is not None:
            try:
                check_signatures([due], None, keys=keys, issuer=self._issuer)
                check_order(pins)
            except Rejected as error:
                raise _rolled_back(f"what was announced: {error.detail}") from error
        last = await self._follow(pins)
        if due is not None:
            await self._put(due, caller=SERVICE)
            last = await self._store.last_event()
        return last, counter

    async def _due(self, newest: Checkpoint | None) -> tuple[Checkpoint | None, int]:
        """The checkpoint that the TPM counted for and that is not stored, and the TPM's counter."""
        counter = await self._hardware.read_counter()
        announced = await self._announced()
        if newest is not None:
            check_counter(newest, counter, announced)
            due = pending(newest, counter, announced)
            return (due[0] if due else None), counter
        baseline = parse_baseline(await self._store.fact(COUNTER_BASELINE))
        if baseline is None or counter not in (baseline, baseline + 1):
            raise _rolled_back(f"the TPM counted to {counter}, the log has no checkpoint")
        if counter == baseline:
            return None, counter
        if announced is None or announced.counter != counter:
            raise _rolled_back(f"the TPM counted to {counter}, nothing was announced")
        return announced, counter

    async def _announced(self) -> Checkpoint | None:
        return parse_announced(await self._store.fact(ANNOUNCED_CHECKPOINT))

    async def _check_first_start(self) -> None:
        """Without a checkpoint a log has nothing in it but what the first start writes."""
        after = 0
        while page := await self._store.events(after=after, limit=PAGE_EVENTS):
            for event in page:
                if event.event.action not in FIRST_START:
                    raise _rolled_back(f"no checkpoint, but {event.event.action} happened")
            after = page[-1].sequence

    async def _follow(self, pins: Sequence[Checkpoint]) -> ChainedEvent | None:
        """The last event, after a walk from the first pin's event, whose own hash is computed too.

        Without it a log could be rewritten before the pinned event, and be sealed again.
        """
        waiting = list(pins)
        start = None
        if waiting and waiting[0].sequence > 1:
            before = await self._store.events(after=waiting[0].sequence - 2, limit=1)
            start = before[0] if before else None
        last = start
        while page := await self._store.events(
            after=last.sequence if last else 0, limit=PAGE_EVENTS
        ):
            reached = [pin for pin in waiting if pin.sequence <= page[-1].sequence]
            last = await asyncio.to_thread(check_events, page, reached, start=last)
            waiting = waiting[len(reached) :]
        check_events((), waiting, start=last)
        return last

    async def _sign(self, last: ChainedEvent, *, counter: int) -> Checkpoint:
        claims = CheckpointClaims(
            issuer=self._issuer,
            sequence=last.sequence,
            hash=last.hash,
            counter=counter,
            at=self._clock.now(),
        )
        key = self._keyring.active(KeyPurpose.AUDIT)
        signing_input = checkpoint_signing_input(claims, kid=key.kid, algorithm=key.algorithm)
        return parse_checkpoint(await self._keyring.sign_input(key, signing_input))

    async def _put(self, checkpoint: Checkpoint, *, caller: str) -> None:
        event = AuditEvent(
            action=AuditAction.CHECKPOINT_SIGNED,
            at=self._clock.now(),
            caller=caller,
            object=str(checkpoint.sequence),
            detail={"counter": checkpoint.counter, "kid": checkpoint.kid},
        )
        await self._store.apply([PutCheckpoint(checkpoint=checkpoint)], events=[event])


def _rolled_back(detail: str) -> Rejected:
    return Rejected(Reason.AUDIT_ROLLED_BACK, detail, step=4)
