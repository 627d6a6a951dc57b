import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from keystead.codec import base64url, json
from keystead.errors import KeysteadError, Malformed, Reason, TokenRejected
from keystead.jose import jwk
from tests.jose_keys import private_key, public_jwk

ALGORITHMS = ["ES256", "ES384", "ES512", "Ed25519", "RS256"]
EC = public_jwk().to_dict()
OKP = public_jwk("Ed25519").to_dict()
RSA = public_jwk("RS256").to_dict()


def refused(members: dict[str, object]) -> tuple[type[KeysteadError], Reason]:
    with pytest.raises(KeysteadError) as caught:
        jwk.parse_public(members)
    return type(caught.value), caught.value.reason


def unsigned(value: int) -> str:
    return base64url.encode(value.to_bytes((value.bit_length() + 7) // 8, "big"))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_survives_jwk_and_spki(algorithm: str) -> None:
    key = public_jwk(algorithm, kid="one", alg=algorithm, use="sig")
    assert jwk.parse_public(key.to_dict()) == key
    spki = jwk.from_spki(key.spki, kid="one", alg=algorithm, use="sig")
    assert spki == key
    assert spki.thumbprint == key.thumbprint == public_jwk(algorithm).thumbprint
    encoded = private_key(algorithm).public_key()
    assert key.spki == encoded.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def test_other_members_are_ignored_and_change_no_thumbprint() -> None:
    key = jwk.parse_public({**EC, "x5t": "…", "ext": True, "kid": "one", "key_ops": ["verify"]})
    assert key.thumbprint == public_jwk().thumbprint
    assert key.to_dict() == {**EC, "kid": "one", "key_ops": ["verify"]}


@pytest.mark.parametrize("name", sorted(jwk.PRIVATE_MEMBERS))
@pytest.mark.parametrize("good", [EC, OKP, RSA], ids=["EC", "OKP", "RSA"])
def test_rejects_any_private_member(good: dict[str, object], name: str) -> None:
    expected = (TokenRejected, Reason.PRIVATE_KEY_MEMBER)
    assert refused({**good, name: "AQAB"}) == expected
    assert refused({**good, name: None}) == expected


def test_rejects_a_symmetric_key() -> None:
    assert refused({"kty": "oct", "k": "AQAB"}) == (TokenRejected, Reason.PRIVATE_KEY_MEMBER)
    assert refused({"kty": "oct"}) == (TokenRejected, Reason.KEY_UNSUITABLE)


@pytest.mark.parametrize(
    "members",
    [
        {**EC, "kty": "ec"},
        {**EC, "crv": "secp256k1"},
        {**EC, "crv": "P-384", "x": base64url.encode(bytes(48)), "y": base64url.encode(bytes(48))},
        {**EC, "x": EC["y"], "y": EC["x"]},  # off the curve
        {**EC, "x": base64url.encode(bytes(32)), "y": base64url.encode(bytes(32))},
        {**EC, "x": base64url.encode(b"\xff" * 32)},  # beyond the field
        {**OKP, "crv": "X25519"},
        {**OKP, "crv": "Ed448"},
        {**OKP, "x": base64url.encode(bytes(32))},  # small order
        {**OKP, "x": base64url.encode(b"\1" + bytes(31))},
        {**OKP, "x": base64url.encode(b"\xee" + b"\xff" * 30 + b"\x7f")},  # y = 1, not reduced
        {**RSA, "n": unsigned((1 << 2047) - 1)},
        {**RSA, "n": unsigned((1 << 2047) + 2)},
        {**RSA, "e": unsigned(3)},
        {**RSA, "e": unsigned(65_535)},
        {**RSA, "e": unsigned(65_538)},
        {**RSA, "e": unsigned(2**32 + 1)},
    ],
)
def test_rejects_an_unsuitable_key(members: dict[str, object]) -> None:
    assert refused(members) == (TokenRejected, Reason.KEY_UNSUITABLE)


def test_rsa_stops_at_8192_bits() -> None:
    assert jwk.parse_public({**RSA, "n": unsigned((1 << 8191) + 1)}).kty == "RSA"
    members = {**RSA, "n": unsigned((1 << 8192) + 1)}
    assert refused(members) == (Malformed, Reason.TOO_LARGE)


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"kty": 1},
        {**EC, "crv": None},
        {**EC, "x": 1},
        {**EC, "x": ""},
        {**EC, "x": base64url.encode(b"\1" * 31)},
        {**EC, "y": base64url.encode(bytes(1) + base64url.decode(str(EC["y"])))},
        {**EC, "x": f"{EC['x']}="},
        {**EC, "kid": 7},
        {**EC, "kid": "x" * 257},
        {**EC, "alg": None},
        {**EC, "use": ["sig"]},
        {**EC, "key_ops": "verify"},
        {**OKP, "x": base64url.encode(b"\1" * 33)},
        {**OKP, "x": base64url.encode(b"\1" * 31)},
        {**RSA, "n": ""},
        {**RSA, "n": base64url.encode(b"\0" + base64url.decode(str(RSA["n"])))},
        {**RSA, "e": base64url.encode(b"\0\1\0\1")},
    ],
)
def test_rejects_what_does_not_decode(members: dict[str, object]) -> None:
    assert refused(members)[0] is Malformed


