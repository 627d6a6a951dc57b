from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from keystead.appraisal import tpm_keys
from keystead.appraisal.tpm_keys import Unfit, public_key, spki, verify_attest
from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import (
    EccKey,
    EcdsaSignature,
    PublicArea,
    RsaKey,
    RsaSignature,
    Scheme,
    TpmSignature,
    parse_signature,
)
from keystead.errors import Reason
from tests.evidence_builder import Host, signature

EC, RSA = Host.make("p256", "p256"), Host.make("p256", "rsa2048")
MESSAGE = b"\xffTCG and so on"


def refusal(area: PublicArea, made: TpmSignature, message: bytes = MESSAGE) -> Reason:
    with pytest.raises(Unfit) as refused:
        verify_attest(area, attest=message, signature=made)
    return refused.value.reason


@pytest.mark.parametrize("host", [EC, RSA])
def test_accepts_a_signature_by_the_keys_own_scheme(host: Host) -> None:
    made = parse_signature(signature(host.ak_key, MESSAGE))
    verify_attest(host.ak, attest=MESSAGE, signature=made)


@pytest.mark.parametrize("salt", [padding.PSS.MAX_LENGTH, padding.PSS.DIGEST_LENGTH])
def test_accepts_pss_with_either_salt(salt: object) -> None:
    assert isinstance(RSA.ak_key, rsa.RSAPrivateKey)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt)  # type: ignore[arg-type]
    value = RSA.ak_key.sign(MESSAGE, pss, hashes.SHA256())
    made = RsaSignature(scheme=Scheme.RSAPSS, hash=HashAlgorithm.SHA256, value=value)
    verify_attest(replace(RSA.ak, scheme=Scheme.RSAPSS), attest=MESSAGE, signature=made)
    assert refusal(RSA.ak, made) is Reason.SIGNATURE_INVALID


@pytest.mark.parametrize("host", [EC, RSA])
def test_rejects_another_message_and_another_key(host: Host) -> None:
    made = parse_signature(signature(host.ak_key, MESSAGE))
    assert refusal(host.ak, made, MESSAGE + b"!") is Reason.SIGNATURE_INVALID
    other = Host.make("p256", "rsa2048" if host is RSA else "p256", name="other")
    assert refusal(other.ak, made) is Reason.SIGNATURE_INVALID


def test_rejects_a_signature_by_the_other_key_type() -> None:
    ecdsa, rsassa = (parse_signature(signature(host.ak_key, MESSAGE)) for host in (EC, RSA))
    assert refusal(RSA.ak, ecdsa) is Reason.SIGNATURE_INVALID
    assert refusal(EC.ak, rsassa) is Reason.SIGNATURE_INVALID
    confused = replace(EC.ak, scheme=Scheme.RSASSA)
    assert refusal(confused, rsassa) is Reason.SIGNATURE_INVALID
    confused = replace(RSA.ak, scheme=Scheme.ECDSA)
    assert refusal(confused, ecdsa) is Reason.SIGNATURE_INVALID


@pytest.mark.parametrize("algorithm", [HashAlgorithm.SHA1, HashAlgorithm.SHA384])
def test_rejects_another_hash_than_the_keys(algorithm: HashAlgorithm) -> None:
    made = parse_signature(signature(EC.ak_key, MESSAGE))
    assert refusal(EC.ak, replace(made, hash=algorithm)) is Reason.SIGNATURE_INVALID


def test_rejects_sha1_even_where_key_and_signature_agree() -> None:
    made = replace(parse_signature(signature(EC.ak_key, MESSAGE)), hash=HashAlgorithm.SHA1)
    weak = replace(EC.ak, scheme_hash=HashAlgorithm.SHA1)
    assert refusal(weak, made) is Reason.SIGNATURE_INVALID


@pytest.mark.parametrize(("r", "s"), [(0, 0), (0, 1), (1, 0), (1 << 256, 1), (1, 1)])
def test_rejects_ecdsa_numbers_out_of_range(r: int, s: int) -> None:
    made = EcdsaSignature(hash=HashAlgorithm.SHA256, r=r, s=s)
    assert refusal(EC.ak, made) is Reason.SIGNATURE_INVALID


@pytest.mark.parametrize("value", [b"", b"\0" * 256, b"\xff" * 256, b"x" * 255, b"x" * 257])
def test_rejects_rsa_numbers_out_of_range(value: bytes) -> None:
    made = RsaSignature(scheme=Scheme.RSASSA, hash=HashAlgorithm.SHA256, value=value)
    assert refusal(RSA.ak, made) is Reason.SIGNATURE_INVALID


def test_rejects_a_point_off_the_curve() -> None:
    assert isinstance(EC.ak.key, EccKey)
    for x, y in ((EC.ak.key.x, EC.ak.key.y ^ 1), (0, 0), (1 << 256, 1)):
        off = replace(EC.ak, key=replace(EC.ak.key, x=x, y=y))
        with pytest.raises(Unfit) as refused:
            public_key(off)
        assert refused.value.reason is Reason.WEAK_KEY


def test_rejects_small_rsa_small_exponents_and_roca() -> None:
    assert isinstance(RSA.ak.key, RsaKey)
    roca = 65_537**64  # a power of 65537 modulo every prime
    for key in (
        replace(RSA.ak.key, bits=1_024),
        replace(RSA.ak.key, exponent=3),
        replace(RSA.ak.key, modulus=roca),
    ):
        with pytest.raises(Unfit) as refused:
            spki(replace(RSA.ak, key=key))
        assert refused.value.reason is Reason.WEAK_KEY


def test_es256_is_verified_by_the_engine_and_refused_by_openssl(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[TpmSignature] = []
    monkeypatch.setattr(
        tpm_keys, "verify_by_key", lambda _, *, attest, signature: asked.append(signature)
    )
    made = parse_signature(signature(EC.ak_key, MESSAGE))
    verify_attest(EC.ak, attest=MESSAGE, signature=made)
    assert asked == []
    verify_attest(EC.ak, attest=MESSAGE + b"!", signature=made)
    assert asked == [made]


def test_rejects_a_signature_by_a_point_off_the_curve_as_a_weak_key() -> None:
    made = parse_signature(signature(EC.ak_key, MESSAGE))
    assert isinstance(EC.ak.key, EccKey)
    for x, y in ((EC.ak.key.x, EC.ak.key.y ^ 1), (0, 0), (1 << 256, 1)):
        off = replace(EC.ak, key=replace(EC.ak.key, x=x, y=y))
        assert refusal(off, made) is Reason.WEAK_KEY
