"""One HTTP request, as far as an endpoint looks at it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TypeAlias, cast

from keystead.codec import json
from keystead.codec.json import JSON
from keystead.errors import Malformed, Reason, Refused
from keystead.server.http.form import MEDIA_TYPE, parse_form
from keystead.server.limits import BODY_DEADLINE_S
from keystead.service.roles import ANYONE

# ASGI's own types, as its specification has them.
Scope: TypeAlias = MutableMapping[str, object]
Message: TypeAlias = MutableMapping[str, object]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

PEER_SPIFFE_ID = "keystead.peer_spiffe_id"
"""The member of the scope's extensions that our protocol class sets."""
JSON_MEDIA_TYPE = "application/json"


class Request:
    """A view of an ASGI scope; the body is read at most once."""

    __slots__ = ("_headers", "_max_body_bytes", "_receive", "_scope", "caller", "rest")

    def __init__(self, scope: Scope, receive: Receive, *, max_body_bytes: int) -> None:
        self._scope = scope
        self._receive = receive
        self._headers = cast("list[tuple[bytes, bytes]]", scope["headers"])
        self._max_body_bytes = max_body_bytes
        self.caller = ANYONE
        """Who is calling, once an endpoint has asked for a credential."""
        self.rest = ""
        """What follows the prefix of a route that has one."""

    @property
    def method(self) -> str:
        """In upper case, as sent."""
        return cast(str, self._scope["method"])

    @property
    def path(self) -> str:
        """As sent, percent signs and all: no path of ours has any."""
        return cast(bytes, self._scope["raw_path"]).decode("latin-1")

    @property
    def over_tls(self) -> bool:
        """Whether this very connection is encrypted."""
        return self._scope["scheme"] == "https"

    @property
    def peer(self) -> str:
        """The peer's address."""
        client = cast("tuple[str, int] | None", self._scope.get("client"))
        return client[0] if client else "unknown"

    @property
    def peer_spiffe_id(self) -> str | None:
        """What the client's verified certificate names, if there is one."""
        extensions = cast("dict[str, str] | None", self._scope.get("extensions"))
        return extensions.get(PEER_SPIFFE_ID) if extensions else None

    def header_values(self, name: bytes) -> list[str]:
        """Every value of a header, in order; ``name`` is in lower case."""
        return [value.decode("latin-1") for key, value in self._headers if key == name]

    def header(self, name: bytes) -> str | None:
        """A header that may come once; Malformed when it comes twice."""
        values = self.header_values(name)
        if len(values) > 1:
            raise Malformed(Reason.PARAMETER_REPEATED, f"header {name.decode()}")
        return values[0] if values else None

    async def form(self) -> list[tuple[str, str]]:
        """The body's form fields."""
        self._check_media_type(MEDIA_TYPE)
        return parse_form(await self._body())

    async def json(self) -> dict[str, JSON]:
        """The body's JSON object."""
        self._check_media_type(JSON_MEDIA_TYPE)
        return json.parse_object(await self._body(), max_bytes=self._max_body_bytes)

    def _check_media_type(self, wanted: str) -> None:
        media_type, _, parameter = (self.header(b"content-type") or "").partition(";")
        name, _, charset = parameter.strip().partition("=")
        plain = not parameter or (
            name.lower() == "charset" and charset.strip('"').lower() == "utf-8"
        )
        if media_type.strip().lower() != wanted or not plain:
            raise Malformed(Reason.CONTENT_TYPE_UNSUPPORTED, f"expected {wanted}")
        if (self.header(b"content-encoding") or "identity").lower() != "identity":
            raise Malformed(Reason.CONTENT_TYPE_UNSUPPORTED, "content-encoding")

    async def _body(self) -> bytes:
        announced = self.header(b"content-length")
        # Digits only: the parser below us has refused everything else.
        if announced is not None and int(announced) > self._max_body_bytes:
            raise self._too_large()
        try:
            async with asyncio.timeout(BODY_DEADLINE_S):
                return await self._read()
        except TimeoutError:
            raise Refused(Reason.DEADLINE_EXCEEDED, "the body came too slowly") from None

    async def _read(self) -> bytes:
        parts: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] != "http.request":
                raise Malformed(Reason.MALFORMED, "the client went away")
            part = cast(bytes, message.get("body", b""))
            size += len(part)
            if size > self._max_body_bytes:
                raise self._too_large()
            parts.append(part)
            if not message.get("more_body", False):
                return parts[0] if len(parts) == 1 else b"".join(parts)

    def _too_large(self) -> Malformed:
        return Malformed(Reason.TOO_LARGE, f"a body above {self._max_body_bytes} bytes")
