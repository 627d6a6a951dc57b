"""Endpoints and the one way in and out, called as ASGI without a socket."""

import asyncio
import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

import pytest

from keystead.codec import base64url
from keystead.errors import NotFound, ProofRejected, Reason, Refused, Unavailable
from keystead.ports import Attestation
from keystead.server.http import app as http_app
from keystead.server.http import request as http_request
from keystead.server.http.request import PEER_SPIFFE_ID
from keystead.server.limits import REQUEST_SHARE, Limits
from keystead.service.health import HealthReport
from keystead.service.keys import IssuerProof
from tests.doors import (
    HOST_ID,
    OPERATOR,
    RELYING_PARTY_ID,
    TOKEN,
    Recorder,
    make_doors,
    make_use_cases,
    waits,
)

FORM = (b"content-type", b"application/x-www-form-urlencoded")
JSON = (b"content-type", b"application/json")
Headers = Iterable[tuple[bytes, bytes]]


class Reply:
    """What an application sent."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], message["headers"]
        else:
            self.body += message["body"]

    def header(self, name: str) -> str | None:
        found = [v.decode() for k, v in self.headers if k == name.encode()]
        assert len(found) < 2, name
        return found[0] if found else None

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def call(
    app: Any,
    method: str,
    path: str,
    *,
    headers: Headers = (),
    chunks: Iterable[bytes] = (b"",),
    scheme: str = "http",
    peer: str | None = None,
) -> Reply:
    parts = list(chunks)
    reply = Reply()

    async def receive() -> dict[str, Any]:
        if not parts:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "scheme": scheme,
        "client": ("192.0.2.1", 5000),
        "headers": list(headers),
        "extensions": {PEER_SPIFFE_ID: peer} if peer else None,
    }
    await app(scope, receive, reply.send)
    return reply


def make_app(use_cases: Any = None, **settings: Any) -> Any:
    return make_doors(use_cases, **settings).app()


async def post(app: Any, path: str, *, headers: Headers = (), **fields: str) -> Reply:
    body = urlencode(fields).encode()
    return await call(app, "POST", path, headers=[FORM, *headers], chunks=[body])


def bearer(credential: str = OPERATOR) -> tuple[bytes, bytes]:
    return (b"authorization", f"Bearer {credential}".encode())


# --- the token endpoint ---------------------------------------------------------------------------


async def test_token_passes_parameters_in_order_and_every_proof() -> None:
    use_cases = make_use_cases()
    body = b"grant_type=g&audience=b&audience=a"
    reply = await call(
        make_app(use_cases),
        "POST",
        "/token",
        headers=[FORM, (b"dpop", b"one"), (b"x", b"y"), (b"dpop", b"two")],
        chunks=[body],
    )
    [(name, args, kwargs)] = [c for c in use_cases.tokens.calls if c[0] == "exchange"]
    assert name == "exchange"
    assert args == ([("grant_type", "g"), ("audience", "b"), ("audience", "a")],)
    assert kwargs == {"proofs": ["one", "two"]}
    assert reply.status == 200
    assert reply.json == {
        "access_token": "a.b.c",
        "issued_token_type": TOKEN.issued_token_type,
        "token_type": "DPoP",
        "expires_in": 300,
        "scope": "read",
        "refresh_token": "r",
    }
    assert reply.header("cache-control") == "no-store"
    assert reply.header("dpop-nonce") == "fresh-nonce"
    assert reply.header("content-length") == str(len(reply.body))


async def test_token_reads_a_body_in_pieces() -> None:
    use_cases = make_use_cases()
    await call(make_app(use_cases), "POST", "/token", headers=[FORM], chunks=[b"a=", b"", b"b&c=d"])
    assert use_cases.tokens.calls[0][1] == ([("a", "b"), ("c", "d")],)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ProofRejected(Reason.NONCE_REQUIRED), 400, "use_dpop_nonce"),
        (ProofRejected(Reason.URL_MISMATCH), 400, "invalid_dpop_proof"),
        (Refused(Reason.GRANT_REVOKED, "secret detail"), 400, "invalid_grant"),
        (Unavailable(Reason.HARDWARE_BUSY, retry_after_s=3), 503, "temporarily_unavailable"),
    ],
)
async def test_a_refusal_tells_its_reason_and_no_detail(
    error: Exception, status: int, code: str
) -> None:
    use_cases = make_use_cases(tokens=Recorder(exchange=waits(error), fresh_nonce="n"))
    reply = await post(make_app(use_cases), "/token", a="b")
    assert reply.status == status
    assert reply.json == {"error": code, "error_description": error.reason.value}  # type: ignore[attr-defined]
    assert reply.header("dpop-nonce") == "n"
    assert reply.header("cache-control") == "no-store"
    assert reply.header("retry-after") == ("3" if status == 503 else None)


async def test_a_bug_is_logged_under_an_id_and_leaks_nothing() -> None:
    use_cases = make_use_cases(
        tokens=Recorder(exchange=waits(ValueError("the secret")), fresh_nonce="n")
    )
    reply = await post(make_app(use_cases), "/token", a="b")
    assert reply.status == 500
    assert reply.json == {
        "error": "server_error",
        "error_description": "internal",
        "correlation_id": "ab" * 8,
    }
    assert b"secret" not in reply.body


async def test_token_refuses_a_second_way_to_authenticate() -> None:
    use_cases = make_use_cases()
    reply = await post(make_app(use_cases), "/token", headers=[(b"authorization", b"Basic eDp5")])
    assert (reply.status, reply.json["error"]) == (401, "invalid_client")
    assert reply.header("www-authenticate") == 'Bearer realm="keystead"'
    assert [c for c in use_cases.tokens.calls if c[0] == "exchange"] == []


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"content-type", b"")],
        [JSON],
        [(b"content-type", b"multipart/form-data; boundary=x")],
        [(b"content-type", b"application/x-www-form-urlencoded; charset=utf-16")],
        [(b"content-type", b"application/x-www-form-urlencoded; x=y")],
        [FORM, (b"content-encoding", b"gzip")],
    ],
)
async def test_token_refuses_another_media_type(headers: list[tuple[bytes, bytes]]) -> None:
    reply = await call(make_app(), "POST", "/token", headers=headers, chunks=[b"a=b"])
    assert (reply.status, reply.json["error_description"]) == (415, "content_type_unsupported")


@pytest.mark.parametrize(
    "media_type",
    [
        b"application/x-www-form-urlencoded;charset=UTF-8",
        b'Application/X-WWW-Form-Urlencoded ; charset="utf-8"',
    ],
)
async def test_token_takes_the_charset_that_clients_add(media_type: bytes) -> None:
    reply = await call(
        make_app(), "POST", "/token", headers=[(b"content-type", media_type)], chunks=[b"a=b"]
    )
    assert reply.status == 200


async def test_two_content_types_are_refused() -> None:
    reply = await call(make_app(), "POST", "/token", headers=[FORM, FORM], chunks=[b"a=b"])
    assert (reply.status, reply.json["error_description"]) == (400, "parameter_repeated")


# --- bodies ---------------------------------------------------------------------------------------


async def test_an_announced_body_over_the_limit_is_refused_unread() -> None:
    headers = [FORM, (b"content-length", b"2000")]
    reply = await call(
        make_app(limits=Limits(body_bytes=1024)), "POST", "/token", headers=headers, chunks=[]
    )
    assert (reply.status, reply.json["error_description"]) == (413, "too_large")


async def test_a_body_over_the_limit_is_refused_while_it_comes() -> None:
    app = make_app(limits=Limits(body_bytes=1024))
    reply = await call(app, "POST", "/token", headers=[FORM], chunks=[b"a" * 600] * 100)
    assert (reply.status, reply.json["error_description"]) == (413, "too_large")


async def test_a_body_of_just_the_limit_is_read() -> None:
    app = make_app(limits=Limits(body_bytes=1024))
    reply = await call(app, "POST", "/token", headers=[FORM], chunks=[b"a=" + b"b" * 1022])
    assert reply.status == 200


async def test_a_client_that_goes_away_reaches_no_use_case() -> None:
    use_cases = make_use_cases()
    await call(make_app(use_cases), "POST", "/token", headers=[FORM], chunks=[])
    assert [c for c in use_cases.tokens.calls if c[0] == "exchange"] == []


async def test_a_body_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_request, "BODY_DEADLINE_S", 0.02)
    reply = Reply()

    async def receive() -> Any:
        await asyncio.Event().wait()

    scope = {
        "type": "http",
        "method": "POST",
        "raw_path": b"/token",
        "scheme": "http",
        "client": ("192.0.2.1", 1),
        "headers": [FORM],
    }
    await make_app()(scope, receive, reply.send)
    assert (reply.status, reply.json["error_description"]) == (408, "deadline_exceeded")
    assert reply.header("connection") == "close"


async def test_a_use_case_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_app, "REQUEST_DEADLINE_S", 0.02)

    async def never(*_: Any, **__: Any) -> None:
        await asyncio.Event().wait()

    use_cases = make_use_cases(tokens=Recorder(exchange=never, fresh_nonce="n"))
    reply = await post(make_app(use_cases), "/token", a="b")
    assert (reply.status, reply.json["error_description"]) == (503, "deadline_exceeded")


async def test_a_timeout_inside_a_use_case_is_a_bug_and_not_a_deadline() -> None:
    use_cases = make_use_cases(tokens=Recorder(exchange=waits(TimeoutError()), fresh_nonce="n"))
    assert (await post(make_app(use_cases), "/token", a="b")).status == 500


# --- routing --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/token/",
        "//token",
        "/Token",
        "/%74oken",
        "/jwks/",
        "/jwks/token/x",
        "/.well-known/openid-configuration",
        "/attestation-results/",
        "/healthz/../token",
        "*",
    ],
)
async def test_an_unknown_path_is_not_found(path: str) -> None:
    reply = await call(make_app(), "GET", path)
    assert (reply.status, reply.json["error_description"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/token", "POST"),
        ("HEAD", "/token", "POST"),
        ("OPTIONS", "/token", "POST"),
        ("POST", "/jwks", "GET"),
        ("TRACE", "/healthz", "GET"),
        ("DELETE", "/.well-known/keystead/keys", "GET"),
    ],
)
async def test_another_method_is_told_which_one_is_allowed(
    method: str, path: str, allowed: str
) -> None:
    reply = await call(make_app(), method, path)
    assert (reply.status, reply.header("allow")) == (405, allowed)
    assert reply.json["error_description"] == "method_not_allowed"


async def test_head_is_answered_where_get_is() -> None:
    assert (await call(make_app(), "HEAD", "/jwks")).status == 200


async def test_ignores_what_is_not_http() -> None:
    reply = Reply()
    await make_app()({"type": "websocket"}, None, reply.send)
    assert reply.status == 0


# --- the other endpoints --------------------------------------------------------------------------


async def test_introspection_asks_strangers_to_authenticate() -> None:
    use_cases = make_use_cases()
    reply = await post(make_app(use_cases), "/introspect", token="t")
    assert (reply.status, reply.json["error"]) == (401, "invalid_client")
    assert reply.header("www-authenticate") == 'Bearer realm="keystead"'
    assert use_cases.grants.calls == []
    assert [e.reason for e in use_cases.trail.refusals] == [Reason.ROLE_REQUIRED]


async def test_introspection_refuses_a_caller_of_another_role() -> None:
    body = [b"token=t"]
    reply = await call(
        make_app(), "POST", "/introspect", headers=[FORM], chunks=body, scheme="https", peer=HOST_ID
    )
    assert (reply.status, reply.json["error_description"]) == (403, "role_required")


async def test_introspection_answers_a_relying_party_with_a_certificate() -> None:
    use_cases = make_use_cases()
    reply = await call(
        make_app(use_cases, development=False),
        "POST",
        "/introspect",
        headers=[FORM],
        chunks=[b"token=t&token_type_hint=access_token"],
        scheme="https",
        peer=RELYING_PARTY_ID,
    )
    assert (reply.status, reply.json) == (200, {"active": True})
    [(_, (caller, token), _)] = use_cases.grants.calls
    assert (caller.name, token) == (RELYING_PARTY_ID, "t")


@pytest.mark.parametrize(("scheme", "status"), [("http", 401), ("https", 200)])
async def test_a_credential_is_read_over_tls_only(scheme: str, status: int) -> None:
    reply = await call(
        make_app(development=False),
        "POST",
        "/introspect",
        headers=[FORM, bearer()],
        chunks=[b"token=t"],
        scheme=scheme,
    )
    assert reply.status == status
    if status == 401:
        assert reply.json["error_description"] == "tls_required"


async def test_two_authorization_headers_are_refused() -> None:
    reply = await post(make_app(), "/introspect", headers=[bearer(), bearer()], token="t")
    assert (reply.status, reply.json["error_description"]) == (400, "parameter_repeated")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (b"", "parameter_missing"),
        (b"token=", "parameter_missing"),
        (b"token=a&token=b", "parameter_repeated"),
        (b"token=a&token_type_hint=x&token_type_hint=y", "parameter_repeated"),
    ],
)
@pytest.mark.parametrize("path", ["/introspect", "/revoke"])
async def test_exactly_one_token_is_wanted(path: str, fields: bytes, reason: str) -> None:
    headers = [FORM, bearer()] if path == "/introspect" else [FORM]
    reply = await call(make_app(), "POST", path, headers=headers, chunks=[fields])
    assert (reply.status, reply.json["error_description"]) == (400, reason)


async def test_revoke_passes_the_proof_and_answers_empty() -> None:
    use_cases = make_use_cases()
    reply = await post(make_app(use_cases), "/revoke", headers=[(b"dpop", b"p")], token="t")
    assert (reply.status, reply.body) == (200, b"")
    assert use_cases.grants.calls == [("revoke", ("t",), {"proofs": ["p"]})]
    assert reply.header("dpop-nonce") == "fresh-nonce"


async def test_jwks_of_a_purpose() -> None:
    use_cases = make_use_cases()
    for path in ("/jwks", "/jwks/ear"):
        assert (await call(make_app(use_cases), "GET", path)).status == 200
    assert [c[1] for c in use_cases.tokens.calls if c[0] == "jwks"] == [("token",), ("ear",)]


async def test_an_unknown_purpose_is_not_found() -> None:
    def jwks(purpose: str) -> None:
        raise NotFound()

    use_cases = make_use_cases(tokens=Recorder(jwks=jwks))
    assert (await call(make_app(use_cases), "GET", "/jwks/mine")).status == 404


async def test_an_attestation_result_comes_by_its_hash() -> None:
    id = base64url.encode(b"\x01" * 32)
    reply = await call(make_app(), "GET", f"/attestation-results/{id}")
    assert (reply.status, reply.body) == (200, b"e.a.r")
    assert reply.header("content-type") == "application/eat+jwt"


@pytest.mark.parametrize("id", ["x", base64url.encode(b"\x01" * 31), "A" * 5000, "%2e%2e", "a=b"])
async def test_what_is_no_hash_never_reaches_the_store(id: str) -> None:
    use_cases = make_use_cases()
    assert (await call(make_app(use_cases), "GET", f"/attestation-results/{id}")).status == 404
    assert use_cases.attestations.calls == []


PROVE = "/.well-known/keystead/keys/prove"


def asked(**changed: object) -> bytes:
    members: dict[str, object] = {
        "kid": "k",
        "nonce": base64url.encode(b"n" * 32),
        "credential_blob": base64url.encode(b"blob"),
        "encrypted_secret": base64url.encode(b"encrypted"),
    }
    members.update(changed)
    return json.dumps({k: v for k, v in members.items() if v is not None}).encode()


def proving() -> Any:
    proof = IssuerProof(secret=b"s", certified=Attestation(attest=b"a", signature=b"g"))
    return make_use_cases(keys=Recorder(prove=waits(proof)))


async def test_prove_answers_the_secret_and_a_certification() -> None:
    use_cases = proving()
    reply = await call(make_app(use_cases), "POST", PROVE, headers=[JSON], chunks=[asked()])
    assert reply.json == {
        "secret": base64url.encode(b"s"),
        "certify": {"attest": base64url.encode(b"a"), "signature": base64url.encode(b"g")},
    }
    assert use_cases.keys.calls[0][2] == {
        "kid": "k",
        "nonce": b"n" * 32,
        "credential_blob": b"blob",
        "encrypted_secret": b"encrypted",
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        asked()[:-1],
        asked(nonce=None),
        asked(kid=7),
        asked(nonce="not base64url!"),
        b'{"kid":"a","kid":"b"}',
    ],
)
async def test_prove_refuses_a_malformed_question(body: bytes) -> None:
    use_cases = proving()
    reply = await call(make_app(use_cases), "POST", PROVE, headers=[JSON], chunks=[body])
    assert (reply.status, reply.json["error"]) == (400, "invalid_request")
    assert use_cases.keys.calls == []


async def test_prove_bounds_what_goes_to_the_tpm() -> None:
    use_cases = proving()
    body = asked(credential_blob=base64url.encode(b"b" * 1025))
    reply = await call(make_app(use_cases), "POST", PROVE, headers=[JSON], chunks=[body])
    assert (reply.status, reply.json["error_description"]) == (413, "too_large")
    assert use_cases.keys.calls == []


async def test_proofs_of_all_strangers_have_one_rate() -> None:
    app = make_app(proving(), limits=Limits(issuer_proofs_per_minute=2))
    replies = [await call(app, "POST", PROVE, headers=[JSON], chunks=[asked()]) for _ in range(3)]
    assert [reply.status for reply in replies] == [200, 200, 429]
    assert replies[2].header("retry-after") == "30"


@pytest.mark.parametrize(
    ("report", "status"),
    [
        (HealthReport(store="", hardware=""), 200),
        (HealthReport(store="store_unavailable", hardware=""), 503),
        (HealthReport(store="", hardware="timeout"), 503),
    ],
)
async def test_health_names_the_part_that_is_away(report: HealthReport, status: int) -> None:
    use_cases = make_use_cases(health=Recorder(check=waits(report)))
    reply = await call(make_app(use_cases), "GET", "/healthz")
    assert reply.status == status
    assert reply.json == {
        "status": "ok" if status == 200 else "unavailable",
        "store": report.store or "ok",
        "hardware": report.hardware or "ok",
    }


async def test_metrics_are_for_those_who_may_see_them() -> None:
    app = make_app()
    assert (await call(app, "GET", "/metrics")).status == 401
    reply = await call(app, "GET", "/metrics", headers=[bearer()])
    assert reply.status == 200
    assert b'keystead_requests_total{door="http",endpoint="metrics",status="401"} 1.0' in reply.body
    assert b'keystead_refusals_total{reason="role_required"} 1.0' in reply.body
    assert b"keystead_tpm_queue_depth 7.0" in reply.body


async def test_strangers_make_no_new_series() -> None:
    app = make_app()
    for number in range(50):
        await call(app, f"M{number}", f"/made-up/{number}")
    reply = await call(app, "GET", "/metrics", headers=[bearer()])
    assert b"made-up" not in reply.body
    unknown = b'keystead_requests_total{door="http",endpoint="unknown",status="404"} 50.0'
    assert unknown in reply.body


# --- limits ---------------------------------------------------------------------------------------


async def test_a_caller_over_its_rate_is_told_when_to_come_back() -> None:
    app = make_app(limits=Limits(requests_per_caller_per_s=1, burst_per_caller=2))
    replies = [await call(app, "GET", "/jwks") for _ in range(3)]
    assert [reply.status for reply in replies] == [200, 200, 429]
    assert replies[2].header("retry-after") == "1"
    assert replies[2].json["error_description"] == "rate_limited"


async def test_requests_at_once_are_bounded() -> None:
    going = asyncio.Event()

    async def slow(*_: Any, **__: Any) -> Any:
        await going.wait()
        return TOKEN

    use_cases = make_use_cases(tokens=Recorder(exchange=slow, fresh_nonce="n"))
    app = make_app(use_cases, limits=Limits(concurrent_requests=8))
    first = [asyncio.create_task(post(app, "/token", a="b")) for _ in range(8 // REQUEST_SHARE)]
    await asyncio.sleep(0)
    assert (await post(app, "/token", a="b")).status == 429
    going.set()
    assert [reply.status for reply in await asyncio.gather(*first)] == [200, 200]
    assert (await post(app, "/token", a="b")).status == 200
