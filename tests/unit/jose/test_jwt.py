import pytest

from keystead.errors import KeysteadError, Malformed, Reason, TokenRejected
from keystead.jose import jwk, jwt
from tests.jose_keys import compact, private_key, public_jwk

NOW = 1_000_000
ISSUER, AUDIENCE = "https://issuer.example", "https://api.example"
HEADER = {"typ": "at+jwt", "alg": "ES256", "kid": "one"}
CLAIMS = {
    "iss": ISSUER,
    "aud": AUDIENCE,
    "sub": "user",
    "iat": NOW,
    "nbf": NOW,
    "exp": NOW + 300,
}
KEYS = jwk.JwkSet([public_jwk(kid="one"), public_jwk(name="another", kid="two")])


def token(header: dict[str, object] | None = None, claims: dict[str, object] | None = None) -> str:
    """A good token with members changed, or left out where they are ``...``."""
    both = [{**HEADER, **(header or {})}, {**CLAIMS, **(claims or {})}]
    return compact(*({k: v for k, v in one.items() if v is not ...} for one in both))


def verify(text: str | bytes, **changes: object) -> jwt.Jwt:
    arguments = {
        "keys": KEYS,
        "types": frozenset({"at+jwt"}),
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "now": NOW,
        **changes,
    }
    return jwt.verify_jwt(text, **arguments)


def refused(text: str | bytes, **changes: object) -> tuple[Reason, int | None]:
    with pytest.raises(KeysteadError) as caught:
        verify(text, **changes)
    assert isinstance(caught.value, Malformed | TokenRejected)
    return caught.value.reason, caught.value.step


def test_accepts_a_good_token() -> None:
    verified = verify(token())
    assert verified.claims == CLAIMS
    assert verified.header == HEADER
    assert verified.key == KEYS.get("one")
    assert (verified.issuer, verified.audience) == (ISSUER, (AUDIENCE,))
    times = (verified.issued_at, verified.not_before, verified.expires_at)
    assert times == (NOW, NOW, NOW + 300)


def test_step_1_rejects_what_is_no_jws() -> None:
    assert refused(token()[:-1])[0] is Reason.MALFORMED
    assert refused(token(), max_bytes=100)[0] is Reason.TOO_LARGE
    assert refused(token({"crit": ["exp"]})) == (Reason.CRITICAL_HEADER_UNKNOWN, 1)


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"])
def test_step_2_compares_types_without_case_and_prefix(typ: str) -> None:
    assert verify(token({"typ": typ})).claims["sub"] == "user"


@pytest.mark.parametrize("typ", [..., "JWT", "dpop+jwt", "text/at+jwt", "at+jwt ", "at"])
def test_step_2_rejects_another_type(typ: object) -> None:
    assert refused(token({"typ": typ})) == (Reason.TYPE_MISMATCH, 2)


def test_step_2_admits_no_type_only_when_asked() -> None:
    untyped = token({"typ": ...})
    assert verify(untyped, types=frozenset({"jwt", jwt.NO_TYPE})).claims == CLAIMS
    assert refused(untyped, types=frozenset()) == (Reason.TYPE_MISMATCH, 2)


@pytest.mark.parametrize("name", ["none", "HS256", "ES384", "es256"])
def test_step_3_rejects_an_algorithm_that_is_not_allowed(name: str) -> None:
    allowed = frozenset({"ES256", "RS256"})
    assert refused(token({"alg": name}), algorithms=allowed) == (Reason.ALGORITHM_NOT_ALLOWED, 3)


@pytest.mark.parametrize("kid", [..., "three", "ONE"])
def test_step_4_rejects_an_unknown_or_missing_kid(kid: object) -> None:
    assert refused(token({"kid": kid})) == (Reason.KEY_UNKNOWN, 4)


def test_step_4_a_set_of_one_key_needs_no_kid_but_respects_one() -> None:
    single = jwk.JwkSet([public_jwk(kid="one")])
    assert verify(token({"kid": ...}), keys=single).claims == CLAIMS
    assert refused(token({"kid": "two"}), keys=single) == (Reason.KEY_UNKNOWN, 4)
    assert refused(token({"kid": ...}), keys=jwk.JwkSet([])) == (Reason.KEY_UNKNOWN, 4)


def test_step_4_asks_a_function_for_any_kid() -> None:
    asked: list[str | None] = []

    def keys(kid: str | None) -> jwk.PublicJwk:
        asked.append(kid)
        return public_jwk()

    verify(token(), keys=keys)
    verify(token({"kid": ...}), keys=keys)
    assert asked == ["one", None]


