"""Prepared HTTP requests, sent over kept connections as fast as they are answered."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

CONNECTIONS = 8
_STATUS = slice(9, 12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What came back; ``statuses`` counts them."""

    seconds: float
    statuses: Counter[int]
    last_head: bytes
    bodies: list[bytes]
    """In the order in which they came."""

    @property
    def last_body(self) -> bytes:
        """Of the answer that came last."""
        return self.bodies[-1] if self.bodies else b""


def token_request(url: str, form: dict[str, str], *, proof: str | None) -> bytes:
    """One ``POST`` of a form, as it goes over the wire."""
    parts, body = urlsplit(url), urlencode(form).encode()
    head = [
        f"POST {parts.path} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(body)}",
    ]
    if proof is not None:
        head.append(f"DPoP: {proof}")
    return "\r\n".join([*head, "", ""]).encode() + body


def send_all(url: str, requests: Iterable[bytes], *, connections: int = CONNECTIONS) -> Answers:
    """Send each request once; every connection has one in flight."""
    return asyncio.run(_send_all(url, deque(requests), connections))


def send_accepted(url: str, requests: Sequence[bytes]) -> Answers:
    """The same; RuntimeError unless every answer is 200."""
    answers = send_all(url, requests)
    if answers.statuses != {200: len(requests)}:
        raise RuntimeError(f"{dict(answers.statuses)}: {answers.last_body[:300]!r}")
    return answers


async def _send_all(url: str, waiting: deque[bytes], connections: int) -> Answers:
    parts = urlsplit(url)
    open_ = [await asyncio.open_connection(parts.hostname, parts.port) for _ in range(connections)]
    statuses: Counter[int] = Counter()
    last_head, bodies = b"", []

    async def work(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal last_head
        while waiting:
            writer.write(waiting.popleft())
            last_head, body = await _answer(reader)
            bodies.append(body)
            statuses[int(last_head[_STATUS])] += 1

    began = time.perf_counter()
    await asyncio.gather(*(work(reader, writer) for reader, writer in open_))
    seconds = time.perf_counter() - began
    for _, writer in open_:
        writer.close()
    return Answers(seconds=seconds, statuses=statuses, last_head=last_head, bodies=bodies)


async def _answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    return head, await reader.readexactly(int(header(head, b"content-length")))


def header(head: bytes, name: bytes) -> bytes:
    """The value of the first header called ``name`` (lower case)."""
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.lower() == name:
            return value.strip()
    raise RuntimeError(f"no {name.decode()} in {head!r}")
