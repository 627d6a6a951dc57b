"""Token requests: nonces, refusals, answers that are none."""

from collections.abc import Callable

import httpx
import pytest

from keystead.agent.endpoint import MAX_ANSWER_BYTES, TokenEndpoint
from keystead.agent.nonces import NonceMemory
from keystead.errors import (
    ConfigurationError,
    KeysteadError,
    Malformed,
    ProofRejected,
    Reason,
    Refused,
    Unavailable,
)
from tests.agent_parts import TOKEN_URL, SoftwareHolder, World

FORM = {"grant_type": "refresh_token", "refresh_token": "handle"}
GOOD: dict[str, object] = {"access_token": "token", "token_type": "DPoP", "expires_in": 300}


@pytest.fixture
def world() -> World:
    return World()


def answering(world: World, answer: Callable[[httpx.Request], httpx.Response]) -> TokenEndpoint:
    http = httpx.Client(transport=httpx.MockTransport(answer))
    return TokenEndpoint(
        TOKEN_URL, holder=SoftwareHolder(world.clock), http=http, nonces=NonceMemory()
    )


def test_uses_the_nonce_that_the_server_asks_for(world: World) -> None:
    world.endpoint().ask(FORM)
    assert world.holder.signed == 2
    assert [proof.nonce for proof in world.issuer.proofs] == ["issuer-nonce-1"]


def test_keeps_the_nonce_for_the_next_request(world: World) -> None:
    endpoint = world.endpoint()
    endpoint.ask(FORM)
    endpoint.ask(FORM)
    assert world.holder.signed == 3


def test_takes_the_next_nonce_from_an_answer(world: World) -> None:
    endpoint = world.endpoint()
    endpoint.ask(FORM)
    world.issuer.before_answer = lambda: setattr(world.issuer, "nonce", "issuer-nonce-2")
    endpoint.ask(FORM)
    endpoint.ask(FORM)
    assert world.holder.signed == 4
    assert world.issuer.proofs[-1].nonce == "issuer-nonce-2"


def test_tries_a_nonce_only_once(world: World) -> None:
    asked = 0

    def never_content(request: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        headers = {"DPoP-Nonce": f"nonce-{asked}"}
        return httpx.Response(400, json={"error": "use_dpop_nonce"}, headers=headers)

    with pytest.raises(ProofRejected) as caught:
        answering(world, never_content).ask(FORM)
    assert caught.value.reason is Reason.NONCE_REQUIRED
    assert asked == 2


def test_does_not_repeat_a_request_without_a_new_nonce(world: World) -> None:
    endpoint = answering(world, lambda _: httpx.Response(400, json={"error": "use_dpop_nonce"}))
    with pytest.raises(ProofRejected):
        endpoint.ask(FORM)


@pytest.mark.parametrize(
    ("status", "code", "description", "kind", "reason"),
    [
        (400, "invalid_request", "delegation_denied", Refused, Reason.DELEGATION_DENIED),
        (400, "invalid_request", "parameter_missing", Malformed, Reason.PARAMETER_MISSING),
        (400, "invalid_target", "audience_not_allowed", Refused, Reason.AUDIENCE_NOT_ALLOWED),
        (400, "invalid_dpop_proof", "proof_too_old", ProofRejected, Reason.PROOF_TOO_OLD),
        (429, "temporarily_unavailable", "rate_limited", Unavailable, Reason.RATE_LIMITED),
        (
            503,
            "temporarily_unavailable",
            "store_unavailable",
            Unavailable,
            Reason.STORE_UNAVAILABLE,
        ),
        # Another maker's server has its own words.
        (400, "invalid_scope", "No such scope.", Refused, Reason.SCOPE_NOT_ALLOWED),
        (400, "invalid_grant", "Expired.", Refused, Reason.GRANT_UNKNOWN),
        (500, "server_error", "internal", Unavailable, Reason.SERVER_UNAVAILABLE),
    ],
)
def test_a_refusal_keeps_the_reason_of_the_server(
    world: World,
    status: int,
    code: str,
    description: str,
    kind: type[KeysteadError],
    reason: Reason,
) -> None:
    body = {"error": code, "error_description": description}
    with pytest.raises(kind) as caught:
        answering(world, lambda _: httpx.Response(status, json=body)).ask(FORM)
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("header", "wait_s"), [("7", 7), ("99999999", 3600), ("soon", 1), ("-1", 1), ("²", 1)]
)
def test_reads_when_to_ask_again(world: World, header: str, wait_s: int) -> None:
    headers = {b"Retry-After": header.encode("utf-8")}
    with pytest.raises(Unavailable) as caught:
        answering(world, lambda _: httpx.Response(503, headers=headers)).ask(FORM)
    assert caught.value.retry_after_s == wait_s


def test_an_unreachable_server_is_unavailable(world: World) -> None:
    def gone(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody there")

    with pytest.raises(Unavailable) as caught:
        answering(world, gone).ask(FORM)
    assert caught.value.reason is Reason.SERVER_UNAVAILABLE


@pytest.mark.parametrize(
    "change",
    [
        {"access_token": ""},
        {"access_token": "two words"},
        {"access_token": "tökén"},
        {"access_token": "line\r\nHost: evil.example"},
        {"access_token": 7},
        {"expires_in": 0},
        {"expires_in": "300"},
        {"expires_in": 10**12},
        {"token_type": None},
        {"refresh_token": ""},
    ],
)
def test_rejects_an_answer_that_is_none(world: World, change: dict[str, object]) -> None:
    endpoint = answering(world, lambda _: httpx.Response(200, json={**GOOD, **change}))
    with pytest.raises(Malformed):
        endpoint.ask(FORM)


@pytest.mark.parametrize("missing", list(GOOD))
def test_rejects_an_answer_with_a_member_missing(world: World, missing: str) -> None:
    document = {name: value for name, value in GOOD.items() if name != missing}
    with pytest.raises(Malformed):
        answering(world, lambda _: httpx.Response(200, json=document)).ask(FORM)


def test_rejects_a_truncated_answer(world: World) -> None:
    with pytest.raises(Malformed):
        answering(world, lambda _: httpx.Response(200, content=b'{"access_token": "t')).ask(FORM)


def test_rejects_an_answer_without_end(world: World) -> None:
    body = b" " * (MAX_ANSWER_BYTES + 1)
    with pytest.raises(Malformed) as caught:
        answering(world, lambda _: httpx.Response(200, content=body)).ask(FORM)
    assert caught.value.reason is Reason.TOO_LARGE


def test_does_not_follow_a_redirect(world: World) -> None:
    asked = []

    def elsewhere(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        return httpx.Response(307, headers={"Location": "https://evil.example/token"})

    http = httpx.Client(transport=httpx.MockTransport(elsewhere), follow_redirects=True)
    endpoint = TokenEndpoint(TOKEN_URL, holder=world.holder, http=http, nonces=NonceMemory())
    with pytest.raises(Unavailable):
        endpoint.ask(FORM)
    assert asked == [TOKEN_URL]


@pytest.mark.parametrize("url", ["http://issuer.example/token", "ftp://issuer.example", "/token"])
def test_sends_no_tokens_in_the_clear(world: World, url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        world.endpoint(url)
    assert caught.value.reason is Reason.TLS_REQUIRED


@pytest.mark.parametrize("url", ["http://127.0.0.1:8440/token", "http://[::1]/token"])
def test_loopback_needs_no_tls(world: World, url: str) -> None:
    assert str(world.endpoint(url).url) == url
