"""Every RPC from its headers on: one caller may hold a part of them and no more.

gRPC starts a handler with one request only when that request is there, and counts the call against
``maximum_concurrent_rpcs`` from its headers on. So a stranger who sends headers alone, or watches
the health service, would hold every call of the listener. Here all handlers start at once, take
their place, and wait for the request themselves.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Never, TypeAlias, cast

import grpc
from grpc.aio import ServicerContext

from keystead.errors import KeysteadError, Reason, Refused
from keystead.server.grpc import peers
from keystead.server.grpc.decoding import UNDECODABLE, decoded, forgiving
from keystead.server.limits import BODY_DEADLINE_S, Places
from keystead.server.status import retry_after_s, status_of

Handler: TypeAlias = "grpc.RpcMethodHandler[object, object]"
Context: TypeAlias = "ServicerContext[object, object]"
Behaviour: TypeAlias = Callable[[object, Context], object]

_KINDS = {
    (False, False): "unary_unary",
    (False, True): "unary_stream",
    (True, False): "stream_unary",
    (True, True): "stream_stream",
}
"""By whether requests and responses are streams."""


class Registry:
    """What generated code registers its servicers with, instead of the server itself.

    ``doors`` are servicers behind :mod:`keystead.server.grpc.door`, which refuses what does not
    decode; for all others it is refused here.
    """

    def __init__(self, server: grpc.aio.Server, *, places: Places, doors: bool) -> None:
        self._server = server
        self._places = places
        self._doors = doors

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Nothing: the same handlers come by name."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        """One service's methods by name."""
        held = {name: self._held(handler) for name, handler in handlers.items()}
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service, held),)
        )

    def _held(self, handler: Handler) -> Handler:
        kind = _KINDS[bool(handler.request_streaming), bool(handler.response_streaming)]
        behaviour = cast(Behaviour, getattr(handler, kind))

        async def rpc(requests: AsyncIterator[object], context: Context) -> object:
            try:
                with self._places.one(peers.key(context)):
                    request = requests if handler.request_streaming else await _only(requests)
                    if not self._doors:
                        request = _decoded(request)
                    return await _run(behaviour, request, context)
            except KeysteadError as error:
                await _refuse(context, error)

        make = (
            grpc.stream_stream_rpc_method_handler
            if handler.response_streaming
            else grpc.stream_unary_rpc_method_handler
        )
        return cast(
            Handler,
            make(
                rpc,
                request_deserializer=forgiving(
                    cast(Callable[[bytes], object], handler.request_deserializer)
                ),
                response_serializer=handler.response_serializer,
            ),
        )


async def _only(requests: AsyncIterator[object]) -> object:
    """The one request of a call that has one; nothing at all does not decode either."""
    try:
        async with asyncio.timeout(BODY_DEADLINE_S):
            return await anext(requests, UNDECODABLE)
    except TimeoutError:
        raise Refused(Reason.DEADLINE_EXCEEDED, "the request came too slowly") from None


async def _run(behaviour: Behaviour, request: object, context: Context) -> object:
    if inspect.isasyncgenfunction(behaviour):
        async for answer in behaviour(request, context):
            await context.write(answer)
        return None
    return await cast("asyncio.Future[object]", behaviour(request, context))


def _decoded(request: object) -> object:
    """Refuse what does not decode, in a stream when its turn comes."""
    return _each(request) if isinstance(request, AsyncIterator) else decoded(request)


async def _each(requests: AsyncIterator[object]) -> AsyncIterator[object]:
    async for request in requests:
        yield decoded(request)


async def _refuse(context: Context, error: KeysteadError) -> Never:
    metadata = [("keystead-reason", error.reason.value)]
    wait_s = retry_after_s(error)
    if wait_s is not None:
        metadata.append(("keystead-retry-after-s", str(wait_s)))
    code = grpc.StatusCode[status_of(error).grpc]
    await context.abort(code, error.reason.value, tuple(metadata))
