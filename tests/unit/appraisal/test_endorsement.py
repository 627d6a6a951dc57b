from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID

from keystead.appraisal.endorsement import check_profile, check_public, ek_id, enrolment_key
from keystead.codec.certificate import parse_certificate
from keystead.codec.tpm2 import ObjectAttributes
from keystead.errors import EvidenceRejected, Malformed, Reason
from tests.evidence_builder import (
    EK_TEMPLATES,
    Host,
    ek_certificate,
    ek_extensions,
    intermediate,
    usage,
    with_attributes,
)

HOST = Host.make()
CERTIFICATE = HOST.ek_certificate or b""


def refusal(der: bytes) -> Reason:
    with pytest.raises(EvidenceRejected) as refused:
        check_profile(parse_certificate(der), step=3)
    assert refused.value.step == 3
    return refused.value.reason


def with_extensions(
    kind: str = "p256", *, drop: type | None = None, add: Any = None, host: Host = HOST
) -> bytes:
    extensions = [pair for pair in ek_extensions(kind) if drop is None or type(pair[0]) is not drop]
    return ek_certificate(kind, host.ek_key, extensions=[*extensions, *([add] if add else [])])


@pytest.mark.parametrize("kind", EK_TEMPLATES)
def test_accepts_the_profile_for_every_key_type(kind: str) -> None:
    host = Host.make(kind)
    certificate = parse_certificate(host.ek_certificate or b"")
    check_profile(certificate, step=3)
    check_public(host.ek, certificate, step=4)


def test_accepts_a_certificate_without_extended_key_usage() -> None:
    check_profile(parse_certificate(with_extensions(drop=x509.ExtendedKeyUsage)), step=3)


@pytest.mark.parametrize(
    "der",
    [
        with_extensions(drop=x509.BasicConstraints),
        with_extensions(drop=x509.KeyUsage),
        with_extensions(drop=x509.KeyUsage, add=(usage(encipher=True), True)),
        with_extensions(drop=x509.KeyUsage, add=(usage(sign=True), True)),
        with_extensions("rsa2048", host=Host.make("p256")),
        with_extensions(
            drop=x509.ExtendedKeyUsage,
            add=(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        ),
        with_extensions(
            drop=x509.BasicConstraints,
            add=(x509.BasicConstraints(ca=True, path_length=None), True),
        ),
        intermediate(),
    ],
)
def test_rejects_a_certificate_that_is_not_an_eks(der: bytes) -> None:
    assert refusal(der) is Reason.EK_CERTIFICATE_PROFILE


def test_rejects_a_certificate_of_another_version() -> None:
    for version in (1, 2):
        with pytest.raises(EvidenceRejected) as refused:
            check_profile(replace(parse_certificate(CERTIFICATE), version=version), step=3)
        assert refused.value.reason is Reason.EK_CERTIFICATE_PROFILE


def test_rejects_an_ek_that_encrypts_nothing() -> None:
    area = replace(HOST.ek, symmetric=None)
    with pytest.raises(EvidenceRejected) as refused:
        check_public(area, parse_certificate(CERTIFICATE), step=4)
    assert (refused.value.reason, refused.value.step) == (Reason.EK_ATTRIBUTES, 4)


def test_rejects_a_key_type_that_cannot_decrypt() -> None:
    key: Any = ed25519.Ed25519PrivateKey.generate()
    assert refusal(ek_certificate("p256", key)) is Reason.EK_CERTIFICATE_PROFILE


def test_rejects_a_certified_key_with_the_roca_fingerprint() -> None:
    host = Host.make("rsa2048")
    modulus = host.ek_key.public_key().public_numbers()
    assert hasattr(modulus, "n")
    power = (65_537**127).to_bytes(256, "big")  # a power of 65537 modulo every prime
    der = host.ek_certificate or b""
    assert refusal(der.replace(modulus.n.to_bytes(256, "big"), power)) is Reason.WEAK_KEY


def test_the_ek_is_named_by_its_key_alone() -> None:
    plain = enrolment_key(ek_public=HOST.ek.sized)
    assert plain == enrolment_key(ek_public=HOST.ek.sized, ek_certificate=CERTIFICATE)
    assert plain.id == ek_id(HOST.ek) and plain.name == HOST.ek.name
    assert len(plain.id) == 43


def test_enrols_no_key_that_is_not_the_certificates() -> None:
    with pytest.raises(EvidenceRejected) as refused:
        enrolment_key(ek_public=Host.make(name="other").ek.sized, ek_certificate=CERTIFICATE)
    assert refused.value.reason is Reason.EK_MISMATCH


@pytest.mark.parametrize("certificate", [b"", CERTIFICATE])
def test_enrols_no_key_that_is_no_ek(certificate: bytes) -> None:
    area = with_attributes(HOST.ek, drop=ObjectAttributes.RESTRICTED)
    with pytest.raises(EvidenceRejected) as refused:
        enrolment_key(ek_public=area.sized, ek_certificate=certificate)
    assert refused.value.reason is Reason.EK_ATTRIBUTES


def test_rejects_truncated_enrolments_as_malformed() -> None:
    for length in range(len(HOST.ek.sized)):
        with pytest.raises(Malformed):
            enrolment_key(ek_public=HOST.ek.sized[:length])
    with pytest.raises(Malformed):
        enrolment_key(ek_public=HOST.ek.sized, ek_certificate=CERTIFICATE[:-1])
