"""``keystead verify-issuer``: what the issuer's documents say is never enough."""

import json
from typing import Any

import httpx
import pytest

from keystead.appraisal.anchors import AnchorSet
from keystead.binding.issuer_proof import ProvedIssuerKey
from keystead.cli.verify_issuer import _check_kid, _Issuer
from keystead.errors import Reason, Rejected
from keystead.model import AnchorClass, EkId, Protection
from tests.jose_keys import public_jwk

URL = "https://issuer.example"
KEY = public_jwk(name="token")
NO_ANCHORS = AnchorSet(anchors=())


def issuer(keys: dict[str, Any], jwks: dict[str, Any]) -> _Issuer:
    documents = {"/.well-known/keystead/keys": keys, "/jwks": jwks}

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=json.dumps(documents[request.url.path]))

    return _Issuer(httpx.Client(transport=httpx.MockTransport(answer)), URL)


def published() -> dict[str, Any]:
    return {"keys": [{**KEY.to_dict(), "kid": KEY.thumbprint, "alg": "ES256", "use": "sig"}]}


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
    keys = {"issuer": URL, "keys": [entry(state=state, provable=False)]}
    rows = issuer(keys, published()).prove_all(NO_ANCHORS)
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


@pytest.mark.parametrize("kid", [KEY.thumbprint, "another"], ids=["its", "another"])
def test_a_kid_has_to_be_its_keys_thumbprint(kid: str) -> None:
    proved = ProvedIssuerKey(
        kid=kid,
        purpose="token",
        key=KEY,
        ek=EkId("ek"),
        anchor="CN=root",
        anchor_class=AnchorClass.EMULATED,
        protection=Protection.NON_EXPORTABLE,
        verified_at=0,
    )
    if kid == KEY.thumbprint:
        _check_kid(proved)
        return
    with pytest.raises(Rejected) as caught:
        _check_kid(proved)
    assert caught.value.reason is Reason.KEY_MISMATCH


def test_a_key_that_cannot_be_read_is_a_failing_row_beside_the_others() -> None:
    jwks = {"keys": [*published()["keys"], {"kty": "unheard-of", "kid": "x"}]}
    rows = issuer({"issuer": URL, "keys": []}, jwks).prove_all(NO_ANCHORS)
    assert [row["kid"] for row in rows] == [KEY.thumbprint, ""]
