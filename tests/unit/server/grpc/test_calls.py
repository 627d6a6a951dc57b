"""Calls that hold their place from the headers on: shares, deadlines, and what does not decode."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from google.protobuf.message import DecodeError

from keystead.server.grpc import calls
from keystead.server.grpc.calls import Registry
from keystead.server.grpc.decoding import UNDECODABLE
from keystead.server.limits import Places


class Aborted(Exception):
    """What gRPC raises when a call is aborted."""


class Context:
    """One call of a caller at an address."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.written: list[object] = []
        self.aborted: tuple[Any, ...] = ()

    def auth_context(self) -> dict[str, list[bytes]]:
        return {}

    def peer(self) -> str:
        return f"ipv4:{self._address}:50000"

    async def write(self, message: object) -> None:
        self.written.append(message)

    async def abort(self, code: grpc.StatusCode, details: str, metadata: Any) -> None:
        self.aborted = (code, details, dict(metadata))
        raise Aborted


async def messages(*items: object) -> AsyncIterator[object]:
    for item in items:
        yield item


async def nothing() -> AsyncIterator[object]:
    await asyncio.sleep(3600)
    yield None


def registered(handler: Any, *, places: Places, doors: bool = True) -> Any:
    """The handler as the server gets it."""
    found: list[Any] = []
    server: Any = SimpleNamespace(add_generic_rpc_handlers=lambda handlers: found.extend(handlers))
    Registry(server, places=places, doors=doors).add_registered_method_handlers(
        "a.B", {"C": handler}
    )
    return found[0].service(SimpleNamespace(method="/a.B/C", invocation_metadata=()))


async def echo(request: object, context: Any) -> object:
    return request


UNARY: Any = grpc.unary_unary_rpc_method_handler(echo)


async def test_a_caller_who_sends_headers_alone_holds_only_a_share() -> None:
    rpc = registered(UNARY, places=Places(8, share=4)).stream_unary
    idle = [asyncio.create_task(rpc(nothing(), Context("192.0.2.1"))) for _ in range(2)]
    await asyncio.sleep(0)
    third = Context("192.0.2.1")
    with pytest.raises(Aborted):
        await rpc(messages("x"), third)
    assert third.aborted[:2] == (grpc.StatusCode.RESOURCE_EXHAUSTED, "rate_limited")
    assert third.aborted[2]["keystead-retry-after-s"] == "1"
    assert await rpc(messages("x"), Context("192.0.2.2")) == "x"
    for task in idle:
        task.cancel()
    await asyncio.gather(*idle, return_exceptions=True)
    assert await rpc(messages("x"), Context("192.0.2.1")) == "x"


async def test_a_request_that_never_comes_ends_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "BODY_DEADLINE_S", 0.02)
    context = Context("192.0.2.1")
    with pytest.raises(Aborted):
        await registered(UNARY, places=Places(1)).stream_unary(nothing(), context)
    assert context.aborted[:2] == (grpc.StatusCode.DEADLINE_EXCEEDED, "deadline_exceeded")


async def test_a_call_without_a_request_does_not_decode() -> None:
    rpc = registered(UNARY, places=Places(1)).stream_unary
    assert await rpc(messages(), Context("192.0.2.1")) is UNDECODABLE


async def test_what_does_not_decode_is_refused_before_a_servicer_that_has_no_door() -> None:
    def broken(data: bytes) -> object:
        raise DecodeError

    handler = registered(
        grpc.unary_unary_rpc_method_handler(echo, request_deserializer=broken),
        places=Places(1),
        doors=False,
    )
    context = Context("192.0.2.1")
    with pytest.raises(Aborted):
        await handler.stream_unary(messages(handler.request_deserializer(b"\xff")), context)
    assert context.aborted[:2] == (grpc.StatusCode.INVALID_ARGUMENT, "malformed")


async def test_answers_of_a_generator_are_written() -> None:
    async def twice(requests: AsyncIterator[object], context: Any) -> AsyncIterator[object]:
        async for request in requests:
            yield request
            yield request

    handler = registered(
        grpc.stream_stream_rpc_method_handler(twice), places=Places(1), doors=False
    )
    context = Context("192.0.2.1")
    await handler.stream_stream(messages("a", "b"), context)
    assert context.written == ["a", "a", "b", "b"]