def test_step_5_rejects_another_keys_signature() -> None:
    assert refused(token({"kid": "two"})) == (Reason.SIGNATURE_INVALID, 5)
    assert refused(token({"alg": "ES384"})) == (Reason.KEY_UNSUITABLE, 5)


def test_step_5_comes_before_any_claim_is_read() -> None:
    forged = compact(HEADER, b"not JSON", key=private_key(name="another"))
    assert refused(forged) == (Reason.SIGNATURE_INVALID, 5)


@pytest.mark.parametrize("payload", [b"", b"[]", b"not JSON", b'{"iss":"a","iss":"b"}'])
def test_step_6_rejects_claims_that_do_not_decode(payload: bytes) -> None:
    with pytest.raises(Malformed):
        verify(compact(HEADER, payload))


@pytest.mark.parametrize("name", ["iss", "exp", "iat"])
def test_step_6_rejects_a_missing_claim(name: str) -> None:
    assert refused(token(claims={name: ...})) == (Reason.CLAIM_MISSING, 6)


def test_step_6_required_claims_are_the_callers() -> None:
    assert refused(token(), required={"jti"}) == (Reason.CLAIM_MISSING, 6)
    eternal = token(claims={"exp": ..., "iss": ...})
    assert verify(eternal, required={"sub"}, issuer=None).expires_at is None


@pytest.mark.parametrize("issuer", ["https://issuer.example/", "https://ISSUER.example", "x"])
def test_step_7_rejects_another_issuer(issuer: str) -> None:
    assert refused(token(claims={"iss": issuer})) == (Reason.ISSUER_MISMATCH, 7)
    assert verify(token(claims={"iss": issuer}), issuer=None).issuer == issuer


def test_step_8_audience_is_one_of_several_on_either_side() -> None:
    many = token(claims={"aud": ["https://other.example", AUDIENCE]})
    assert verify(many).audience == ("https://other.example", AUDIENCE)
    assert verify(token(), audience=frozenset({AUDIENCE, "x"})).audience == (AUDIENCE,)


@pytest.mark.parametrize("aud", [..., "https://api.example/", [], ["x"], "https://api"])
def test_step_8_rejects_another_audience(aud: object) -> None:
    assert refused(token(claims={"aud": aud})) == (Reason.AUDIENCE_MISMATCH, 8)
    assert verify(token(claims={"aud": aud}), audience=None).issuer == ISSUER


def test_step_8_an_empty_set_of_audiences_accepts_nothing() -> None:
    assert refused(token(), audience=frozenset()) == (Reason.AUDIENCE_MISMATCH, 8)


def test_step_9_edges_of_expiry() -> None:
    assert verify(token(), now=NOW + 304, leeway_s=5)
    assert refused(token(), now=NOW + 305, leeway_s=5) == (Reason.EXPIRED, 9)
    assert verify(token(), now=NOW + 299, leeway_s=0)
    assert refused(token(), now=NOW + 300, leeway_s=0) == (Reason.EXPIRED, 9)


@pytest.mark.parametrize("name", ["nbf", "iat"])
def test_step_9_edges_of_the_beginning(name: str) -> None:
    early = token(claims={"nbf": 0, "iat": 0, name: NOW})
    assert verify(early, now=NOW - 5, leeway_s=5)
    assert refused(early, now=NOW - 6, leeway_s=5) == (Reason.NOT_YET_VALID, 9)
    assert verify(early, now=NOW, leeway_s=0)
    assert refused(early, now=NOW - 1, leeway_s=0) == (Reason.NOT_YET_VALID, 9)


def test_step_9_fractions_are_rounded_down() -> None:
    verified = verify(token(claims={"exp": NOW + 1.9, "iat": NOW - 0.5}), leeway_s=0)
    assert (verified.expires_at, verified.issued_at) == (NOW + 1, NOW - 1)
    late = token(claims={"exp": NOW + 0.9})
    assert refused(late, leeway_s=0) == (Reason.EXPIRED, 9)


@pytest.mark.parametrize("value", [None, True, "1000300", -1, 10**12, 1e300, [NOW]])
@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
def test_step_9_rejects_what_is_no_date(name: str, value: object) -> None:
    with pytest.raises(Malformed, match=name):
        verify(token(claims={name: value}))


def test_step_10_bounds_the_lifetime() -> None:
    assert verify(token(), max_lifetime_s=300)
    assert refused(token(), max_lifetime_s=299) == (Reason.LIFETIME_TOO_LONG, 10)
    eternal = token(claims={"exp": ...})
    assert refused(eternal, required=set(), max_lifetime_s=300) == (Reason.CLAIM_MISSING, 10)
