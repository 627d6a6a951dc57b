"""The httpx auth: what goes with each request, and what happens when an API says 401."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from keystead.agent.tokens import KEEP_FRESH_S
from keystead.errors import ConfigurationError, Reason, Unavailable
from tests.agent_parts import API_URL, LIFETIME_S, FakeApi, World


@pytest.fixture
def world() -> World:
    return World()


def test_every_request_has_the_token_and_a_proof_of_its_own(world: World) -> None:
    with world.client() as http:
        for path in ("/a", "/b?x=1", "/b?x=2"):
            assert http.get(f"https://api.example{path}").status_code == 200
        assert http.post(API_URL, content=b"body").status_code == 200
    assert len(set(world.api.tokens)) == 1
    assert len(world.api.proofs) == 4
    assert len(world.issuer.forms) == 1


def test_uses_the_nonce_that_an_api_asks_for(world: World) -> None:
    world.api.nonce = "api-nonce-1"
    with world.client() as http:
        assert http.post(API_URL, content=b"body").status_code == 200
        assert http.post(API_URL, content=b"more").status_code == 200
    assert world.api.bodies == [b"body", b"more"]
    assert [proof.nonce for proof in world.api.proofs] == ["api-nonce-1"] * 2


def test_each_server_has_its_own_nonce(world: World) -> None:
    world.api.nonce = "api-nonce-1"
    with world.client() as http:
        http.get(API_URL)
    assert world.issuer.proofs[-1].nonce == "issuer-nonce-1"
    assert world.api.proofs[-1].nonce == "api-nonce-1"


def test_takes_the_next_nonce_from_an_answer(world: World) -> None:
    with world.client() as http:
        http.get(API_URL)
        world.api.nonce = "api-nonce-1"
        http.get(API_URL)
        signed = world.holder.signed
        http.get(API_URL)
    assert world.holder.signed == signed + 1


def test_gives_up_on_an_api_that_never_likes_a_nonce(world: World) -> None:
    class Moody(FakeApi):
        def answer(self, request: httpx.Request) -> httpx.Response:
            self.nonce = f"nonce-{len(self.bodies)}"
            self.bodies.append(b"")
            return self._no("use_dpop_nonce")

    moody = Moody(world.clock)
    with httpx.Client(auth=world.auth(), transport=httpx.MockTransport(moody.answer)) as http:
        assert http.get(API_URL).status_code == 401
    assert len(moody.bodies) == 2


def test_does_not_send_a_read_stream_again(world: World) -> None:
    world.api.nonce = "api-nonce-1"

    def chunks() -> Iterator[bytes]:
        yield b"half"
        yield b"half"

    with world.client() as http:
        assert http.post(API_URL, content=chunks()).status_code == 401
        assert http.post(API_URL, content=chunks()).status_code == 200
    assert world.api.bodies == [b"halfhalf"]


def test_renews_a_token_that_an_api_calls_invalid(world: World) -> None:
    with world.client() as http:
        http.get(API_URL)
        world.clock.time += KEEP_FRESH_S
        world.api.refused_tokens = set(world.api.tokens)
        assert http.get(API_URL).status_code == 200
    assert world.issuer.grant_types == ["token-exchange", "refresh_token"]
    assert len(set(world.api.tokens)) == 2


def test_a_fresh_token_that_is_refused_stays_refused(world: World) -> None:
    with world.client() as http:
        http.get(API_URL)
        world.api.refused_tokens = set(world.api.tokens)
        assert http.get(API_URL).status_code == 401
    assert len(world.issuer.forms) == 1


def test_other_refusals_are_for_the_caller(world: World) -> None:
    def missing(request: httpx.Request) -> httpx.Response:
        return httpx.Response(403, headers={"WWW-Authenticate": 'DPoP error="insufficient_scope"'})

    with httpx.Client(auth=world.auth(), transport=httpx.MockTransport(missing)) as http:
        assert http.get(API_URL).status_code == 403
    assert world.holder.signed == 3


def test_renews_in_time(world: World) -> None:
    with world.client() as http:
        http.get(API_URL)
        world.clock.time += LIFETIME_S
        http.get(API_URL)
    assert len(set(world.api.tokens)) == 2


def test_attests_again_in_the_middle_of_the_work(world: World) -> None:
    with world.client() as http:
        http.get(API_URL)
        world.clock.time += LIFETIME_S
        world.issuer.refuse = [(400, "invalid_client", "binding_expired")]
        assert http.get(API_URL).status_code == 200
    assert world.holder.attested == 1


def test_sends_no_token_in_the_clear(world: World) -> None:
    with world.client() as http, pytest.raises(ConfigurationError) as caught:
        http.get("http://api.example/calendar")
    assert caught.value.reason is Reason.TLS_REQUIRED
    assert world.api.tokens == []


def test_an_error_of_the_token_endpoint_reaches_the_caller(world: World) -> None:
    world.issuer.refuse = [(503, "temporarily_unavailable", "store_unavailable")]
    with world.client() as http, pytest.raises(Unavailable) as caught:
        http.get(API_URL)
    assert caught.value.reason is Reason.STORE_UNAVAILABLE


def test_threads_share_one_token(world: World) -> None:
    with world.client() as http, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: http.get(API_URL).status_code, range(40)))
    assert answers == [200] * 40
    assert len(world.issuer.forms) == 1
    assert len(world.api.proofs) == 40


async def test_works_in_an_async_client(world: World) -> None:
    world.api.nonce = "api-nonce-1"
    async with httpx.AsyncClient(auth=world.auth(), transport=world.transport) as http:
        answers = await asyncio.gather(*(http.get(API_URL) for _ in range(20)))
    assert [answer.status_code for answer in answers] == [200] * 20
    assert len(world.issuer.forms) == 1


async def test_renews_a_refused_token_in_an_async_client(world: World) -> None:
    async with httpx.AsyncClient(auth=world.auth(), transport=world.transport) as http:
        await http.get(API_URL)
        world.clock.time += KEEP_FRESH_S
        world.api.refused_tokens = set(world.api.tokens)
        assert (await http.get(API_URL)).status_code == 200
        world.api.refused_tokens = set(world.api.tokens)
        assert (await http.get(API_URL)).status_code == 401
    assert len(set(world.api.tokens)) == 2


async def test_the_event_loop_runs_on_while_a_token_is_fetched(world: World) -> None:
    ticked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def wait_for_the_loop() -> None:
        async def tick() -> None:
            ticked.set()

        asyncio.run_coroutine_threadsafe(tick(), loop).result(10)

    world.issuer.before_answer = wait_for_the_loop
    async with httpx.AsyncClient(auth=world.auth(), transport=world.transport) as http:
        assert (await http.get(API_URL)).status_code == 200
    assert ticked.is_set()


async def test_one_auth_serves_threads_and_a_loop(world: World) -> None:
    auth = world.auth()
    with httpx.Client(auth=auth, transport=world.transport) as http:
        assert http.get(API_URL).status_code == 200
    async with httpx.AsyncClient(auth=auth, transport=world.transport) as http_async:
        assert (await http_async.get(API_URL)).status_code == 200
    assert len(world.issuer.forms) == 1
