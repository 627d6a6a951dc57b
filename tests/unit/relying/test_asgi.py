"""The middleware driven directly: what it lets through, what it answers, what it never believes."""

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from keystead.errors import ConfigurationError
from keystead.model import VerifiedToken
from keystead.relying import RollingNonces
from keystead.relying.asgi import KeysteadMiddleware, Message, Receive, Scope, Send
from tests.relying_tokens import LEAVE_OUT, NOW, URL, proof, token, verifier

EXTERNAL = "https://api.example"


class FixedClock:
    def now(self) -> int:
        return NOW


class Api:
    """The protected application; it remembers what reached it."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        elif scope["type"] == "websocket":
            await send({"type": "websocket.accept"})

    @property
    def token(self) -> VerifiedToken:
        (scope,) = self.scopes
        found = scope["keystead.token"]
        assert isinstance(found, VerifiedToken)
        return found


class Answer:
    def __init__(self, messages: list[Message]) -> None:
        self.messages = messages

    @property
    def status(self) -> object:
        return self.messages[0]["status"]

    def header(self, name: bytes) -> str | None:
        headers = self.messages[0]["headers"]
        assert isinstance(headers, list)
        values = [value.decode() for found, value in headers if found == name]
        assert len(values) <= 1
        return values[0] if values else None

    @property
    def body(self) -> dict[str, str]:
        raw = self.messages[1]["body"]
        assert isinstance(raw, bytes)
        found: dict[str, str] = json.loads(raw)
        return found


def middleware(api: Api, *, started: int = NOW - 60, **options: Any) -> KeysteadMiddleware:
    checks = {name: options.pop(name) for name in list(options) if name in CHECKS}

    class Clock(FixedClock):
        times = iter([started])

        def now(self) -> int:
            return next(self.times, NOW)

    options = {"external_url": EXTERNAL, **options}
    return KeysteadMiddleware(api, verifier=verifier(**checks), clock=Clock(), **options)


CHECKS = {"nonces", "scopes_required", "acr_values", "dpop_required", "jwks", "replay"}


def headers_of(access_token: str, proof_value: str) -> list[tuple[bytes, bytes]]:
    return [
        (b"authorization", f"DPoP {access_token}".encode("latin-1")),
        (b"dpop", proof_value.encode("latin-1")),
    ]


def good_headers(**changes: object) -> list[tuple[bytes, bytes]]:
    access_token = token()
    return headers_of(access_token, proof(access_token, **changes))


async def call(
    app: KeysteadMiddleware, headers: list[tuple[bytes, bytes]] | None = None, **scope: object
) -> Answer:
    messages: list[Message] = []

    async def receive() -> Message:
        kind = "websocket.connect" if scope.get("type") == "websocket" else "http.request"
        return {"type": kind}

    async def send(message: Message) -> None:
        messages.append(message)

    full: Scope = {
        "type": "http",
        "method": "GET",
        "path": "/orders",
        "raw_path": b"/orders",
        "scheme": "http",
        "server": ("127.0.0.1", 8000),
        "headers": good_headers() if headers is None else headers,
        **scope,
    }
    await app({name: value for name, value in full.items() if value is not None}, receive, send)
    return Answer(messages)


async def test_the_application_sees_the_token() -> None:
    api = Api()
    assert (await call(middleware(api))).status == 204
    assert (api.token.user, api.token.scopes) == ("user-7", ("orders:read", "orders:list"))


async def test_without_credentials_it_is_challenged_without_error() -> None:
    api = Api()
    answer = await call(middleware(api), [])
    assert (answer.status, answer.body) == (401, {"error": "credentials_required"})
    assert (answer.header(b"www-authenticate") or "").startswith('DPoP algs="ES256')
    assert answer.header(b"cache-control") == "no-store"
    assert api.scopes == []


def two_of(name: bytes) -> list[tuple[bytes, bytes]]:
    headers = good_headers()
    return headers + [pair for pair in headers if pair[0] == name]


def bearer(extra: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", b"Bearer " + token().encode()), *extra]


@pytest.mark.parametrize(
    ("headers", "status", "error", "reason"),
    [
        (lambda: two_of(b"authorization"), 401, "invalid_token", "credential_invalid"),
        (lambda: two_of(b"dpop"), 401, "invalid_dpop_proof", "proof_not_single"),
        (lambda: good_headers()[:1], 401, "invalid_dpop_proof", "proof_missing"),
        (lambda: bearer([]), 401, "invalid_token", "proof_missing"),
        (lambda: bearer(good_headers()[1:]), 401, "invalid_token", "proof_missing"),
        (lambda: good_headers(key="thief"), 401, "invalid_token", "key_binding_mismatch"),
        (lambda: good_headers(ath=LEAVE_OUT), 401, "invalid_dpop_proof", "token_hash_mismatch"),
        (lambda: good_headers(htm="POST"), 401, "invalid_dpop_proof", "method_mismatch"),
        (lambda: headers_of("é.b.c", "x"), 401, "invalid_token", "credential_invalid"),
        (lambda: headers_of("a.b.c", "x"), 401, "invalid_token", "malformed"),
        (lambda: headers_of(token(), "ÿ"), 401, "invalid_dpop_proof", "malformed"),
    ],
)
async def test_refuses_and_says_why(
    headers: Callable[[], list[tuple[bytes, bytes]]], status: int, error: str, reason: str
) -> None:
    api = Api()
    answer = await call(middleware(api), headers())
    assert (answer.status, answer.body) == (status, {"error": error, "reason": reason})
    assert f'error="{error}"' in (answer.header(b"www-authenticate") or "")
    assert api.scopes == []


async def test_a_bound_token_is_no_bearer_token_even_where_bearer_is_allowed() -> None:
    api = Api()
    app = middleware(api, dpop_required=False)
    for headers in (bearer([]), bearer(good_headers()[1:])):
        assert (await call(app, headers)).body["reason"] == "proof_missing"
    unbound = token(cnf=LEAVE_OUT).encode()
    assert (await call(app, [(b"authorization", b"Bearer " + unbound)])).status == 204
    assert api.token.jkt is None


async def test_a_replayed_request_is_refused() -> None:
    app, headers = middleware(Api()), good_headers()
    assert (await call(app, headers)).status == 204
    assert (await call(app, headers)).body == {
        "error": "invalid_dpop_proof",
        "reason": "proof_replayed",
    }


async def test_proofs_of_the_time_before_the_start_are_refused() -> None:
    answer = await call(middleware(Api(), started=NOW))
    assert answer.body["reason"] == "proof_too_old"


async def test_scopes_by_path() -> None:
    def scopes_for(method: str, path: str) -> list[str]:
        return ["orders:write"] if method == "POST" and path == "/orders" else []

    app = middleware(Api(), scopes_for=scopes_for)
    assert (await call(app)).status == 204
    answer = await call(app, good_headers(htm="POST"), method="POST")
    assert (answer.status, answer.body["error"]) == (403, "insufficient_scope")
    assert 'scope="orders:write"' in (answer.header(b"www-authenticate") or "")


async def test_public_paths_pass_and_carry_no_token() -> None:
    api = Api()
    app = middleware(api, public_paths=["/healthz"])
    answer = await call(app, [], path="/healthz", **{"keystead.token": "forged"})
    assert answer.status == 204
    assert "keystead.token" not in api.scopes[0]
    assert (await call(app, [], path="/healthz/")).status == 401


async def test_the_hook_hears_of_every_token() -> None:
    heard: list[str] = []
    app = middleware(Api(), on_verified=lambda found, scope: heard.append(found.user))
    await call(app)
    await call(app, [])
    assert heard == ["user-7"]


async def test_nonces_come_with_every_answer() -> None:
    nonces = RollingNonces(b"s" * 32)
    app = middleware(Api(), nonces=nonces)
    answer = await call(app)
    assert answer.body == {"error": "use_dpop_nonce", "reason": "nonce_required"}
    nonce = answer.header(b"dpop-nonce")
    answer = await call(app, good_headers(nonce=nonce))
    assert (answer.status, answer.header(b"dpop-nonce")) == (204, nonce)


async def test_keys_that_cannot_be_had_are_not_the_callers_fault() -> None:
    def away() -> bytes:
        raise OSError("away")

    from keystead.relying import CachedJwks

    answer = await call(middleware(Api(), jwks=CachedJwks(away)))
    assert (answer.status, answer.header(b"retry-after")) == (503, "60")
    assert answer.body == {"error": "temporarily_unavailable", "reason": "keys_unavailable"}


# --- the URL --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "scope", "htu"),
    [
        ({}, {"raw_path": b"/orders?x"}, URL),
        ({"external_url": "https://API.example:443/"}, {}, URL),
        ({"external_url": "https://example.com/api/"}, {}, "https://example.com/api/orders"),
        ({}, {"path": "/a b", "raw_path": b"/a%20b"}, "https://api.example/a%20b"),
        ({}, {"path": "/a b/é", "raw_path": None}, "https://api.example/a%20b/%C3%A9"),
        ({"external_url": None}, {}, "http://127.0.0.1:8000/orders"),
        ({"external_url": None}, {"server": ("::1", 80)}, "http://[::1]/orders"),
        ({"external_url": None}, {"scheme": "https"}, "https://127.0.0.1:8000/orders"),
    ],
)
async def test_the_url_is_the_one_that_clients_use(
    options: dict[str, Any], scope: dict[str, object], htu: str
) -> None:
    answer = await call(middleware(Api(), **options), good_headers(htu=htu), **scope)
    assert answer.status == 204


@pytest.mark.parametrize("external_url", [None, EXTERNAL])
async def test_what_the_sender_says_of_the_host_counts_for_nothing(
    external_url: str | None,
) -> None:
    app = middleware(Api(), external_url=external_url)
    said = [(b"host", b"evil.example"), (b"x-forwarded-host", b"evil.example")]
    answer = await call(app, [*good_headers(htu="http://evil.example/orders"), *said])
    assert answer.body["reason"] == "url_mismatch"


async def test_an_absolute_request_target_does_not_change_the_host() -> None:
    for htu in ("https://evil.example/orders", "https://api.examplehttp//evil.example/orders"):
        answer = await call(
            middleware(Api()), good_headers(htu=htu), raw_path=b"http://evil.example/orders"
        )
        assert answer.status == 401


async def test_a_server_without_a_port_needs_the_external_url() -> None:
    for server in (None, ("/run/api.sock", None)):
        with pytest.raises(ConfigurationError):
            await call(middleware(Api(), external_url=None), server=server)


@pytest.mark.parametrize("external_url", ["api.example", "ftp://api.example", ""])
def test_refuses_an_external_url_that_is_none(external_url: str) -> None:
    with pytest.raises(ConfigurationError):
        middleware(Api(), external_url=external_url)


# --- other kinds of connections -------------------------------------------------------------------


async def test_a_websocket_needs_a_token_as_well() -> None:
    api = Api()
    headers = good_headers(htu="https://api.example/orders")
    answer = await call(middleware(api), headers, type="websocket", method=None, scheme="wss")
    assert answer.messages == [{"type": "websocket.accept"}]
    assert api.token.user == "user-7"


async def test_a_websocket_without_external_url_is_compared_as_http() -> None:
    headers = good_headers(htu="http://127.0.0.1:8000/orders")
    answer = await call(
        middleware(Api(), external_url=None), headers, type="websocket", scheme="ws"
    )
    assert answer.messages == [{"type": "websocket.accept"}]


async def test_a_refused_websocket_is_closed() -> None:
    api = Api()
    answer = await call(middleware(api), [], type="websocket", scheme="wss")
    assert answer.messages == [{"type": "websocket.close", "code": 4401, "reason": ""}]
    assert api.scopes == []


async def test_a_refused_websocket_gets_the_challenge_where_the_server_can() -> None:
    answer = await call(
        middleware(Api()), [], type="websocket", extensions={"websocket.http.response": {}}
    )
    assert [message["type"] for message in answer.messages] == [
        "websocket.http.response.start",
        "websocket.http.response.body",
    ]
    assert answer.status == 401 and answer.header(b"www-authenticate")


async def test_lifespan_passes() -> None:
    api = Api()
    await call(middleware(api), type="lifespan")
    assert api.scopes[0]["type"] == "lifespan"


async def test_what_cannot_be_protected_is_not_served() -> None:
    api = Api()
    with pytest.raises(ConfigurationError):
        await call(middleware(api), type="webtransport")
    assert api.scopes == []


# --- the log --------------------------------------------------------------------------------------


async def test_one_line_a_request_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="keystead.relying")
    app, headers = middleware(Api()), good_headers()
    await call(app, headers)
    await call(app, headers)
    await call(app, [], raw_path=b'/x" event=admitted\nuser=root')
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 3
    assert lines[0].startswith('event=admitted user="user-7" agent="spiffe://example.org/agent/')
    assert lines[1].startswith(
        "event=refused status=401 error=invalid_dpop_proof reason=proof_replayed step=21 "
    )
    assert all("\n" not in line for line in lines)
    assert 'url="https://api.example/x\\" event=admitted\\nuser=root"' in lines[2]
    secrets = [value.decode().split(" ")[-1].split(".")[2] for _, value in headers]
    assert not any(secret in line for secret in secrets for line in lines)
