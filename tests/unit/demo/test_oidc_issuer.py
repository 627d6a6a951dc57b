"""The stand-in identity provider: real tokens, for this machine only."""

import httpx
import pytest

from keystead.codec import json
from keystead.demo.oidc_issuer import CLIENT, USER, StandInProvider, build_app
from keystead.errors import TokenRejected
from keystead.jose.jwk import parse_set
from keystead.jose.jwt import verify_jwt
from keystead.system import SystemClock

URL = "http://127.0.0.1:1"


def client(*, host: str = "127.0.0.1") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(build_app(StandInProvider(URL)), client=(host, 1234))
    return httpx.AsyncClient(transport=transport, base_url=URL)


async def test_token_verifies_with_the_published_keys_and_names_its_audience() -> None:
    async with client() as http:
        discovery = (await http.get("/.well-known/openid-configuration")).json()
        keys = parse_set((await http.get(discovery["jwks_uri"])).content)
        answer = await http.post("/pretend-sign-in", params={"audience": "https://one.example"})
    token = json.get_str(answer.json(), "access_token")
    arguments = {"keys": keys, "types": frozenset({"at+jwt"}), "issuer": discovery["issuer"]}
    now = SystemClock().now()
    jwt = verify_jwt(token, audience="https://one.example", now=now, **arguments)
    assert (jwt.claims["sub"], jwt.claims["client_id"]) == (USER, CLIENT)
    assert jwt.claims["auth_time"] <= now
    with pytest.raises(TokenRejected):
        verify_jwt(token, audience="https://two.example", now=now, **arguments)


async def test_every_provider_has_keys_of_its_own() -> None:
    async with client() as one, client() as two:
        assert (await one.get("/jwks")).json() != (await two.get("/jwks")).json()


@pytest.mark.parametrize("host", ["10.0.0.1", "192.0.2.7"])
async def test_gives_nothing_to_another_machine(host: str) -> None:
    async with client(host=host) as http:
        answer = await http.post("/pretend-sign-in", params={"audience": "https://one.example"})
    assert answer.status_code == 403
    assert "access_token" not in answer.text


async def test_a_token_for_nobody_in_particular_is_refused() -> None:
    async with client() as http:
        assert (await http.post("/pretend-sign-in")).status_code == 400
