"""What attackers send instead of tokens and proofs, each refused with its exact reason."""

import hashlib
import hmac
import json

import pytest

from keystead.codec import base64url
from keystead.errors import KeysteadError, Reason
from keystead.jose import dpop, jwk, jws, jwt
from tests.jose_keys import bent_proof, compact, private_key, proof, public_jwk

NOW = 1_000_000
URL = "https://server.example/token"
CLAIMS = {"iss": "https://issuer.example", "aud": "api", "iat": NOW, "exp": NOW + 60}
ISSUER_KEY = public_jwk("RS256", "issuer", kid="one")


def token_reason(token: str | bytes) -> Reason:
    with pytest.raises(KeysteadError) as caught:
        jwt.verify_jwt(
            token,
            keys=jwk.JwkSet([ISSUER_KEY]),
            types=frozenset({"at+jwt"}),
            issuer="https://issuer.example",
            audience="api",
            now=NOW,
        )
    return caught.value.reason


def proof_reason(proofs: list[str] | str) -> Reason:
    with pytest.raises(KeysteadError) as caught:
        dpop.verify_proof(
            proofs,
            method="POST",
            url=URL,
            now=NOW,
            access_token=None,
            expected_jkt=None,
            nonce=None,
        )
    return caught.value.reason


def header(**members: object) -> dict[str, object]:
    return {"typ": "at+jwt", "alg": "RS256", "kid": "one", **members}


def good_token() -> str:
    key = private_key("RS256", "issuer")
    return compact(header(), CLAIMS, key=key, algorithm="RS256")


def raw_token(header: bytes, payload: bytes = b"{}") -> str:
    return f"{base64url.encode(header)}.{base64url.encode(payload)}.AAAA"


def test_the_good_token_and_proof_are_accepted_so_that_the_rest_means_something() -> None:
    verified = jwt.verify_jwt(
        good_token(),
        keys=jwk.JwkSet([ISSUER_KEY]),
        types=frozenset({"at+jwt"}),
        issuer="https://issuer.example",
        audience="api",
        now=NOW,
    )
    assert verified.claims == CLAIMS


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE"])
@pytest.mark.parametrize("signature", [b"", b"\0", b"x" * 256])
def test_unsigned_tokens(name: str, signature: bytes) -> None:
    message = jws.signing_input(header(alg=name), CLAIMS)
    assert token_reason(jws.assemble(message, signature)) is Reason.ALGORITHM_NOT_ALLOWED


@pytest.mark.parametrize("name", ["HS256", "HS384", "HS512"])
def test_hmac_with_the_public_key_as_the_secret(name: str) -> None:
    message = jws.signing_input(header(alg=name), CLAIMS)
    pem = b"-----BEGIN PUBLIC KEY-----\n"
    for secret in (ISSUER_KEY.spki, pem, json.dumps(ISSUER_KEY.to_dict()).encode()):
        digest = hmac.digest(secret, message, f"sha{name[2:]}")
        assert token_reason(jws.assemble(message, digest)) is Reason.ALGORITHM_NOT_ALLOWED


def test_a_key_brought_along_in_the_header_is_not_used() -> None:
    mine = private_key("RS256", "attacker")
    jwk_header = header(jwk=public_jwk("RS256", "attacker").to_dict(), jku="https://evil.example")
    token = compact(jwk_header, CLAIMS, key=mine, algorithm="RS256")
    assert token_reason(token) is Reason.SIGNATURE_INVALID


@pytest.mark.parametrize("kid", ["../../dev/null", "' OR 1=1 --", "two", "one ", "ONE"])
def test_a_kid_is_a_name_and_nothing_else(kid: str) -> None:
    key = private_key("RS256", "issuer")
    token = compact(header(kid=kid), CLAIMS, key=key, algorithm="RS256")
    assert token_reason(token) is Reason.KEY_UNKNOWN


@pytest.mark.parametrize("crit", [["exp"], ["b64"], ["alg"], [], "exp", None])
def test_critical_headers(crit: object) -> None:
    token = compact(header(crit=crit), CLAIMS, key=private_key("RS256", "issuer"))
    assert token_reason(token) is Reason.CRITICAL_HEADER_UNKNOWN
    assert proof_reason(bent_proof(header={"crit": crit or []})) is Reason.CRITICAL_HEADER_UNKNOWN


def test_duplicate_members() -> None:
    twice = raw_token(b'{"alg":"RS256","alg":"none"}')
    assert token_reason(twice) is proof_reason(twice) is Reason.DUPLICATE_MEMBER
    escaped = raw_token(b'{"alg":"RS256","\\u0061lg":"none"}')
    assert token_reason(escaped) is Reason.DUPLICATE_MEMBER
    key = private_key("RS256", "issuer")
    signed = compact(header(), b'{"sub":"user","sub":"admin"}', key=key, algorithm="RS256")
    assert token_reason(signed) is Reason.DUPLICATE_MEMBER


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_deep_json(opening: bytes) -> None:
    deep = b'{"alg":' + opening * 400
    assert token_reason(raw_token(deep)) is proof_reason(raw_token(deep)) is Reason.TOO_LARGE
    key = private_key("RS256", "issuer")
    payload = compact(header(), b'{"a":' + opening * 1_000, key=key, algorithm="RS256")
    assert token_reason(payload) is Reason.TOO_LARGE


