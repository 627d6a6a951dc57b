"""uvicorn's protocol, with bounds that it does not have and the client certificate's name.

The parser below it keeps an unfinished header in memory however long it grows, and nothing ends a
client that sends one byte a minute. Written against exactly the pinned release of uvicorn.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from keystead.server.http.request import PEER_SPIFFE_ID
from keystead.server.limits import (
    BODY_DEADLINE_S,
    HEAD_DEADLINE_S,
    MAX_CONNECTIONS,
    MAX_CONNECTIONS_OF_ONE,
    MAX_DISCARDED_BYTES,
    MAX_HEAD_BYTES,
    MAX_PIPELINED,
    rate_key,
)

BODY_GRACE_S = 2.0
"""The endpoint's own deadline for the body is the one that answers; this one ends the rest."""
SPIFFE_SCHEME = "spiffe://"
_HEADER_OVERHEAD = 4
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class DoorProtocol(HttpToolsProtocol):
    """One connection."""

    _head_bytes = 0
    _address = ""
    _discarded_bytes = 0
    _framing_bytes = 0
    """What came since the last byte of a body, other than a head: chunk sizes, trailers."""
    _reading_head = True
    _all_head = True
    """Whether no header ended within the bytes that are being read now."""
    _all_framing = False
    """Whether no body, no header and no request ended or went on within them."""
    _deadline: asyncio.TimerHandle | None = None
    _extensions: dict[str, str] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A new connection; the first request's headers have a deadline."""
        super().connection_made(transport)
        self._address = rate_key(self.client[0]) if self.client is not None else ""
        if len(self.connections) > MAX_CONNECTIONS or self._of_this_address_too_many():
            transport.abort()
            return
        id = peer_spiffe_id(transport)
        if id is not None:
            self._extensions = {PEER_SPIFFE_ID: id}
        self._arm(HEAD_DEADLINE_S)

    def _of_this_address_too_many(self) -> bool:
        if len(self.connections) <= MAX_CONNECTIONS_OF_ONE:
            return False
        same: int = sum(
            isinstance(other, DoorProtocol) and other._address == self._address
            for other in self.connections
        )
        return same > MAX_CONNECTIONS_OF_ONE

    def connection_lost(self, exc: Exception | None) -> None:
        """The end, ours or the client's."""
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        if self._reading_head and self._deadline is None:
            self._arm(HEAD_DEADLINE_S)
        self._all_head, self._all_framing = self._reading_head, not self._reading_head
        super().data_received(data)
        if self._all_head:
            self._count_head(len(data))
        elif self._all_framing:
            self._count_framing(len(data))

    def on_message_begin(self) -> None:
        """A request's first byte."""
        super().on_message_begin()
        if self._extensions is not None:
            self.scope["extensions"] = self._extensions  # type: ignore[typeddict-item]

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field. A trailer is dropped: uvicorn would put it among the headers that the
        endpoint reads (RFC 9110 §6.5.1 forbids that)."""
        if self._reading_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Its headers are whole."""
        self._reading_head = self._all_head = self._all_framing = False
        self._framing_bytes = 0
        self._head_bytes = 0
        size = len(self.url) + sum(len(n) + len(v) + _HEADER_OVERHEAD for n, v in self.headers)
        if size > MAX_HEAD_BYTES:
            self._refuse_head()
            return
        if len(self.pipeline) >= MAX_PIPELINED:
            self.transport.abort()
            return
        self._discarded_bytes = 0
        self._arm(BODY_DEADLINE_S + BODY_GRACE_S)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of its body; after the answer it is only counted."""
        self._all_framing = False
        self._framing_bytes = 0
        if self.transport.is_closing():
            return
        if self.cycle.response_complete:
            self._discarded_bytes += len(body)
            if self._discarded_bytes > MAX_DISCARDED_BYTES:
                self.transport.abort()
            return
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Its body is whole; the next head may begin in the same bytes."""
        self._reading_head, self._all_framing = True, False
        self._disarm()
        if not self.transport.is_closing():
            super().on_message_complete()

    def _count_head(self, size_bytes: int) -> None:
        self._head_bytes += size_bytes
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse_head()

    def _count_framing(self, size_bytes: int) -> None:
        self._framing_bytes += size_bytes
        if self._framing_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.transport.abort()

    def _refuse_head(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def _arm(self, seconds: float) -> None:
        self._disarm()
        self._deadline = self.loop.call_later(seconds, self._end)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.abort()


def peer_spiffe_id(transport: asyncio.BaseTransport) -> str | None:
    """The SPIFFE ID of a verified client certificate: its only URI name (X509-SVID §2)."""
    tls = transport.get_extra_info("ssl_object")
    if not isinstance(tls, ssl.SSLObject | ssl.SSLSocket):
        return None
    certificate = tls.getpeercert()
    return spiffe_name(certificate) if certificate else None


def spiffe_name(certificate: Mapping[str, object]) -> str | None:
    """The same from what :meth:`ssl.SSLSocket.getpeercert` gives."""
    names = certificate.get("subjectAltName", ())
    if not isinstance(names, tuple):
        return None
    uris = [value for kind, value in names if kind == "URI"]
    if len(uris) != 1 or not uris[0].startswith(SPIFFE_SCHEME):
        return None
    return str(uris[0])
