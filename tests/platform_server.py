"""A server on loopback that answers as a platform's endpoint does, or does not."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

Answer = Callable[[socket.socket], None]


@dataclass
class Asked:
    """One request as it came."""

    method: str
    path: str
    parameters: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes


@dataclass
class PlatformServer:
    """``url`` is what was asked for where; ``asked`` are the requests so far."""

    url: str
    asked: list[Asked] = field(default_factory=list)


def body(content: bytes, *, status: str = "200 OK", headers: Sequence[str] = ()) -> Answer:
    """An answer with that status and content."""
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", "Connection: close", *headers]
    return lambda connection: connection.sendall("\r\n".join([*head, "", ""]).encode() + content)


def json_body(members: object) -> Answer:
    return body(json.dumps(members).encode(), headers=["Content-Type: application/json"])


@contextmanager
def serving(answer: Answer, path: str = "/platform") -> Iterator[PlatformServer]:
    """A server that reads each request and lets ``answer`` speak."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = PlatformServer(url=f"http://127.0.0.1:{server.getsockname()[1]}{path}")

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection, suppress(OSError):
                        found.asked.append(_read(connection))
                        answer(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def _read(connection: socket.socket) -> Asked:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65_536) or b"\r\n\r\n"
    head, _, rest = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    while len(rest) < int(headers.get("content-length", "0")):
        rest += connection.recv(65_536)
    method, target, _ = first.split(" ")
    parts = urlsplit(target)
    return Asked(
        method=method,
        path=parts.path,
        parameters=parse_qs(parts.query, keep_blank_values=True),
        headers=headers,
        body=rest,
    )
