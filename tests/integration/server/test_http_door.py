"""The HTTP door on a real socket: what a hostile or slow client can send below HTTP."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from keystead.errors import ConfigurationError
from keystead.server import Doors, Listener
from keystead.server.http import protocol
from keystead.server.limits import MAX_DISCARDED_BYTES, MAX_HEAD_BYTES, MAX_PIPELINED
from tests.doors import TOKEN, Recorder, make_use_cases, open_doors

FORM = b"content-type: application/x-www-form-urlencoded\r\n"
OK = b"HTTP/1.1 200 "


class Wire:
    """One TCP connection to the door."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            self.writer.write(data)
            await self.writer.drain()

    async def rest(self, timeout: float = 10) -> bytes:
        """Everything until the server closes; what came before a reset counts."""
        data = b""
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(timeout):
                while part := await self.reader.read(65536):
                    data += part
        return data

    async def answer(self, timeout: float = 10) -> tuple[int, dict[str, str], bytes]:
        """One response."""
        async with asyncio.timeout(timeout):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            body = await self.reader.readexactly(int(headers["content-length"]))
        return int(head[0].split()[1]), headers, body


@contextlib.asynccontextmanager
async def wire(doors: Doors, *, address: str = "127.0.0.1") -> AsyncIterator[Wire]:
    host, port = doors.http_address.removeprefix("http://").rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port), local_addr=(address, 0))
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def post(body: bytes = b"a=b", *, path: bytes = b"/token", extra: bytes = b"") -> bytes:
    return (
        b"POST " + path + b" HTTP/1.1\r\nhost: x\r\n" + FORM + extra
        + b"content-length: %d\r\n\r\n" % len(body) + body
    )  # fmt: skip


def exchanges(use_cases: Any) -> list[Any]:
    return [call[1][0] for call in use_cases.tokens.calls if call[0] == "exchange"]


async def test_a_connection_serves_many_requests() -> None:
    async with open_doors() as doors, wire(doors) as client:
        for _ in range(3):
            await client.send(post())
            status, headers, _ = await client.answer()
            assert status == 200
            assert "server" not in headers
            assert headers["dpop-nonce"] == "fresh-nonce"


async def test_a_request_that_comes_byte_by_byte_is_answered() -> None:
    async with open_doors() as doors, wire(doors) as client:
        for byte in post():
            await client.send(bytes([byte]))
            await asyncio.sleep(0)
        assert (await client.answer())[0] == 200


async def test_two_dpop_headers_arrive_as_two() -> None:
    use_cases = make_use_cases()
    async with open_doors(use_cases) as doors, wire(doors) as client:
        await client.send(post(extra=b"DPoP: one\r\ndpop: two\r\n"))
        await client.answer()
    assert use_cases.tokens.calls[0][2] == {"proofs": ["one", "two"]}


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 50,
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /token HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST /token HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\na",
        b"POST /token HTTP/1.1\r\nhost: x\r\ncontent-length: " + b"9" * 30 + b"\r\n\r\n",
        b"POST /token HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"POST /token HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n"
        b"\r\n0\r\n\r\n",
        b"POST /token HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked, identity\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: x\r\nbad header: y\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: x\r\na: b\x00c\r\n\r\n",
        b"CONNECT example.org:443 HTTP/1.1\r\nhost: x\r\n\r\n",
    ],
)
async def test_garbage_gets_no_answer_but_an_error(garbage: bytes) -> None:
    use_cases = make_use_cases()
    async with open_doors(use_cases) as doors:
        async with wire(doors) as client:
            await client.send(garbage)
            client.writer.write_eof()
            assert not (await client.rest()).startswith(OK)
        async with wire(doors) as client:
            await client.send(post())
            assert (await client.answer())[0] == 200
    assert exchanges(use_cases) == [[("a", "b")]]


async def test_a_request_hidden_in_another_ones_body_stays_body() -> None:
    use_cases = make_use_cases()
    hidden = b"a=" + post(b"evil=1")
    async with open_doors(use_cases) as doors, wire(doors) as client:
        await client.send(post(hidden) + post(b"c=d"))
        first, _, _ = await client.answer()
        second, _, _ = await client.answer()
    assert (first, second) == (400, 200)
    assert exchanges(use_cases) == [[("c", "d")]]


async def test_a_chunked_body_is_bounded_like_any_other() -> None:
    async with open_doors() as doors, wire(doors) as client:
        await client.send(
            b"POST /token HTTP/1.1\r\nhost: x\r\n" + FORM + b"transfer-encoding: chunked\r\n\r\n"
        )
        await client.send((b"8000\r\n" + b"a" * 0x8000 + b"\r\n") * 3)
        status, _, body = await client.answer()
        assert status == 413
        assert b"too_large" in body


