"""What the demo's two small web servers share: loopback, a free port, one line when they listen."""

from __future__ import annotations

import socket
import sys
from collections.abc import Awaitable, Callable

import uvicorn

from keystead.codec import json

_BACKLOG = 64


def loopback_socket() -> tuple[socket.socket, str]:
    """A listening socket on a free port of 127.0.0.1, and its http URL."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen(_BACKLOG)
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


def serve(app: Callable[..., Awaitable[None]], listener: socket.socket, *, url: str) -> None:
    """Say ``{"url": …}`` and serve until SIGTERM."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    sys.stdout.buffer.write(json.encode({"url": url}) + b"\n")
    sys.stdout.flush()
    server.run(sockets=[listener])
