"""The stand-in build platform: real tokens of a made-up job, for whoever has its credential."""

import httpx
import pytest

from keystead.codec import json
from keystead.demo.build_platform import (
    REPOSITORY,
    REPOSITORY_ID,
    StandInPlatform,
    build_app,
    environment_of_job,
)
from keystead.errors import TokenRejected
from keystead.jose.jwk import parse_set
from keystead.jose.jwt import verify_jwt
from keystead.system import SystemClock

URL = "http://127.0.0.1:1"
CREDENTIAL = "of the job"
SHOWN = {"Authorization": f"Bearer {CREDENTIAL}"}
ASKED = {"job": "1", "audience": "https://one.example"}


def client(*, host: str = "127.0.0.1") -> httpx.AsyncClient:
    app = build_app(StandInPlatform(URL, credential=CREDENTIAL))
    transport = httpx.ASGITransport(app, client=(host, 1234))
    return httpx.AsyncClient(transport=transport, base_url=URL)


async def test_token_verifies_with_the_published_keys_and_names_its_audience() -> None:
    async with client() as http:
        keys = parse_set((await http.get("/jwks")).content)
        answer = await http.get("/token", params=ASKED, headers=SHOWN)
    token = json.get_str(answer.json(), "value")
    arguments = {"keys": keys, "types": frozenset({"jwt"}), "issuer": URL}
    now = SystemClock().now()
    jwt = verify_jwt(token, audience="https://one.example", now=now, **arguments)
    assert (jwt.claims["repository"], jwt.claims["repository_id"]) == (REPOSITORY, REPOSITORY_ID)
    with pytest.raises(TokenRejected):
        verify_jwt(token, audience="https://two.example", now=now, **arguments)


async def test_two_platforms_have_keys_of_their_own() -> None:
    async with client() as one, client() as two:
        assert (await one.get("/jwks")).json() != (await two.get("/jwks")).json()


@pytest.mark.parametrize("shown", [{}, {"Authorization": "Bearer another"}, {"X": CREDENTIAL}])
async def test_gives_nothing_without_the_jobs_credential(shown: dict[str, str]) -> None:
    async with client() as http:
        answer = await http.get("/token", params=ASKED, headers=shown)
    assert (answer.status_code, "value" in answer.json()) == (401, False)


async def test_gives_nothing_to_another_machine() -> None:
    async with client(host="192.0.2.7") as http:
        answer = await http.get("/token", params=ASKED, headers=SHOWN)
    assert (answer.status_code, "value" in answer.json()) == (403, False)


async def test_a_token_for_nobody_in_particular_is_refused() -> None:
    async with client() as http:
        assert (await http.get("/token", headers=SHOWN)).status_code == 400


def test_its_issuer_is_the_stand_in_and_its_job_is_told_where_tokens_are() -> None:
    told = environment_of_job(URL, credential=CREDENTIAL)
    assert told["ACTIONS_ID_TOKEN_REQUEST_URL"].startswith(f"{URL}/token?")
    assert told["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] == CREDENTIAL
