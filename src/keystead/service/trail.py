"""AuditService: the trail, read, followed, and sealed with checkpoints.

A checkpoint says how long the chain is and where it ends, is signed by the audit key in the TPM,
and holds the TPM's NV counter, which cannot be turned back with the disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from keystead.audit import (
    CheckpointClaims,
    RefusalAggregator,
    checkpoint_signing_input,
    encode_event,
    parse_checkpoint,
)
from keystead.audit.checkpoints import ANNOUNCED_COUNTER, parse_announced_counter
from keystead.audit.log import check_counter
from keystead.codec.json import JSON
from keystead.errors import KeysteadError, NotFound, Reason, Unavailable
from keystead.model import (
    AuditAction,
    AuditEvent,
    ChainedEvent,
    Checkpoint,
    KeyPurpose,
    PutCheckpoint,
    PutFact,
)
from keystead.ports import Clock, SigningHardware, Store
from keystead.service.keyring import Keyring, jwks_document
from keystead.service.presenter import Presenter
from keystead.service.roles import Caller, Role, require

MAX_EVENTS_A_PAGE = 1000
TAIL_POLL_S = 0.2
"""How often a follower looks; events are rarer than a database look-up is cheap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seals:
    """Every checkpoint, oldest first, the audit keys, and the TPM's counter as it is now."""

    issuer: str
    checkpoints: tuple[Checkpoint, ...]
    jwks: dict[str, JSON]
    counter: int
    announced: int


def encoded_event(event: ChainedEvent) -> bytes:
    """The canonical JSON that an event's hash covers."""
    return encode_event(event.event)