CHUNKED = b"POST /token HTTP/1.1\r\nhost: x\r\n" + FORM + b"transfer-encoding: chunked\r\n"


async def test_a_trailer_is_no_header() -> None:
    use_cases = make_use_cases()
    async with open_doors(use_cases) as doors, wire(doors) as client:
        await client.send(CHUNKED + b"dpop: one\r\n\r\n3\r\na=b\r\n0\r\n")
        await asyncio.sleep(0.05)
        await client.send(b"dpop: two\r\nauthorization: Bearer x\r\n\r\n")
        assert (await client.answer())[0] == 200
    assert [call[2]["proofs"] for call in use_cases.tokens.calls if call[0] == "exchange"] == [
        ["one"]
    ]


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (b"a: ", b"b" * 4096),
        (b"", b"a: " + b"b" * 4091 + b"\r\n"),
    ],
)
async def test_trailers_that_never_end_are_cut_off(begin: bytes, more: bytes) -> None:
    async with open_doors() as doors, wire(doors) as client:
        await client.send(CHUNKED + b"\r\n3\r\na=b\r\n0\r\n")
        await asyncio.sleep(0.05)
        await client.send(begin)
        sent = 0
        while sent < 40 * MAX_HEAD_BYTES and not client.writer.transport.is_closing():
            await client.send(more)
            await asyncio.sleep(0)
            sent += len(more)
        assert not (await client.rest(timeout=2)).startswith(OK)
        assert sent < 40 * MAX_HEAD_BYTES


async def test_a_truncated_body_reaches_no_use_case() -> None:
    use_cases = make_use_cases()
    async with open_doors(use_cases) as doors:
        async with wire(doors) as client:
            await client.send(post(b"a=bcdef")[:-3])
        await asyncio.sleep(0.05)
    assert exchanges(use_cases) == []


async def test_headers_that_never_end_are_cut_off() -> None:
    async with open_doors() as doors, wire(doors) as client:
        await client.send(b"GET /healthz HTTP/1.1\r\nhost: x\r\na: ")
        sent = 0
        while sent < 20 * MAX_HEAD_BYTES and not client.reader.at_eof():
            await client.send(b"b" * 4096)
            await asyncio.sleep(0)
            sent += 4096
            if client.writer.transport.is_closing():
                break
        assert not (await client.rest()).startswith(OK)


async def test_whole_headers_over_the_limit_are_refused() -> None:
    async with open_doors() as doors, wire(doors) as client:
        big = b"GET /healthz HTTP/1.1\r\nhost: x\r\na: " + b"b" * (MAX_HEAD_BYTES + 1) + b"\r\n\r\n"
        await client.send(big)
        answer = await client.rest()
        assert answer.startswith(b"HTTP/1.1 431 ")
        assert OK not in answer


async def test_a_proof_of_eight_kilobytes_passes() -> None:
    async with open_doors() as doors, wire(doors) as client:
        await client.send(post(extra=b"dpop: " + b"p" * 8192 + b"\r\n"))
        assert (await client.answer())[0] == 200


async def test_bodies_do_not_count_as_headers() -> None:
    async with open_doors() as doors, wire(doors) as client:
        for _ in range(4):
            await client.send(post(b"a=" + b"b" * 60_000))
            assert (await client.answer())[0] == 200


async def test_many_header_fields_count_as_well() -> None:
    async with open_doors() as doors, wire(doors) as client:
        fields = b"".join(b"x%d: y\r\n" % number for number in range(6000))
        await client.send(b"GET /healthz HTTP/1.1\r\nhost: x\r\n" + fields + b"\r\n")
        assert not (await client.rest()).startswith(OK)


async def test_a_client_that_sends_no_request_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_DEADLINE_S", 0.2)
    async with open_doors() as doors, wire(doors) as client:
        started = time.monotonic()
        assert await client.rest() == b""
        assert time.monotonic() - started < 5


async def test_a_client_that_dawdles_over_its_headers_is_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(protocol, "HEAD_DEADLINE_S", 0.3)
    async with open_doors() as doors, wire(doors) as client:
        dawdling = asyncio.create_task(dawdle(client, b"GET /healthz HTTP/1.1\r\nhost: x" * 100))
        assert await client.rest() == b""
        dawdling.cancel()


async def test_a_client_that_dawdles_over_its_second_request_is_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(protocol, "HEAD_DEADLINE_S", 0.3)
    async with open_doors() as doors, wire(doors) as client:
        await client.send(post())
        assert (await client.answer())[0] == 200
        dawdling = asyncio.create_task(dawdle(client, b"GET /healthz HTTP/1.1\r\nhost: x" * 100))
        assert await client.rest() == b""
        dawdling.cancel()


