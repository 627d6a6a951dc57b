"""AuditService."""

from __future__ import annotations

from collections.abc import AsyncIterator

from keystead.codec import json
from keystead.model import ChainedEvent, Checkpoint
from keystead.protocol import keystead_v1_pb2 as pb
from keystead.protocol import keystead_v1_pb2_grpc as rpc
from keystead.server.grpc.door import Servicer, server_stream, unary
from keystead.service.roles import Caller
from keystead.service.trail import encoded_event


class AuditServicer(Servicer, rpc.AuditServiceServicer):
    """The audit trail."""

    @unary
    async def List(self, request: pb.ListEventsRequest, caller: Caller) -> pb.ListEventsResponse:
        """A page of events."""
        events = await self.door.use_cases.trail.page(
            caller, after=request.after, limit=request.limit
        )
        return pb.ListEventsResponse(events=[event_message(event) for event in events])

    @server_stream
    async def Tail(self, request: pb.TailRequest, caller: Caller) -> AsyncIterator[pb.Event]:
        """Events as they are written."""
        async for event in self.door.use_cases.trail.tail(caller, after=request.after):
            yield event_message(event)

    @unary
    async def Checkpoint(
        self, request: pb.CheckpointRequest, caller: Caller
    ) -> pb.SignedCheckpoint:
        """A new checkpoint."""
        return checkpoint_message(await self.door.use_cases.trail.checkpoint(caller))

    @unary
    async def ListCheckpoints(
        self, request: pb.ListCheckpointsRequest, caller: Caller
    ) -> pb.ListCheckpointsResponse:
        """Every checkpoint, and what it takes to check them."""
        seals = await self.door.use_cases.trail.seals(caller)
        return pb.ListCheckpointsResponse(
            checkpoints=[checkpoint_message(checkpoint) for checkpoint in seals.checkpoints],
            issuer=seals.issuer,
            jwks=json.encode(seals.jwks),
            counter=seals.counter,
            announced_jws=seals.announced.jws if seals.announced else "",
        )


def event_message(event: ChainedEvent) -> pb.Event:
    """An event on the wire, with the bytes that its hash covers."""
    return pb.Event(
        sequence=event.sequence,
        event=encoded_event(event),
        previous=event.previous,
        hash=event.hash,
    )


def checkpoint_message(checkpoint: Checkpoint) -> pb.SignedCheckpoint:
    """A checkpoint on the wire."""
    return pb.SignedCheckpoint(
        jws=checkpoint.jws, sequence=checkpoint.sequence, counter=checkpoint.counter
    )