def test_oversize_tokens_and_proofs() -> None:
    assert token_reason("A" * (jws.MAX_TOKEN_BYTES + 1)) is Reason.TOO_LARGE
    assert proof_reason("A" * (dpop.MAX_PROOF_BYTES + 1)) is Reason.TOO_LARGE
    assert token_reason(raw_token(b" " * 5_000)) is Reason.TOO_LARGE


def test_the_same_token_in_another_spelling() -> None:
    good = good_token()
    assert good[-1] in "AQgw"  # 256 bytes leave four spare bits in the last character
    spare = good[:-1] + chr(ord(good[-1]) + 1)
    for token in (spare, good + "=", good + "==", good + "\n", good.replace("-", "+", 1) + " "):
        assert token_reason(token) is Reason.MALFORMED


@pytest.mark.parametrize("where", [0, 10, -1])
def test_embedded_nul(where: int) -> None:
    good = good_token()
    at = where % (len(good) + 1)
    assert token_reason(good[:at] + "\0" + good[at:]) is Reason.MALFORMED
    assert token_reason(raw_token(b'{"alg":"RS256\\u0000none"}')) is Reason.MALFORMED


def test_json_in_another_encoding() -> None:
    for encoding in ("utf-16", "utf-32", "utf-8-sig"):
        assert token_reason(raw_token('{"alg":"RS256"}'.encode(encoding))) is Reason.MALFORMED


def test_a_proof_that_publishes_its_private_key() -> None:
    numbers = private_key().private_numbers()
    secret = base64url.encode(numbers.private_value.to_bytes(32, "big"))
    leaked = bent_proof(header={"jwk": {**public_jwk().members, "d": secret}})
    assert proof_reason(leaked) is Reason.PRIVATE_KEY_MEMBER


def test_a_proof_with_a_symmetric_key() -> None:
    secret = b"k" * 32
    head = {"typ": "dpop+jwt", "alg": "HS256", "jwk": {"kty": "oct", "k": base64url.encode(secret)}}
    message = jws.signing_input(head, {"jti": "x", "htm": "POST", "htu": URL, "iat": NOW})
    signed = jws.assemble(message, hmac.digest(secret, message, hashlib.sha256))
    assert proof_reason(signed) is Reason.ALGORITHM_NOT_ALLOWED


def test_two_proofs() -> None:
    mine, stolen = proof(name="attacker"), proof()
    for proofs in ([mine, stolen], [mine, mine], f"{mine},{stolen}", f"{mine}, {stolen}"):
        assert proof_reason(proofs) is Reason.PROOF_NOT_SINGLE


def test_an_access_token_is_no_proof_and_a_proof_is_no_access_token() -> None:
    token = compact(
        {"typ": "at+jwt", "alg": "ES256", "jwk": public_jwk().members},
        {"jti": "x", "htm": "POST", "htu": URL, "iat": NOW},
    )
    assert proof_reason(token) is Reason.TYPE_MISMATCH
    assert token_reason(proof()) is Reason.TYPE_MISMATCH


@pytest.mark.parametrize(
    ("htu", "reason"),
    [
        ("https://server.example@evil.example/token", Reason.MALFORMED),
        ("https://evil.example\\@server.example/token", Reason.MALFORMED),
        ("https://server.example/token\r\nHost: evil.example", Reason.MALFORMED),
        ("https://server.example/\0token", Reason.MALFORMED),
        ("https://ſerver.example/token", Reason.MALFORMED),
        ("https://server.example/tok%65n%2F..", Reason.URL_MISMATCH),
        ("https://server.example/%2574oken", Reason.URL_MISMATCH),
        ("https://server.example:444/token", Reason.URL_MISMATCH),
        ("http://server.example:443/token", Reason.URL_MISMATCH),
        ("https://server.example/?/token", Reason.URL_MISMATCH),
    ],
)
def test_urls_that_other_parsers_take_for_ours(htu: str, reason: Reason) -> None:
    assert proof_reason(bent_proof(claims={"htu": htu})) is reason


def test_all_zero_and_oversize_ecdsa_signatures() -> None:
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    message = jws.parse_compact(proof()).signing_input
    for r, s in ((0, 0), (0, 1), (1, 0), (order, order), (order, 1), (2**256 - 1, 2**256 - 1)):
        raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        assert proof_reason(jws.assemble(message, raw)) is Reason.SIGNATURE_INVALID


def test_ed25519_key_of_small_order_for_which_anything_verifies() -> None:
    weak = {"kty": "OKP", "crv": "Ed25519", "x": base64url.encode(b"\1" + bytes(31))}
    head = {"typ": "dpop+jwt", "alg": "EdDSA", "jwk": weak}
    message = jws.signing_input(head, {"jti": "x", "htm": "POST", "htu": URL, "iat": NOW})
    universal = b"\1" + bytes(63)
    assert proof_reason(jws.assemble(message, universal)) is Reason.KEY_UNSUITABLE
