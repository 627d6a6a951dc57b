"""A token that is evidence, taken apart before anything in it is believed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.errors import EvidenceRejected, KeysteadError, Malformed, Reason
from keystead.evidence.signed_token import MAX_AUDIENCES, SignedToken, parse_token
from tests.jose_keys import compact, private_key
from tests.workload_tokens import GITHUB, NOW, platform_claims, sign

MAX_BYTES = 16_384


def parse(token: str) -> SignedToken:
    return parse_token(token, max_bytes=MAX_BYTES)


def test_reads_what_a_token_says() -> None:
    token = parse(sign(platform_claims(jti="t-1", aud=["a", "b"])))
    assert (token.issuer, token.kid, token.jti) == (GITHUB, "k1", "t-1")
    assert token.audience == ("a", "b")
    assert (token.issued_at, token.not_before, token.expires_at) == (NOW, NOW, NOW + 300)
    assert token.claims["repository_id"] == "74"


def test_what_is_absent_is_none() -> None:
    token = parse(sign({"iss": GITHUB}, kid=...))
    assert (token.kid, token.jti, token.audience) == (None, None, ())
    assert (token.issued_at, token.not_before, token.expires_at) == (None, None, None)


def test_token_is_known_by_what_was_signed_and_not_by_its_signature() -> None:
    one = parse(sign(platform_claims(), algorithm="ES256"))
    two = parse(sign(platform_claims(), algorithm="ES256"))
    assert one.jws.signature != two.jws.signature and one.id == two.id
    assert parse(sign(platform_claims(jti="other"))).id != one.id
    assert len(one.id) == 32


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": ...},
        {"iss": 7},
        {"iss": ""},
        {"aud": 7},
        {"aud": ["a", 7]},
        {"aud": ["a"] * (MAX_AUDIENCES + 1)},
        {"exp": "soon"},
        {"exp": True},
        {"iat": -1},
        {"nbf": 10**18},
        {"jti": 7},
        {"jti": "a" * 513},
    ],
)
def test_claims_of_the_wrong_type_are_malformed(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        parse(sign(platform_claims(**changes)))


@pytest.mark.parametrize("name", ["crit", "b64", "zip", "enc"])
def test_critical_headers_are_refused(name: str) -> None:
    with pytest.raises(EvidenceRejected) as refused:
        parse(sign(platform_claims(), **{name: ["exp"]}))
    assert refused.value.reason is Reason.CRITICAL_HEADER_UNKNOWN


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "PS256"])
def test_signature_of_the_wrong_length_is_malformed(algorithm: str) -> None:
    head, _, _ = sign(platform_claims(), algorithm=algorithm).rpartition(".")
    for size in (0, 1, 63, 65, 255):
        with pytest.raises(Malformed):
            parse(f"{head}.{'A' * (size * 4 // 3 + bool(size * 4 % 3))}")


def test_duplicate_claims_are_malformed() -> None:
    payload = b'{"iss": "https://a.example", "iss": "https://b.example"}'
    token = compact({"alg": "RS256"}, payload, key=private_key("RS256"), algorithm="RS256")
    with pytest.raises(Malformed) as refused:
        parse(token)
    assert refused.value.reason is Reason.DUPLICATE_MEMBER


def test_deep_claims_and_long_tokens_are_too_large() -> None:
    payload = b'{"iss":' + b'{"a":' * 40 + b"1" + b"}" * 41
    for token in (
        compact({"alg": "RS256"}, payload, key=private_key("RS256"), algorithm="RS256"),
        sign(platform_claims(padding="a" * MAX_BYTES)),
    ):
        with pytest.raises(Malformed) as refused:
            parse(token)
        assert refused.value.reason is Reason.TOO_LARGE


@given(token=st.text(max_size=200))
def test_no_text_does_more_than_be_malformed(token: str) -> None:
    with pytest.raises(Malformed):
        parse(token)


@given(at=st.integers(min_value=0), byte=st.characters(codec="ascii"))
def test_changed_token_is_another_or_refused(at: int, byte: str) -> None:
    good = sign(platform_claims(), algorithm="ES256")
    at %= len(good)
    bent = good[:at] + byte + good[at + 1 :]
    try:
        token = parse(bent)
    except KeysteadError:
        return
    assert bent == good or token.jws != parse(good).jws
