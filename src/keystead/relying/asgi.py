"""ASGI middleware: the application sees only requests whose token and proof were verified.

    app = KeysteadMiddleware(
        app, verifier=verifier, clock=clock, external_url="https://api.example"
    )

    async def orders(request):                       # Starlette, FastAPI and the like
        token = request.scope["keystead.token"]      # a VerifiedToken

Refusals are answered as RFC 9449 §7.1 says, with a JSON body ``{"error", "reason"}``. One line a
request goes to the logger ``keystead.relying``.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping
from typing import TypeAlias
from urllib.parse import quote

from keystead.errors import ConfigurationError, Malformed
from keystead.jose.htu import normalise_htu
from keystead.model import VerifiedToken
from keystead.ports import Clock
from keystead.relying.challenge import Challenge
from keystead.relying.door import Door, Presented
from keystead.relying.verifier import Verifier

# What ASGI itself says of these: mappings of str to anything.
Message: TypeAlias = MutableMapping[str, object]
Scope: TypeAlias = MutableMapping[str, object]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]

TOKEN_KEY = "keystead.token"
# The application's own range of RFC 6455 §7.4.2, reminiscent of HTTP's 401 and 403.
_CLOSE_CODE_BASE = 4_000
_HTTP_SCHEMES = {"ws": "http", "wss": "https"}
# RFC 3986 §3.3: what stands in a path as it is.
_PATH_CHARACTERS = "/:@!$&'()*+,;=-._~"


class KeysteadMiddleware:
    """Refuses every HTTP request and WebSocket handshake that does not verify.

    ``external_url`` is where clients reach the server, such as ``https://api.example`` or, behind
    a proxy that cuts a prefix off, ``https://example.com/api``. The path of the request is
    appended to it and compared with the proof's ``htu``. Without it, the server's own scheme,
    address and port count. ``Host`` and ``X-Forwarded-*`` never do: their sender chooses them.

    ``scopes_for(method, path)`` names the scopes that a request needs beyond the verifier's.
    ``public_paths`` are let through as they come, by exact path and without a token.
    ``on_verified`` is called with each token and its ASGI scope.
    """

    def __init__(
        self,
        app: App,
        *,
        verifier: Verifier,
        clock: Clock,
        external_url: str | None = None,
        scopes_for: Callable[[str, str], Iterable[str]] | None = None,
        public_paths: Collection[str] = (),
        on_verified: Callable[[VerifiedToken, Scope], None] | None = None,
    ) -> None:
        self._app = app
        self._door = Door(verifier, clock)
        self._external_url = _base(external_url) if external_url is not None else None
        self._scopes_for = scopes_for
        self._public_paths = frozenset(public_paths)
        self._on_verified = on_verified

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection, as ASGI calls it."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] not in ("http", "websocket"):
            raise ConfigurationError(detail=f"ASGI scope {scope['type']!r} cannot be protected")
        inner = {name: value for name, value in scope.items() if name != TOKEN_KEY}
        if scope.get("path") in self._public_paths:
            return await self._app(inner, receive, send)
        admitted = await self._door.admit_async(self._presented(scope))
        nonce = self._door.nonce()
        if isinstance(admitted, Challenge):
            return await _refuse(scope, receive, send, admitted, nonce)
        if self._on_verified is not None:
            self._on_verified(admitted, scope)
        inner[TOKEN_KEY] = admitted
        await self._app(inner, receive, send if nonce is None else _with_nonce(send, nonce))

    def _presented(self, scope: Scope) -> Presented:
        method, path = str(scope.get("method", "GET")), str(scope["path"])
        scopes = self._scopes_for(method, path) if self._scopes_for is not None else ()
        return Presented(
            authorization=_values(scope, b"authorization"),
            proofs=_values(scope, b"dpop"),
            method=method,
            url=(self._external_url or _server_url(scope)) + _raw_path(scope),
            scopes=frozenset(scopes),
        )


def _base(url: str) -> str:
    try:
        return normalise_htu(url).rstrip("/")
    except Malformed as error:
        raise ConfigurationError(detail=f"external_url: {error.detail}") from error


def _server_url(scope: Scope) -> str:
    """Where the server listens, which it knows by itself."""
    server = scope.get("server")
    if not isinstance(server, list | tuple) or len(server) != 2 or server[1] is None:
        raise ConfigurationError(detail="a server without a port needs external_url")
    scheme, host = str(scope.get("scheme", "http")), str(server[0])
    name = f"[{host}]" if ":" in host else host
    return f"{_HTTP_SCHEMES.get(scheme, scheme)}://{name}:{server[1]}"


def _raw_path(scope: Scope) -> str:
    """The path as it was sent, without the query; the decoded one, where that is all there is."""
    raw = scope.get("raw_path")
    path = (
        raw.split(b"?", 1)[0].decode("latin-1")
        if isinstance(raw, bytes)
        else quote(str(scope["path"]), safe=_PATH_CHARACTERS)
    )
    # Anything else, such as the absolute form, would be glued to the host's name.
    return path if path.startswith("/") else "/" + quote(path, safe="")


def _values(scope: Scope, name: bytes) -> list[str]:
    headers = scope.get("headers")
    found: list[str] = []
    if isinstance(headers, Iterable):
        found = [value.decode("latin-1") for header, value in headers if header.lower() == name]
    return found


async def _refuse(
    scope: Scope, receive: Receive, send: Send, challenge: Challenge, nonce: str | None
) -> None:
    extensions = scope.get("extensions")
    denial = isinstance(extensions, dict) and "websocket.http.response" in extensions
    if scope["type"] == "websocket":
        await receive()  # websocket.connect, which has to come first
        if not denial:
            code = _CLOSE_CODE_BASE + challenge.status
            return await send({"type": "websocket.close", "code": code, "reason": ""})
    kind = "websocket.http" if scope["type"] == "websocket" else "http"
    body = json.dumps(challenge.body).encode()
    headers = _headers(challenge, nonce, len(body))
    await send({"type": f"{kind}.response.start", "status": challenge.status, "headers": headers})
    await send({"type": f"{kind}.response.body", "body": body})


def _headers(challenge: Challenge, nonce: str | None, size_bytes: int) -> Headers:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(size_bytes).encode()),
        (b"cache-control", b"no-store"),
    ]
    if challenge.www_authenticate is not None:
        headers.append((b"www-authenticate", challenge.www_authenticate.encode("ascii")))
    if challenge.retry_after_s is not None:
        headers.append((b"retry-after", str(challenge.retry_after_s).encode()))
    if nonce is not None:
        headers.append((b"dpop-nonce", nonce.encode("ascii")))
    return headers


def _with_nonce(send: Send, nonce: str) -> Send:
    """RFC 9449 §8.2: answers carry the next nonce, so that no request is spent on learning it."""

    async def send_with_nonce(message: Message) -> None:
        headers = message.get("headers")
        if message["type"] == "http.response.start":
            given = list(headers) if isinstance(headers, Iterable) else []
            message = {**message, "headers": [*given, (b"dpop-nonce", nonce.encode("ascii"))]}
        await send(message)

    return send_with_nonce
