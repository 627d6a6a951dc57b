from collections.abc import Mapping
from typing import Any

import pytest

from keystead.codec import base64url
from keystead.errors import KeysteadError, Malformed, Reason
from keystead.evidence.key_proof import (
    KEY_PROOF_TYP,
    key_proof_signing_input,
    verify_key_proof,
)
from keystead.jose import jws
from tests.evidence_builder import NONCE, OTHER_NONCE
from tests.jose_keys import compact, private_key, public_jwk, signature

ISSUER = "https://issuer.example"


def proof(algorithm: str = "ES256", *, issuer: str = ISSUER, nonce: bytes = NONCE) -> str:
    signed = key_proof_signing_input(public_jwk(algorithm), issuer=issuer, nonce=nonce)
    return jws.assemble(signed, signature(algorithm, private_key(algorithm), signed))


def bent(header: Mapping[str, Any] | None = None, claims: Mapping[str, Any] | None = None) -> str:
    """A really signed proof with some members changed; None takes one out."""
    good_header = {"typ": KEY_PROOF_TYP, "alg": "ES256", "jwk": dict(public_jwk().members)}
    good_claims = {"aud": ISSUER, "nonce": base64url.encode(NONCE)}
    return compact(
        _without_none(good_header | dict(header or {})),
        _without_none(good_claims | dict(claims or {})),
    )


def _without_none(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def refusal(text: str, algorithm: str = "ES256") -> KeysteadError:
    with pytest.raises(KeysteadError) as refused:
        verify_key_proof(text, key=public_jwk(algorithm), issuer=ISSUER, nonce=NONCE)
    return refused.value


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "RS256"])
def test_accepts_a_proof_by_the_key(algorithm: str) -> None:
    verify_key_proof(proof(algorithm), key=public_jwk(algorithm), issuer=ISSUER, nonce=NONCE)


def test_accepts_the_unbent_proof_of_these_tests() -> None:
    verify_key_proof(bent(), key=public_jwk(), issuer=ISSUER, nonce=NONCE)


@pytest.mark.parametrize(
    ("text", "step"),
    [
        (bent(header={"crit": ["b64"]}), 1),
        (bent(header={"typ": "dpop+jwt"}), 2),
        (bent(header={"typ": None}), 2),
        (bent(header={"jwk": dict(public_jwk(name="thief").members)}), 3),
        (bent(header={"jwk": {"kty": "oct", "k": "AAAA"}}), 3),
        (bent(header={"alg": "none"}), 4),
        (bent(header={"alg": "HS256"}), 4),
        (bent(header={"alg": "ES384"}), 4),
        (bent(claims={"aud": "https://other.example"}), 5),
        (bent(claims={"nonce": base64url.encode(OTHER_NONCE)}), 6),
        (bent(claims={"nonce": ""}), 6),
    ],
)
def test_rejects_a_proof_with_one_thing_wrong(text: str, step: int) -> None:
    error = refusal(text)
    assert (error.reason, error.step) == (Reason.KEY_PROOF_INVALID, step)


def test_rejects_a_proof_signed_by_another_key() -> None:
    text = compact(
        {"typ": KEY_PROOF_TYP, "alg": "ES256", "jwk": dict(public_jwk().members)},
        {"aud": ISSUER, "nonce": base64url.encode(NONCE)},
        key=private_key("ES256", "thief"),
    )
    error = refusal(text)
    assert (error.reason, error.step) == (Reason.KEY_PROOF_INVALID, 4)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.b",
        bent(header={"jwk": None}),
        bent(header={"kid": "x"}),
        bent(claims={"aud": None}),
        bent(claims={"nonce": None}),
        bent(claims={"nonce": base64url.encode(bytes(33))}),
        bent(claims={"exp": 1}),
        "A" * 9_000,
    ],
)
def test_rejects_what_is_no_proof_as_malformed(text: str) -> None:
    assert isinstance(refusal(text), Malformed)


def test_rejects_every_truncation() -> None:
    text = proof()
    for length in range(0, len(text), 7):
        refusal(text[:length])