async def dawdle(client: Wire, data: bytes) -> None:
    for byte in data:
        await client.send(bytes([byte]))
        await asyncio.sleep(0.02)


async def test_a_refusal_before_the_body_is_read_arrives_whole() -> None:
    async with open_doors() as doors, wire(doors) as client:
        await client.send(b"POST /nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: 60000\r\n\r\n")
        assert (await client.answer())[0] == 404
        await client.send(b"a" * 60000)
        await client.send(post())
        assert (await client.answer())[0] == 200


async def test_a_refused_body_is_read_only_so_far() -> None:
    async with open_doors() as doors, wire(doors) as client:
        await client.send(b"POST /nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\n")
        assert (await client.answer())[0] == 404
        sent = 0
        while sent < 40 * MAX_DISCARDED_BYTES and not client.writer.transport.is_closing():
            await client.send(b"a" * 65536)
            await asyncio.sleep(0)
            sent += 65536
            if client.reader.at_eof() or client.reader.exception():
                break
        assert sent < 40 * MAX_DISCARDED_BYTES
        assert await client.rest() == b""


async def test_pipelined_requests_are_answered_in_order_and_bounded() -> None:
    use_cases = make_use_cases()
    async with open_doors(use_cases) as doors:
        async with wire(doors) as client:
            await client.send(b"".join(post(b"n=%d" % n) for n in range(MAX_PIPELINED)))
            for _ in range(MAX_PIPELINED):
                assert (await client.answer())[0] == 200
        assert exchanges(use_cases) == [[("n", str(n))] for n in range(MAX_PIPELINED)]
        async with wire(doors) as client:
            await client.send(post() * (20 * MAX_PIPELINED))
            assert (await client.rest()).count(OK) < 20 * MAX_PIPELINED


async def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MAX_CONNECTIONS", 3)
    async with open_doors() as doors, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(wire(doors)) for _ in range(3)]
        await asyncio.sleep(0.05)
        async with wire(doors) as one_more:
            assert await one_more.rest() == b""
        await clients[0].send(post())
        assert (await clients[0].answer())[0] == 200


async def test_connections_of_one_address_leave_room_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(protocol, "MAX_CONNECTIONS_OF_ONE", 2)
    async with open_doors() as doors, contextlib.AsyncExitStack() as stack:
        mine = [await stack.enter_async_context(wire(doors)) for _ in range(3)]
        assert await mine[2].rest() == b""
        other = await stack.enter_async_context(wire(doors, address="127.0.0.2"))
        for client in (*mine[:2], other):
            await client.send(post())
            assert (await client.answer())[0] == 200


async def test_a_websocket_gets_an_http_answer() -> None:
    async with open_doors() as doors, wire(doors) as client:
        await client.send(
            b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
            b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        assert (await client.answer())[0] == 200


async def test_an_answer_in_flight_is_finished_when_the_door_closes() -> None:
    async def slow(*_: Any, **__: Any) -> Any:
        await asyncio.sleep(0.5)
        return TOKEN

    use_cases = make_use_cases(tokens=Recorder(exchange=slow, fresh_nonce="n"))
    async with open_doors(use_cases) as doors, wire(doors) as client, wire(doors) as idle:
        await client.send(post())
        await asyncio.sleep(0.1)
        stopping = asyncio.create_task(doors.stop())
        assert await idle.rest() == b""
        assert (await client.answer())[0] == 200
        await stopping
        with pytest.raises(ConnectionRefusedError):
            async with wire(doors):
                pass


async def test_a_request_that_outlives_the_drain_is_ended() -> None:
    use_cases = make_use_cases(
        tokens=Recorder(exchange=lambda *_, **__: asyncio.Event().wait(), fresh_nonce="n")
    )
    async with open_doors(use_cases, drain_s=1) as doors, wire(doors) as client:
        await client.send(post())
        await asyncio.sleep(0.1)
        started = time.monotonic()
        await doors.stop()
        assert time.monotonic() - started < 5
        assert OK not in await client.rest()


async def test_a_new_request_during_the_drain_is_told_to_come_back() -> None:
    async with open_doors() as doors, wire(doors) as client:
        doors._admission.closing = True
        await client.send(post())
        status, headers, body = await client.answer()
        assert (status, headers["retry-after"]) == (503, "1")
        assert b"shutting_down" in body


async def test_an_address_in_use_is_a_configuration_error() -> None:
    async with open_doors() as doors:
        port = int(doors.http_address.rsplit(":", 1)[1])
        with pytest.raises(ConfigurationError, match=str(port)):
            async with open_doors(http=Listener(port=port)):
                pass
