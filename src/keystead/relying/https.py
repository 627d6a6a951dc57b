"""Fetching a document over HTTPS: bounded in size and time, no redirects, no proxies."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ipaddress import ip_address
from socket import SHUT_RDWR, socket
from threading import Timer
from urllib.parse import urlsplit

from keystead.errors import ConfigurationError, Malformed, Reason, Unavailable
from keystead.jose.htu import normalise_htu


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What is fetched: its name in errors, its bound, and what is missing without it."""

    name: str
    media_type: str
    max_bytes: int
    reason: Reason


def fetcher(
    url: str, kind: Kind, *, timeout_s: float, ssl_context: ssl.SSLContext | None = None
) -> Callable[[], bytes]:
    """A function that fetches ``url`` whole within ``timeout_s``, or raises ``Unavailable``.

    ``https`` only; ``http`` to a loopback address or ``localhost`` is for development; any other
    URL raises ``ConfigurationError`` here. Redirects are refused, and the environment's proxy
    settings are not used: the host that was configured answers, or nobody.
    """
    try:
        normalise_htu(url)  # stricter than urlsplit about what a URL is
    except Malformed as error:
        raise ConfigurationError(detail=f"{kind.name}: {error.detail}") from error
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    if parts.fragment or (parts.scheme != "https" and not _is_loopback(host)):
        raise ConfigurationError(detail=f"{kind.name}: an https URL is needed, or http to loopback")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    context = ssl_context or ssl.create_default_context()

    def fetch() -> bytes:
        connection: HTTPConnection = (
            HTTPSConnection(host, port, timeout=timeout_s, context=context)
            if parts.scheme == "https"
            else HTTPConnection(host, port, timeout=timeout_s)
        )
        return _get(connection, target, kind, timeout_s)

    return fetch


def _get(connection: HTTPConnection, target: str, kind: Kind, timeout_s: float) -> bytes:
    # The socket's own timeout is per read, which a server that sends a byte a second never meets.
    opened: list[socket] = []
    deadline = Timer(timeout_s, _shut, [connection, opened])
    deadline.daemon = True
    deadline.start()
    try:
        connection.connect()
        opened.append(connection.sock)
        connection.request("GET", target, headers={"Accept": kind.media_type})
        with connection.getresponse() as response:
            if response.status != 200:
                raise Unavailable(kind.reason, f"{kind.name}: HTTP status {response.status}")
            body = response.read(kind.max_bytes + 1)
    except (OSError, HTTPException) as error:
        raise Unavailable(kind.reason, f"{kind.name}: {error!r}") from error
    finally:
        deadline.cancel()
        connection.close()
    if len(body) > kind.max_bytes:
        raise Unavailable(kind.reason, f"{kind.name}: more than {kind.max_bytes} bytes")
    return body


def _shut(connection: HTTPConnection, opened: list[socket]) -> None:
    """End all waiting on the connection, also after it forgot its socket (Connection: close)."""
    for sock in (*opened, connection.sock):
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(SHUT_RDWR)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
