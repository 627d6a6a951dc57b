"""The listener of the HTTP door: uvicorn on a loop, and with signals, that are not its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Generator
from typing import cast

import uvicorn
from uvicorn._types import ASGIApplication

from keystead.errors import ConfigurationError, Reason
from keystead.server.http.app import HttpApp
from keystead.server.http.protocol import DoorProtocol
from keystead.server.limits import KEEP_ALIVE_S
from keystead.server.settings import Listener, TlsFiles

BACKLOG = 1024
"""Connections that the kernel holds while the loop is busy."""


class _Uvicorn(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Say when the sockets are open."""
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals alone: both doors drain together (run.py)."""
        yield


class HttpServer:
    """One listening socket and the server behind it."""

    def __init__(self, app: HttpApp, *, listener: Listener, drain_s: int) -> None:
        tls = tls_context(listener.tls) if listener.tls is not None else None
        self._scheme = "https" if tls is not None else "http"
        self._listener = listener
        config = uvicorn.Config(
            cast(ASGIApplication, app),
            http=DoorProtocol,
            ws="none",
            loop="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=drain_s,
            backlog=BACKLOG,
            ssl_context_factory=(lambda *_: tls) if tls is not None else None,
        )
        self._server = _Uvicorn(config)
        self._task: asyncio.Task[None] | None = None
        self._socket: socket.socket | None = None

    async def start(self) -> str:
        """Listen; the base URL with the real port. ConfigurationError if the address is taken."""
        self._socket = _bind(self._listener)
        host, port = self._socket.getsockname()[:2]
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        listening = asyncio.create_task(self._server.listening.wait())
        await asyncio.wait({self._task, listening}, return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            listening.cancel()
            self._task.result()
        return f"{self._scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    async def stop(self) -> None:
        """Stop accepting, let what runs finish within the drain time, close."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task


def tls_context(files: TlsFiles) -> ssl.SSLContext:
    """TLS 1.2 or later; client certificates are asked for where there is a CA for them."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(files.certificate, files.private_key)
        if files.client_ca is not None:
            context.load_verify_locations(files.client_ca)
            context.verify_mode = ssl.CERT_OPTIONAL
    except OSError as error:
        raise ConfigurationError(
            Reason.CONFIGURATION_INVALID, f"{files.certificate}: {error}"
        ) from None
    return context


def _bind(listener: Listener) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            listener.host, listener.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        raise ConfigurationError(
            Reason.CONFIGURATION_INVALID, f"{listener.host}:{listener.port}: {error.strerror}"
        ) from None
    bound.setblocking(False)
    return bound
