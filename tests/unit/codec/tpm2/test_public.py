import hashlib

import pytest

from keystead.codec import base64url
from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import (
    Curve,
    EccKey,
    KeyType,
    ObjectAttributes,
    RsaKey,
    Scheme,
    SymmetricAlgorithm,
    SymmetricDefinition,
    SymmetricMode,
    jwk_members,
    parse_tpm2b_public,
    parse_tpmt_public,
)
from keystead.errors import Malformed, Reason
from tests import tpm2_structures as made

AES_128_CFB = made.number(made.AES, 2) + made.number(128, 2) + made.number(made.CFB, 2)
NULL = made.number(made.NULL, 2)


def test_reads_an_ecc_signing_key() -> None:
    area = parse_tpmt_public(made.ecc_public())
    assert area.type is KeyType.ECC
    assert area.name_algorithm is HashAlgorithm.SHA256
    assert area.attributes == ObjectAttributes(made.AK_ATTRIBUTES)
    assert area.has(ObjectAttributes.RESTRICTED | ObjectAttributes.SIGN)
    assert not area.has(ObjectAttributes.SIGN | ObjectAttributes.DECRYPT)
    assert (area.scheme, area.scheme_hash) == (Scheme.ECDSA, HashAlgorithm.SHA256)
    assert area.symmetric is None
    assert area.auth_policy == b""
    expected = int.from_bytes(bytes([1] * 32), "big"), int.from_bytes(bytes([2] * 32), "big")
    assert area.key == EccKey(curve=Curve.P256, x=expected[0], y=expected[1])


def test_reads_an_rsa_signing_key_with_the_default_exponent() -> None:
    area = parse_tpmt_public(made.rsa_public())
    modulus = int.from_bytes(b"\xc5" + bytes([3] * 255), "big")
    assert area.type is KeyType.RSA
    assert area.key == RsaKey(bits=2048, exponent=65537, modulus=modulus)


def test_reads_a_storage_key_with_policy_and_cipher() -> None:
    policy = hashlib.sha256(b"policy").digest()
    raw = made.rsa_public(attributes=0x000300B2, policy=policy, symmetric=AES_128_CFB, scheme=NULL)
    area = parse_tpmt_public(raw)
    assert area.auth_policy == policy
    assert area.scheme is Scheme.NULL
    assert area.scheme_hash is None
    assert area.symmetric == SymmetricDefinition(
        algorithm=SymmetricAlgorithm.AES, key_bits=128, mode=SymmetricMode.CFB
    )


def test_name_is_the_hash_of_the_raw_area_behind_its_algorithm() -> None:
    raw = made.ecc_public()
    expected = bytes.fromhex("000b") + hashlib.sha256(raw).digest()
    assert parse_tpmt_public(raw).name == expected
    raw = made.ecc_public(name_algorithm=made.SHA384)
    assert parse_tpmt_public(raw).name == bytes.fromhex("000c") + hashlib.sha384(raw).digest()


def test_sized_and_bare_areas_are_the_same() -> None:
    raw = made.ecc_public()
    area = parse_tpm2b_public(made.sized(raw))
    assert area == parse_tpmt_public(raw)
    assert area.sized == made.sized(raw)


def test_a_short_coordinate_is_padded_in_the_jwk() -> None:
    members = jwk_members(parse_tpmt_public(made.ecc_public(x=b"\x09")))
    assert base64url.decode(members["x"]) == bytes(31) + b"\x09"
    assert members["kty"] == "EC"
    assert members["crv"] == "P-256"
    assert set(members) == {"kty", "crv", "x", "y"}


def test_jwk_of_an_rsa_key() -> None:
    members = jwk_members(parse_tpmt_public(made.rsa_public()))
    assert members["kty"] == "RSA"
    assert members["e"] == "AQAB"
    assert base64url.decode(members["n"]) == b"\xc5" + bytes([3] * 255)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(made.ecc_public(kind=0x8), id="keyed hash object"),
        pytest.param(made.ecc_public(name_algorithm=made.NULL), id="no name algorithm"),
        pytest.param(made.ecc_public(name_algorithm=0x12), id="SM3"),
        pytest.param(made.ecc_public(attributes=made.AK_ATTRIBUTES | 1), id="reserved attribute"),
        pytest.param(made.ecc_public(attributes=1 << 31), id="highest attribute"),
        pytest.param(made.ecc_public(policy=b"x" * 20), id="policy of another hash"),
        pytest.param(made.ecc_public(symmetric=b"\x00\x26\x00\x80\x00\x43"), id="Camellia"),
        pytest.param(made.ecc_public(symmetric=b"\x00\x06\x00\x40\x00\x43"), id="AES-64"),
        pytest.param(made.ecc_public(symmetric=b"\x00\x06\x00\x80\x00\x44"), id="ECB"),
        pytest.param(made.ecc_public(scheme=b"\x00\x14\x00\x0b"), id="RSASSA on a curve"),
        pytest.param(made.ecc_public(scheme=b"\x00\x1a\x00\x0b\x00\x00"), id="ECDAA"),
        pytest.param(made.ecc_public(scheme=b"\x00\x18\x00\x10"), id="ECDSA without a hash"),
        pytest.param(made.ecc_public(curve=0x20), id="SM2 curve"),
        pytest.param(made.ecc_public(kdf=0x20), id="KDF scheme"),
        pytest.param(made.ecc_public(x=b""), id="no x"),
        pytest.param(made.rsa_public(scheme=b"\x00\x18\x00\x0b"), id="ECDSA on RSA"),
        pytest.param(made.rsa_public(bits=2047), id="odd key size"),
        pytest.param(made.rsa_public(modulus=b"\xc5" * 255), id="short modulus"),
        pytest.param(made.rsa_public(modulus=b"\x45" * 256), id="modulus of 2047 bits"),
        pytest.param(made.rsa_public(exponent=2), id="even exponent"),
        pytest.param(made.rsa_public(exponent=1), id="exponent one"),
        pytest.param(made.ecc_public() + b"\0", id="a byte too many"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_rejects_a_public_area_with_one_wrong_field(raw: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        parse_tpmt_public(raw)
    assert caught.value.reason is Reason.MALFORMED


@pytest.mark.parametrize("raw", [made.ecc_public(), made.rsa_public()], ids=["ecc", "rsa"])
def test_rejects_every_truncation(raw: bytes) -> None:
    for length in range(len(raw)):
        with pytest.raises(Malformed):
            parse_tpmt_public(raw[:length])


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(made.ecc_public(x=bytes(33)), id="coordinate"),
        pytest.param(made.ecc_public(policy=bytes(65)), id="policy"),
        pytest.param(made.rsa_public(bits=4096, modulus=b"\xff" * 513), id="modulus"),
        pytest.param(made.rsa_public() + bytes(1024), id="whole area"),
    ],
)
def test_rejects_what_is_over_a_bound(raw: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        parse_tpmt_public(raw)
    assert caught.value.reason is Reason.TOO_LARGE


def test_rejects_bytes_behind_a_sized_area() -> None:
    with pytest.raises(Malformed):
        parse_tpm2b_public(made.sized(made.ecc_public()) + b"\0")


def test_rejects_a_sized_area_over_the_bound_before_reading_it() -> None:
    with pytest.raises(Malformed) as caught:
        parse_tpm2b_public(made.number(1025, 2) + bytes(1025))
    assert caught.value.reason is Reason.TOO_LARGE
