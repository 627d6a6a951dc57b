"""``keystead verify-issuer``: what the issuer's documents say is never enough."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from keystead.appraisal.anchors import AnchorSet
from keystead.cli.verify_issuer import _Issuer
from keystead.errors import Reason, Rejected
from tests.jose_keys import public_jwk

URL = "https://issuer.example"
KEY = public_jwk(name="token")
NO_ANCHORS = AnchorSet(anchors=())


def issuer(keys: dict[str, Any], jwks: dict[str, Any]) -> _Issuer:
    documents = {"/.well-known/keystead/keys": keys, "/jwks": jwks}

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=json.dumps(documents[request.url.path]))

    return _Issuer(httpx.Client(transport=httpx.MockTransport(answer)), URL)


def published(kid: str = KEY.thumbprint) -> dict[str, Any]:
    return {"keys": [{**KEY.to_dict(), "kid": kid, "alg": "ES256", "use": "sig"}]}


def entry(**members: Any) -> dict[str, Any]:
    return {
        "kid": KEY.thumbprint,
        "purpose": "token",
        "jwk": KEY.to_dict(),
        "evidence": {"kind": "tpm2"},
        **members,
    }


@pytest.mark.parametrize("state", ["active", "retired"])
def test_a_key_without_evidence_is_not_proved_whatever_its_state(state: str) -> None:
    rows = issuer(
        {"issuer": URL, "keys": [entry(state=state, provable=False)]}, published()
    ).prove_all(NO_ANCHORS)
    assert [row["proved"] for row in rows] == [False, False]


def test_a_key_of_the_jwks_that_the_document_hides_is_a_failing_row() -> None:
    rows = issuer({"issuer": URL, "keys": []}, published()).prove_all(NO_ANCHORS)
    assert [(row["kid"], row["reason"]) for row in rows] == [(KEY.thumbprint, Reason.KEY_UNKNOWN)]


@pytest.mark.parametrize("jwks", [{"keys": []}, {"keys": [{"kty": "unheard-of"}]}])
def test_an_issuer_without_readable_token_keys_proves_nothing(jwks: dict[str, Any]) -> None:
    rows = issuer({"issuer": URL, "keys": []}, jwks).prove_all(NO_ANCHORS)
    assert [row["proved"] for row in rows] == [False]


def test_another_issuers_document_is_refused() -> None:
    with pytest.raises(Rejected) as caught:
        issuer({"issuer": "https://other.example", "keys": []}, published()).prove_all(NO_ANCHORS)
    assert caught.value.reason is Reason.ISSUER_MISMATCH


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A forgotten transport would ask the real host."""
    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", None)
    yield
