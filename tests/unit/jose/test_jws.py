from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.codec import base64url
from keystead.errors import Malformed, Reason, TokenRejected
from keystead.jose import jws
from tests.jose_keys import compact, private_key, public_jwk, signature

HEADER = {"alg": "ES256", "kid": "one", "typ": "JWT"}
TOKEN = compact(HEADER, b"payload")


def refused(token: str | bytes) -> Reason:
    with pytest.raises(Malformed) as caught:
        jws.parse_compact(token)
    return caught.value.reason


def with_header(raw: bytes) -> str:
    return f"{base64url.encode(raw)}.{TOKEN.split('.', 1)[1]}"


@pytest.mark.parametrize("token", [TOKEN, TOKEN.encode()])
def test_parses_and_verifies(token: str | bytes) -> None:
    parsed = jws.parse_compact(token)
    assert (parsed.algorithm, parsed.kid, parsed.typ) == ("ES256", "one", "JWT")
    assert parsed.header == HEADER
    assert parsed.protected == TOKEN.split(".")[0].encode()
    assert parsed.signing_input == TOKEN.rsplit(".", 1)[0].encode()
    assert jws.verify_compact(parsed, key=public_jwk()) == b"payload"


def test_assemble_undoes_parsing() -> None:
    parsed = jws.parse_compact(TOKEN)
    assert jws.assemble(parsed.signing_input, parsed.signature) == TOKEN


def test_signing_input_takes_claims_or_bytes() -> None:
    assert jws.signing_input(HEADER, {"a": 1}) == jws.signing_input(HEADER, b'{"a":1}')


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        TOKEN.rsplit(".", 1)[0],
        TOKEN + ".",
        "." + TOKEN,
        f"{TOKEN}.e30.e30",
        TOKEN + "=",
        TOKEN + "\n",
        " " + TOKEN,
        TOKEN.replace(".", ".\0", 1),
        TOKEN[:-1],
        TOKEN[1:],
        f"é{TOKEN}",
    ],
)
def test_rejects_what_is_not_three_canonical_segments(token: str) -> None:
    assert refused(token) is Reason.MALFORMED
    assert refused(token.encode()) is Reason.MALFORMED


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"null",
        b"[]",
        b'"ES256"',
        b"{}",
        b'{"alg":null}',
        b'{"alg":1}',
        b'{"alg":["ES256"]}',
        b'{"alg":""}',
        b'{"alg":"ES256","kid":7}',
        b'{"alg":"ES256","kid":""}',
        b'{"alg":"ES256","kid":null}',
        b'{"alg":"ES256","typ":7}',
        b'{"alg":"ES256"} x',
        b'{"alg":"ES256\\u0000"}',
    ],
)
def test_rejects_a_header_that_is_no_header(header: bytes) -> None:
    assert refused(with_header(header)) is Reason.MALFORMED


def test_rejects_a_header_with_a_member_twice() -> None:
    token = with_header(b'{"alg":"none","alg":"ES256"}')
    assert refused(token) is Reason.DUPLICATE_MEMBER


def test_sizes_are_bounded() -> None:
    token = compact({"alg": "ES256"}, b"x" * 100)
    assert jws.parse_compact(token, max_bytes=len(token)).payload == b"x" * 100
    with pytest.raises(Malformed) as caught:
        jws.parse_compact(token, max_bytes=len(token) - 1)
    assert caught.value.reason is Reason.TOO_LARGE
    assert refused("A" * (jws.MAX_TOKEN_BYTES + 1)) is Reason.TOO_LARGE
    assert refused(with_header(b" " * (jws.MAX_HEADER_BYTES + 1))) is Reason.TOO_LARGE
    assert refused(f"{TOKEN.rsplit('.', 1)[0]}.{'A' * 1_368}") is Reason.TOO_LARGE
    assert refused(with_header(b'{"alg":"ES256","a":[[[]]]}')) is Reason.TOO_LARGE


@pytest.mark.parametrize("name", ["crit", "b64", "zip", "enc"])
@pytest.mark.parametrize("value", [["exp"], ["b64"], [], "x", False, None])
def test_rejects_headers_that_change_the_meaning(name: str, value: object) -> None:
    with pytest.raises(TokenRejected) as caught:
        jws.parse_compact(compact({**HEADER, name: value}, b"payload"))
    assert caught.value.reason is Reason.CRITICAL_HEADER_UNKNOWN


def test_rejects_an_algorithm_that_is_not_among_the_allowed() -> None:
    parsed = jws.parse_compact(TOKEN)
    with pytest.raises(TokenRejected) as caught:
        jws.verify_compact(parsed, key=public_jwk(), algorithms=frozenset({"RS256"}))
    assert caught.value.reason is Reason.ALGORITHM_NOT_ALLOWED


def test_allowing_none_does_not_make_it_an_algorithm() -> None:
    parsed = jws.parse_compact(compact({"alg": "none"}, b"payload"))
    with pytest.raises(TokenRejected) as caught:
        jws.verify_compact(parsed, key=public_jwk(), algorithms=frozenset({"none", "ES256"}))
    assert caught.value.reason is Reason.ALGORITHM_NOT_ALLOWED


def test_rejects_another_key_and_another_payload() -> None:
    header, _, signed = TOKEN.split(".")
    cases = [(TOKEN, "another"), (f"{header}.cGF5bG9hZA.{signed}", "another")]
    for token, name in [*cases, (f"{header}.cGF5bG9hZB0.{signed}", "holder")]:
        with pytest.raises(TokenRejected) as caught:
            jws.verify_compact(jws.parse_compact(token), key=public_jwk(name=name))
        assert caught.value.reason is Reason.SIGNATURE_INVALID


def test_whitespace_in_the_header_is_signed_as_sent() -> None:
    message = b".".join([base64url.encode(b'{ "alg" : "ES256" }').encode(), b"e30"])
    token = jws.assemble(message, signature("ES256", private_key(), message))
    assert jws.verify_compact(jws.parse_compact(token), key=public_jwk()) == b"{}"


@given(st.binary(max_size=80) | st.text(alphabet="eyJhbGci.=-_{}\0 ", max_size=80))
def test_leaks_nothing_but_malformed_and_rejected(token: bytes | str) -> None:
    with suppress(Malformed, TokenRejected):
        jws.parse_compact(token)


@given(st.integers(0, len(TOKEN) - 1), st.sampled_from("ABab019-_.=\0 é"))
def test_no_changed_character_verifies(at: int, character: str) -> None:
    changed = TOKEN[:at] + character + TOKEN[at + 1 :]
    if changed == TOKEN:
        return
    with pytest.raises((Malformed, TokenRejected)):
        jws.verify_compact(jws.parse_compact(changed), key=public_jwk())
