import pytest

from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import EcdsaSignature, RsaSignature, Scheme, parse_signature
from keystead.errors import Malformed, Reason
from tests import tpm2_structures as made


def test_reads_ecdsa() -> None:
    signature = parse_signature(made.ecdsa_signature())
    assert isinstance(signature, EcdsaSignature)
    assert signature.scheme is Scheme.ECDSA
    assert signature.hash is HashAlgorithm.SHA256
    assert signature.jose(coordinate_bytes=32) == b"\x11" * 32 + b"\x22" * 32


def test_pads_a_short_number_for_jose() -> None:
    signature = parse_signature(made.ecdsa_signature(r=b"\x05"))
    assert isinstance(signature, EcdsaSignature)
    assert signature.jose(coordinate_bytes=32) == bytes(31) + b"\x05" + b"\x22" * 32


def test_refuses_numbers_too_large_for_the_curve() -> None:
    signature = parse_signature(made.ecdsa_signature(r=b"\x11" * 48))
    assert isinstance(signature, EcdsaSignature)
    with pytest.raises(Malformed):
        signature.jose(coordinate_bytes=32)


@pytest.mark.parametrize(
    ("scheme", "expected"), [(made.RSASSA, Scheme.RSASSA), (made.RSAPSS, Scheme.RSAPSS)]
)
def test_reads_rsa(scheme: int, expected: Scheme) -> None:
    signature = parse_signature(made.rsa_signature(scheme=scheme))
    assert signature == RsaSignature(
        scheme=expected, hash=HashAlgorithm.SHA256, value=b"\x33" * 256
    )


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(made.ecdsa_signature(scheme=made.NULL), id="no scheme"),
        pytest.param(made.ecdsa_signature(scheme=0x1A), id="ECDAA"),
        pytest.param(made.ecdsa_signature(scheme=0x5), id="HMAC"),
        pytest.param(made.rsa_signature(scheme=0x15), id="an encryption scheme"),
        pytest.param(made.ecdsa_signature(hash=made.NULL), id="no hash"),
        pytest.param(made.ecdsa_signature() + b"\0", id="a byte too many"),
        pytest.param(made.rsa_signature() + b"\0", id="a byte too many after RSA"),
    ],
)
def test_rejects_a_signature_with_one_wrong_field(raw: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        parse_signature(raw)
    assert caught.value.reason is Reason.MALFORMED


@pytest.mark.parametrize("raw", [made.ecdsa_signature(), made.rsa_signature()])
def test_rejects_every_truncation(raw: bytes) -> None:
    for length in range(len(raw)):
        with pytest.raises(Malformed):
            parse_signature(raw[:length])


@pytest.mark.parametrize(
    "raw",
    [
        made.ecdsa_signature(r=bytes(67)),
        made.rsa_signature(value=bytes(513)),
        made.rsa_signature() + bytes(1024),
    ],
)
def test_rejects_what_is_over_a_bound(raw: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        parse_signature(raw)
    assert caught.value.reason is Reason.TOO_LARGE
