"""AuditService: the trail, read, followed, and sealed with checkpoints.

A checkpoint says how long the chain is and where it ends, is signed by the audit key in the TPM,
and holds the TPM's NV counter, which cannot be turned back with the disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from keystead.audit import (
    RefusalAggregator,
    encode_event,
)
from keystead.codec.json import JSON
from keystead.errors import KeysteadError, Reason, Unavailable
from keystead.model import (
    AuditAction,
    AuditEvent,
    ChainedEvent,
    Checkpoint,
    KeyPurpose,
)
from keystead.ports import Clock, SigningHardware, Store
from keystead.service.keyring import Keyring, jwks_document
from keystead.service.presenter import Presenter
from keystead.service.roles import Caller, Role, require
from keystead.service.sealing import Sealing

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
    announced: Checkpoint | None


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
        self._keyring = keyring
        self._clock = clock
        self._refusals = refusals
        self._sealing = Sealing(
            issuer=issuer, store=store, hardware=hardware, keyring=keyring, clock=clock
        )

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
        state = await self._sealing.state()
        return Seals(
            issuer=self._issuer,
            checkpoints=state.checkpoints,
            jwks=jwks_document(self._keyring.verification_keys(KeyPurpose.AUDIT)),
            counter=state.counter,
            announced=state.announced,
        )

    async def seal(self, *, caller: str) -> Checkpoint:
        """Sign, count once more in the TPM, store; see :meth:`Sealing.seal`."""
        return await self._sealing.seal(caller=caller)

    async def open(self) -> None:
        """Compare the trail with the TPM's counter before anything is written to it."""
        await self._sealing.open()

    async def resume(self) -> None:
        """With the keyring open: check what the newest checkpoint pins; store what a crash left."""
        await self._sealing.resume()

    async def seal_first(self) -> None:
        """The end of the first start: from here on there always is a checkpoint."""
        if await self._store.last_checkpoint() is None:
            await self.seal(caller="keystead")

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
