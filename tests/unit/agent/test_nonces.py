"""Nonces of servers, and what a 401 says."""

import httpx
import pytest

from keystead.agent.nonces import MAX_ORIGINS, NonceMemory, challenge_error


def response(url: str, nonce: str, *, status: int = 200, **headers: str) -> httpx.Response:
    return httpx.Response(
        status,
        headers=[
            (b"DPoP-Nonce", nonce.encode()),
            *((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()),
        ],
        request=httpx.Request("GET", url),
    )


def test_keeps_the_newest_nonce_of_each_origin() -> None:
    nonces = NonceMemory()
    assert nonces.learn(response("https://a.example/x", "one"))
    assert nonces.learn(response("https://a.example:8443/x", "other"))
    assert nonces.learn(response("https://a.example/y", "two"))
    assert nonces.of(httpx.URL("https://A.example:443/z")) == "two"
    assert nonces.of(httpx.URL("https://a.example:8443/")) == "other"
    assert nonces.of(httpx.URL("http://a.example/")) is None


@pytest.mark.parametrize("nonce", ["", "two words", 'a"b', "back\\slash", "ü", "x" * 257])
def test_ignores_what_is_no_nonce(nonce: str) -> None:
    nonces = NonceMemory()
    assert not nonces.learn(response("https://a.example/", nonce))
    assert nonces.of(httpx.URL("https://a.example/")) is None


def test_forgets_the_oldest_origins() -> None:
    nonces = NonceMemory()
    for number in range(MAX_ORIGINS + 1):
        nonces.learn(response(f"https://a{number}.example/", "nonce"))
    assert nonces.of(httpx.URL("https://a0.example/")) is None
    assert nonces.of(httpx.URL("https://a1.example/")) == "nonce"


@pytest.mark.parametrize(
    ("header", "error"),
    [
        ('DPoP error="use_dpop_nonce", algs="ES256"', "use_dpop_nonce"),
        ("dpop algs=ES256, error=invalid_token", "invalid_token"),
        ('Bearer realm="x", DPoP algs="ES256", error="invalid_token"', "invalid_token"),
        ('DPoP algs="ES256"', None),
        ('Bearer error="invalid_token"', None),
        ('DPoP my_error="invalid_token"', None),
        ("", None),
    ],
)
def test_reads_the_error_of_a_dpop_challenge(header: str, error: str | None) -> None:
    refused = response("https://a.example/", "n", status=401, WWW_Authenticate=header)
    assert challenge_error(refused) == error


def test_only_a_401_is_a_challenge() -> None:
    header = 'DPoP error="use_dpop_nonce"'
    refused = response("https://a.example/", "n", status=403, WWW_Authenticate=header)
    assert challenge_error(refused) is None
