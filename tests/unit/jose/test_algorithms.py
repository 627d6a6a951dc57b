import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from keystead.codec.hashes import HashAlgorithm
from keystead.errors import Malformed, Reason, TokenRejected
from keystead.jose import algorithms, jwk
from tests.jose_keys import private_key, public_jwk, signature

ALGORITHMS = ["ES256", "ES384", "ES512", "RS256", "PS256", "EdDSA", "Ed25519"]
MESSAGE = b"signing input"


def refused(algorithm: str, key: jwk.PublicJwk, signature: bytes) -> Reason:
    with pytest.raises(TokenRejected) as caught:
        algorithms.verify(algorithm, key, MESSAGE, signature)
    return caught.value.reason


def signed(algorithm: str) -> bytes:
    return signature(algorithm, private_key(algorithm), MESSAGE)


def test_the_table_is_closed() -> None:
    assert set(ALGORITHMS) == algorithms.DEFAULT_ALGORITHMS


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_accepts_a_good_signature(algorithm: str) -> None:
    algorithms.verify(algorithm, public_jwk(algorithm), MESSAGE, signed(algorithm))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_rejects_another_message_key_or_bit(algorithm: str) -> None:
    key, good = public_jwk(algorithm), signed(algorithm)
    with pytest.raises(TokenRejected) as caught:
        algorithms.verify(algorithm, key, MESSAGE + b".", good)
    assert caught.value.reason is Reason.SIGNATURE_INVALID
    other = public_jwk(algorithm, "another")
    assert refused(algorithm, other, good) is Reason.SIGNATURE_INVALID
    for at in (0, len(good) // 2, len(good) - 1):
        bent = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
        assert refused(algorithm, key, bent) is Reason.SIGNATURE_INVALID


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_rejects_a_signature_of_another_length(algorithm: str) -> None:
    key, good = public_jwk(algorithm), signed(algorithm)
    for bent in (b"", good[:-1], good + b"\0", b"\0" + good, bytes(len(good)), good * 2):
        assert refused(algorithm, key, bent) is Reason.SIGNATURE_INVALID


@pytest.mark.parametrize(("algorithm", "size"), [("ES256", 32), ("ES384", 48), ("ES512", 66)])
def test_rejects_a_longer_spelling_of_the_same_numbers(algorithm: str, size: int) -> None:
    good = signed(algorithm)
    longer = good[:size] + b"\0" + good[size:]
    assert refused(algorithm, public_jwk(algorithm), longer) is Reason.SIGNATURE_INVALID


def test_rejects_der_where_raw_is_expected() -> None:
    der = algorithms.ecdsa_der_from_raw("ES256", signed("ES256"))
    assert refused("ES256", public_jwk(), der) is Reason.SIGNATURE_INVALID


@pytest.mark.parametrize(
    "name", ["none", "None", "", "HS256", "HS512", "es256", "ES256K", "RS1", "RS384", "RSA-OAEP"]
)
def test_rejects_algorithms_outside_the_table(name: str) -> None:
    assert refused(name, public_jwk(), signed("ES256")) is Reason.ALGORITHM_NOT_ALLOWED


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("key_of", ["ES256", "ES384", "ES512", "RS256", "EdDSA"])
def test_rejects_a_key_of_another_type_or_curve(algorithm: str, key_of: str) -> None:
    key = public_jwk(key_of)
    if (key.kty, key.crv) != (public_jwk(algorithm).kty, public_jwk(algorithm).crv):
        assert refused(algorithm, key, signed(algorithm)) is Reason.KEY_UNSUITABLE


@pytest.mark.parametrize(
    "metadata",
    [{"alg": "ES384"}, {"alg": "ECDH-ES"}, {"use": "enc"}, {"key_ops": ["sign"]}, {"key_ops": []}],
)
def test_rejects_a_key_that_says_it_is_for_something_else(metadata: dict[str, object]) -> None:
    key = jwk.parse_public({**public_jwk().to_dict(), **metadata})
    assert refused("ES256", key, signed("ES256")) is Reason.KEY_UNSUITABLE


def test_both_names_of_ed25519_are_one_algorithm() -> None:
    key = public_jwk("EdDSA", alg="EdDSA")
    algorithms.verify("Ed25519", key, MESSAGE, signed("EdDSA"))


def test_rs256_and_ps256_are_not_mixed_up() -> None:
    key = public_jwk("RS256", alg="RS256")
    assert refused("PS256", key, signed("RS256")) is Reason.KEY_UNSUITABLE
    free = public_jwk("RS256")
    assert refused("PS256", free, signed("RS256")) is Reason.SIGNATURE_INVALID


def test_digest_of_each_algorithm() -> None:
    expected = {
        "ES256": HashAlgorithm.SHA256,
        "ES384": HashAlgorithm.SHA384,
        "ES512": HashAlgorithm.SHA512,
        "RS256": HashAlgorithm.SHA256,
        "PS256": HashAlgorithm.SHA256,
    }
    assert {name: algorithms.digest_for(name) for name in expected} == expected
    for name in ("EdDSA", "none"):
        with pytest.raises(TokenRejected) as caught:
            algorithms.digest_for(name)
        assert caught.value.reason is Reason.ALGORITHM_NOT_ALLOWED


def test_a_key_has_an_algorithm_of_its_own() -> None:
    named = {name: algorithms.algorithm_for(public_jwk(name)) for name in ALGORITHMS}
    assert named == {name: name for name in ALGORITHMS} | {"PS256": "RS256", "Ed25519": "EdDSA"}
    assert algorithms.algorithm_for(public_jwk("PS256", alg="PS256")) == "PS256"
    with pytest.raises(TokenRejected) as caught:
        algorithms.algorithm_for(public_jwk("ES256", alg="RS256"))
    assert caught.value.reason is Reason.KEY_UNSUITABLE


@given(st.integers(1, 2**256 - 1), st.integers(1, 2**256 - 1))
def test_raw_and_der_signatures_convert_both_ways(r: int, s: int) -> None:
    raw = algorithms.ecdsa_raw_from_integers("ES256", r, s)
    assert raw == r.to_bytes(32, "big") + s.to_bytes(32, "big")
    assert (
        algorithms.ecdsa_raw_from_der("ES256", algorithms.ecdsa_der_from_raw("ES256", raw)) == raw
    )


def test_conversion_refuses_what_is_no_such_signature() -> None:
    der = private_key().sign(MESSAGE, ec.ECDSA(hashes.SHA256()))
    for bent in (b"", der[:-1], der + b"\0", b"\x30\x06\x02\x01\xff\x02\x01\x01"):
        with pytest.raises(Malformed):
            algorithms.ecdsa_raw_from_der("ES256", bent)
    for bent in (bytes(63), bytes(65), b""):
        with pytest.raises(Malformed):
            algorithms.ecdsa_der_from_raw("ES256", bent)
    for r, s in ((2**256, 1), (1, -1)):
        with pytest.raises(Malformed):
            algorithms.ecdsa_raw_from_integers("ES256", r, s)
    with pytest.raises(TokenRejected):
        algorithms.ecdsa_raw_from_der("RS256", der)