class Trail:
    """The audit use cases."""

    def __init__(
        self,
        *,
        issuer: str,
        store: Store,
        hardware: SigningHardware,
        keyring: Keyring,
        clock: Clock,
        refusals: RefusalAggregator,
    ) -> None:
        self._issuer = issuer
        self._store = store
        self._hardware = hardware
        self._keyring = keyring
        self._clock = clock
        self._refusals = refusals
        self._sealing = asyncio.Lock()

    async def page(self, caller: Caller, *, after: int, limit: int) -> Sequence[ChainedEvent]:
        """Events after a sequence number, at most a page of them."""
        require(caller, Role.OPERATOR, Role.ADMIN_SOCKET)
        page = min(limit, MAX_EVENTS_A_PAGE) if limit > 0 else MAX_EVENTS_A_PAGE
        return await self._store.events(after=max(after, 0), limit=page)

    async def tail(self, caller: Caller, *, after: int) -> AsyncIterator[ChainedEvent]:
        """Events as they come, until the caller goes away."""
        require(caller, Role.OPERATOR, Role.ADMIN_SOCKET)
        last = max(after, 0)
        while True:
            events = await self._store.events(after=last, limit=MAX_EVENTS_A_PAGE)
            for event in events:
                yield event
                last = event.sequence
            if not events:
                await asyncio.sleep(TAIL_POLL_S)

    async def checkpoint(self, caller: Caller) -> Checkpoint:
        """Seal the chain as it stands now."""
        require(caller, Role.OPERATOR, Role.ADMIN_SOCKET)
        return await self.seal(caller=caller.name)

    async def seals(self, caller: Caller) -> Seals:
        """The checkpoints, and what it takes to check them against the TPM."""
        require(caller, Role.OPERATOR, Role.ADMIN_SOCKET)
        return Seals(
            issuer=self._issuer,
            checkpoints=await self._store.checkpoints(),
            jwks=jwks_document(self._keyring.verification_keys(KeyPurpose.AUDIT)),
            counter=await self._hardware.read_counter(),
            announced=parse_announced_counter(await self._store.fact(ANNOUNCED_COUNTER)),
        )

    async def seal(self, *, caller: str) -> Checkpoint:
        """Count once more in the TPM, sign, store."""
        async with self._sealing:
            last = await self._store.last_event()
            if last is None:
                raise NotFound(Reason.NOT_FOUND, "no event yet")
            checkpoint = await self._sign(last, counter=await self._count())
            event = AuditEvent(
                action=AuditAction.CHECKPOINT_SIGNED,
                at=checkpoint.at,
                caller=caller,
                object=str(last.sequence),
                detail={"counter": checkpoint.counter, "kid": checkpoint.kid},
            )
            await self._store.apply([PutCheckpoint(checkpoint=checkpoint)], events=[event])
        return checkpoint

    async def open(self) -> None:
        """Compare the trail with the TPM's counter before anything is written to it.

        The first start takes the counter's value as its own. Rejected(audit_rolled_back) when the
        TPM has counted further than this trail: an older copy of the state folder was put back.
        """
        if await self._store.fact(ANNOUNCED_COUNTER) is None:
            await self._announce(await self._hardware.increment_counter())
        await self._check_counter()

    async def _check_counter(self) -> tuple[Checkpoint | None, int]:
        newest = await self._store.last_checkpoint()
        counter = await self._hardware.read_counter()
        announced = parse_announced_counter(await self._store.fact(ANNOUNCED_COUNTER))
        check_counter(newest, counter, announced)
        return newest, counter

    async def _announce(self, counter: int) -> None:
        fact = PutFact(name=ANNOUNCED_COUNTER, value=str(counter).encode())
        await self._store.apply([fact], events=())

    async def _count(self) -> int:
        """The counter's value for the next checkpoint.

        It is announced first and reached then, so a crash in between is told from a rollback; a
        value that was reached without a checkpoint to show for it is used and not skipped.
        """
        newest, counter = await self._check_counter()
        if newest is None or counter > newest.counter:
            return counter
        await self._announce(counter + 1)
        return await self._hardware.increment_counter()

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

    async def seal_if_grown(self) -> None:
        """Seal unless nothing but the last checkpoint itself was written since."""
        last = await self._store.last_event()
        newest = await self._store.last_checkpoint()
        if last is None or (newest is not None and last.sequence <= newest.sequence + 1):
            return
        await self.seal(caller="keystead")

    def note_refusal(self, error: KeysteadError) -> None:
        """Count a stranger's refusal; :meth:`flush_refusals` writes the counts."""
        self._refusals.note(error.reason, error.step)

    async def record_refusal(
        self,
        presenter: Presenter,
        error: KeysteadError,
        *,
        sub: str = "",
        actors: tuple[str, ...] = (),
    ) -> None:
        """A refusal after a good proof has a name to it; the proof is used up by it.

        ``sub`` and ``actors`` are the user and the whole chain, once they are known. A part that
        is away refuses nobody, so the proof stays good; a proof that another request used up in
        the meantime is counted, as any replay is.
        """
        if isinstance(error, Unavailable):
            return
        if error.reason is Reason.PROOF_REPLAYED:
            self.note_refusal(error)
            return
        refused = presenter.event(AuditAction.TOKEN_REFUSED, at=self._clock.now())
        event = replace(
            refused,
            sub=sub,
            actors=actors or refused.actors,
            reason=error.reason.value,
            step=error.step,
        )
        await self._store.apply([presenter.used], events=[event])

    async def record_caller_refusal(self, caller: Caller, error: KeysteadError, *, at: str) -> None:
        """A named caller's refusal at an RPC or endpoint: what was tried, and by whom."""
        event = AuditEvent(
            action=AuditAction.CALLER_REFUSED,
            at=self._clock.now(),
            caller=caller.name,
            reason=error.reason.value,
            object=at,
        )
        await self._store.apply((), events=[event])

    async def flush_refusals(self) -> None:
        """Write what was counted as one event."""
        event = self._refusals.drain(self._clock.now())
        if event is None:
            return
        try:
            await self._store.apply((), events=[event])
        except Unavailable:
            self._refusals.put_back(event)
            raise
