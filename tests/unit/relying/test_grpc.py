"""Both interceptors on a real server on loopback, with every kind of method."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import grpc
import grpc.aio
import pytest

from keystead.errors import ConfigurationError
from keystead.relying import RollingNonces
from keystead.relying.grpc import (
    AsyncKeysteadInterceptor,
    KeysteadInterceptor,
    current_token,
)
from tests.relying_tokens import NOW, proof, token, verifier

EXTERNAL = "https://api.example:8443"
KINDS = ["unary_unary", "unary_stream", "stream_unary", "stream_stream"]
Metadata = list[tuple[str, str]]


class Clock:
    """Starts a minute ago, so that proofs of now are not of the time before the start."""

    def __init__(self) -> None:
        self.times = iter([NOW - 60])

    def now(self) -> int:
        return next(self.times, NOW)


def options(**changes: Any) -> dict[str, Any]:
    checks = {name: changes.pop(name) for name in ("nonces", "jwks") if name in changes}
    return {
        "verifier": verifier(**checks),
        "clock": Clock(),
        "external_url": EXTERNAL,
        "public_methods": ["/test.Api/health"],
        **changes,
    }


def metadata(method: str, *, proofs: int = 1, **changes: Any) -> Metadata:
    access_token = token()
    changes = {"htm": "POST", "htu": f"{EXTERNAL}/test.Api/{method}", **changes}
    sent = [("authorization", f"DPoP {access_token}")]
    return sent + [("dpop", proof(access_token, **changes)) for _ in range(proofs)]


def user() -> bytes:
    return current_token().user.encode()


def stranger() -> bytes:
    with pytest.raises(LookupError):
        current_token()
    return b"well"


def sync_handlers() -> dict[str, Any]:
    def stream(request: object, context: object) -> Iterator[bytes]:
        yield user()
        yield user()

    return {
        "unary_unary": grpc.unary_unary_rpc_method_handler(lambda request, context: user()),
        "unary_stream": grpc.unary_stream_rpc_method_handler(stream),
        "stream_unary": grpc.stream_unary_rpc_method_handler(
            lambda request, context: b"".join(request) + user()
        ),
        "stream_stream": grpc.stream_stream_rpc_method_handler(stream),
        "health": grpc.unary_unary_rpc_method_handler(lambda request, context: stranger()),
    }


def async_handlers() -> dict[str, Any]:
    async def unary(request: object, context: object) -> bytes:
        return user()

    async def stream(request: object, context: object) -> AsyncIterator[bytes]:
        yield user()
        await asyncio.sleep(0)
        yield user()

    async def collect(requests: AsyncIterator[bytes], context: object) -> bytes:
        return b"".join([request async for request in requests]) + user()

    async def health(request: object, context: object) -> bytes:
        return stranger()

    return {
        "unary_unary": grpc.unary_unary_rpc_method_handler(unary),
        "unary_stream": grpc.unary_stream_rpc_method_handler(stream),
        "stream_unary": grpc.stream_unary_rpc_method_handler(collect),
        "stream_stream": grpc.stream_stream_rpc_method_handler(stream),
        "health": grpc.unary_unary_rpc_method_handler(health),
    }


@contextmanager
def sync_server(**changes: Any) -> Iterator[int]:
    pool = ThreadPoolExecutor(max_workers=2)
    server = grpc.server(pool, interceptors=[KeysteadInterceptor(**options(**changes))])
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("test.Api", sync_handlers()),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    server.stop(None).wait()
    pool.shutdown()


@asynccontextmanager
async def async_server(**changes: Any) -> AsyncIterator[int]:
    server = grpc.aio.server(interceptors=[AsyncKeysteadInterceptor(**options(**changes))])
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("test.Api", async_handlers()),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield port
    await server.stop(None)


def call(port: int, method: str, sent: Metadata) -> list[bytes]:
    """All answers of one call; the client does not know whether the server is asynchronous."""
    kind = method if method in KINDS else "unary_unary"
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        make: Callable[[str], Any] = getattr(channel, kind)
        requests: Any = iter([b"a", b"b"]) if kind.startswith("stream") else b""
        answer = make(f"/test.Api/{method}")(requests, metadata=sent, timeout=10)
        return list(answer) if kind.endswith("stream") else [answer]


async def call_both(method: str, sent: Callable[[], Metadata], **changes: Any) -> list[Any]:
    """What a call of the synchronous and of the asynchronous server ends in."""
    ends: list[Any] = []

    def attempt(port: int) -> None:
        try:
            ends.append(call(port, method, sent()))
        except grpc.RpcError as error:
            ends.append(error)

    with sync_server(**changes) as port:
        await asyncio.to_thread(attempt, port)
    async with async_server(**changes) as port:
        await asyncio.to_thread(attempt, port)
    return ends


ANSWERS = {
    "unary_unary": [b"user-7"],
    "unary_stream": [b"user-7", b"user-7"],
    "stream_unary": [b"abuser-7"],
    "stream_stream": [b"user-7", b"user-7"],
}


@pytest.mark.parametrize("kind", KINDS)
async def test_handlers_know_the_token(kind: str) -> None:
    assert await call_both(kind, lambda: metadata(kind)) == [ANSWERS[kind]] * 2


@pytest.mark.parametrize("kind", KINDS)
async def test_handlers_are_not_reached_without_one(kind: str) -> None:
    for error in await call_both(kind, list):
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED
        assert error.details() == "credentials_required"
        assert dict(error.trailing_metadata())["www-authenticate"].startswith("DPoP algs=")


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (lambda: metadata("unary_unary", proofs=2), "proof_not_single"),
        (lambda: metadata("unary_unary", proofs=0), "proof_missing"),
        (lambda: metadata("unary_unary") + metadata("unary_unary")[:1], "credential_invalid"),
        (lambda: metadata("unary_unary", htm="GET"), "method_mismatch"),
        (lambda: metadata("unary_stream"), "url_mismatch"),
        (lambda: metadata("unary_unary", key="thief"), "key_binding_mismatch"),
    ],
)
async def test_refuses_and_says_why(sent: Callable[[], Metadata], reason: str) -> None:
    for error in await call_both("unary_unary", sent):
        assert (error.code(), error.details()) == (grpc.StatusCode.UNAUTHENTICATED, reason)
        trailing = dict(error.trailing_metadata())
        assert f'error_description="{reason}"' in trailing["www-authenticate"]


async def test_a_proof_opens_one_call() -> None:
    sent = metadata("unary_unary")
    with sync_server() as port:
        assert await asyncio.to_thread(call, port, "unary_unary", sent) == [b"user-7"]
        with pytest.raises(grpc.RpcError) as caught:
            await asyncio.to_thread(call, port, "unary_unary", sent)
        assert caught.value.details() == "proof_replayed"


async def test_scopes_by_method() -> None:
    changes = {"scopes_for": lambda method: [f"call:{method}"]}
    for error in await call_both("unary_unary", lambda: metadata("unary_unary"), **changes):
        assert error.code() is grpc.StatusCode.PERMISSION_DENIED
        assert (
            'scope="call:/test.Api/unary_unary"'
            in dict(error.trailing_metadata())["www-authenticate"]
        )


async def test_public_methods_pass_and_see_no_token_of_a_neighbour() -> None:
    with sync_server() as port:
        for _ in range(3):
            await asyncio.to_thread(call, port, "unary_unary", metadata("unary_unary"))
            assert await asyncio.to_thread(call, port, "health", []) == [b"well"]
    assert await call_both("health", list) == [[b"well"], [b"well"]]


async def test_nonces_come_with_refusals() -> None:
    nonces = RollingNonces(b"s" * 32)
    for error in await call_both("unary_unary", lambda: metadata("unary_unary"), nonces=nonces):
        trailing = dict(error.trailing_metadata())
        assert error.details() == "nonce_required"
        nonces.check(trailing["dpop-nonce"], now=NOW)


async def test_unknown_methods_stay_unknown() -> None:
    for error in await call_both("nothing", lambda: metadata("nothing")):
        assert error.code() is grpc.StatusCode.UNIMPLEMENTED


def test_refuses_an_external_url_that_is_none() -> None:
    with pytest.raises(ConfigurationError):
        KeysteadInterceptor(**options(external_url="api.example"))
