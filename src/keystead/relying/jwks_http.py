"""Fetching a key set over HTTPS: bounded in size and time, no redirects, no proxies."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ipaddress import ip_address
from socket import SHUT_RDWR, socket
from threading import Timer
from urllib.parse import urlsplit

from keystead.errors import ConfigurationError, Malformed, Reason, Unavailable
from keystead.jose.htu import normalise_htu
from keystead.jose.jwk import MAX_SET_BYTES


def fetcher(
    url: str, *, timeout_s: float, ssl_context: ssl.SSLContext | None = None
) -> Callable[[], bytes]:
    """A function that fetches ``url`` whole within ``timeout_s``, or raises ``Unavailable``.

    ``https`` only; ``http`` to a loopback address or ``localhost`` is for development. Redirects
    are refused, and the environment's proxy settings are not used: the host that was configured
    answers, or nobody.
    """
    try:
        normalise_htu(url)  # stricter than urlsplit about what a URL is
    except Malformed as error:
        raise ConfigurationError(detail=f"jwks: {error.detail}") from error
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    if parts.fragment or (parts.scheme != "https" and not _is_loopback(host)):
        raise ConfigurationError(detail="jwks: an https URL is needed, or http to loopback")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    context = ssl_context or ssl.create_default_context()

    def fetch() -> bytes:
        connection: HTTPConnection = (
            HTTPSConnection(host, port, timeout=timeout_s, context=context)
            if parts.scheme == "https"
            else HTTPConnection(host, port, timeout=timeout_s)
        )
        return _get(connection, target, timeout_s)

    return fetch


def _get(connection: HTTPConnection, target: str, timeout_s: float) -> bytes:
    # The socket's own timeout is per read, which a server that sends a byte a second never meets.
    opened: list[socket] = []
    deadline = Timer(timeout_s, _shut, [connection, opened])
    deadline.daemon = True
    deadline.start()
    try:
        connection.connect()
        opened.append(connection.sock)
        connection.request("GET", target, headers={"Accept": "application/json"})
        with connection.getresponse() as response:
            if response.status != 200:
                raise Unavailable(Reason.KEYS_UNAVAILABLE, f"jwks: HTTP status {response.status}")
            body = response.read(MAX_SET_BYTES + 1)
    except (OSError, HTTPException) as error:
        raise Unavailable(Reason.KEYS_UNAVAILABLE, f"jwks: {error!r}") from error
    finally:
        deadline.cancel()
        connection.close()
    if len(body) > MAX_SET_BYTES:
        raise Unavailable(Reason.KEYS_UNAVAILABLE, f"jwks: more than {MAX_SET_BYTES} bytes")
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