@pytest.mark.parametrize("good", [EC, OKP, RSA], ids=["EC", "OKP", "RSA"])
def test_rejects_a_key_with_a_member_missing(good: dict[str, object]) -> None:
    for name in good:
        rest = {key: value for key, value in good.items() if key != name}
        assert refused(rest) == (Malformed, Reason.MALFORMED)


def test_rejects_spki_that_is_none_or_of_another_type() -> None:
    for der in (b"", b"\x30\x00", public_jwk().spki[:-1], public_jwk().spki + b"\0"):
        with pytest.raises(Malformed):
            jwk.from_spki(der)
    other = [ed448.Ed448PrivateKey.generate(), ec.generate_private_key(ec.SECP256K1())]
    other.append(rsa.generate_private_key(public_exponent=65_537, key_size=1_024))
    for key in other:
        der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        with pytest.raises(TokenRejected) as caught:
            jwk.from_spki(der)
        assert caught.value.reason is Reason.KEY_UNSUITABLE


def test_a_set_finds_keys_by_kid_and_in_order() -> None:
    one, two = public_jwk(kid="one"), public_jwk("Ed25519", kid="two")
    keys = jwk.parse_set(json.encode(jwk.JwkSet([one, two]).to_dict()))
    assert (keys.get("one"), keys.get("two"), keys.get("three")) == (one, two, None)
    assert list(keys) == [one, two]
    assert (len(keys), keys.skipped) == (2, 0)


@pytest.mark.parametrize(
    "entry",
    [
        {"kty": "AKP", "kid": "future"},
        {"kty": "oct"},
        {**EC, "kid": "encrypts", "use": "enc"},
        {**EC, "kid": "svid", "use": "jwt-svid"},
        {**EC, "kid": "signs", "key_ops": ["sign"]},
        {**RSA, "n": unsigned((1 << 1023) + 1)},
        {"kty": "EC", "crv": "P-256"},
        {**EC, "x": "%"},
    ],
)
def test_a_set_skips_what_cannot_verify(entry: dict[str, object]) -> None:
    keys = jwk.parse_set({"keys": [entry, {**EC, "kid": "good", "use": "sig"}]})
    assert [key.kid for key in keys] == ["good"]
    assert keys.skipped == 1


def test_a_set_of_another_use_has_only_those_keys() -> None:
    entries = [{**EC, "kid": "a", "use": "jwt-svid"}, {**OKP, "kid": "b", "use": "sig"}]
    keys = jwk.parse_set({"keys": entries}, uses=frozenset({"jwt-svid"}))
    assert [key.kid for key in keys] == ["a"]


@pytest.mark.parametrize("entry", [{"kty": "oct", "k": "AQAB"}, {"kty": "AKP", "d": "x"}])
def test_a_set_with_a_secret_is_refused_whole(entry: dict[str, object]) -> None:
    with pytest.raises(TokenRejected) as caught:
        jwk.parse_set({"keys": [EC, entry]})
    assert caught.value.reason is Reason.PRIVATE_KEY_MEMBER


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"keys": None},
        {"keys": EC},
        {"keys": [EC, "x"]},
        {"keys": [{**EC, "kid": "one"}, {**OKP, "kid": "one"}]},
        {"keys": [EC] * (jwk.MAX_SET_KEYS + 1)},
        b"[]",
        b'{"keys":[]',
        b'{"keys":[],"keys":[]}',
    ],
)
def test_rejects_what_is_no_set(document: dict[str, object] | bytes) -> None:
    with pytest.raises(Malformed):
        jwk.parse_set(document)


def test_a_set_holds_as_many_keys_as_its_bound() -> None:
    assert len(jwk.parse_set({"keys": [EC] * jwk.MAX_SET_KEYS})) == jwk.MAX_SET_KEYS


VALUES = st.none() | st.integers(-9, 9) | st.sampled_from(["", "AQAB", "P-256", *EC.values()])


@given(st.dictionaries(st.sampled_from([*EC, *RSA, "d", "kid", "key_ops"]), VALUES))
def test_leaks_nothing_but_keystead_errors(members: dict[str, object]) -> None:
    try:
        assert jwk.parse_public(members).kty in ("EC", "OKP", "RSA")
    except (Malformed, TokenRejected) as error:
        assert error.reason in Reason


def test_a_point_off_its_curve_is_refused_every_time() -> None:
    off = {**EC, "x": EC["y"], "y": EC["x"]}
    for _ in range(2):
        assert refused(off) == (TokenRejected, Reason.KEY_UNSUITABLE)
        assert jwk.parse_public(EC).key is jwk.parse_public(EC).key
