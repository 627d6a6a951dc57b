"""The endorsement key: its certificate's profile, its public area, and the id it is known by.

Source: TCG EK Credential Profile for TPM Family 2.0, version 2.5, §3.2 (certificate) and Annex B
(templates).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from OpenSSL import crypto

from keystead.appraisal.anchors import reload
from keystead.appraisal.tpm_keys import Unfit, spki
from keystead.appraisal.weak_keys import has_roca_fingerprint
from keystead.codec import base64url
from keystead.codec.certificate import (
    KEY_AGREEMENT,
    KEY_ENCIPHERMENT,
    Certificate,
    parse_certificate,
)
from keystead.codec.tpm2 import ObjectAttributes, PublicArea, parse_tpm2b_public
from keystead.errors import EvidenceRejected, Malformed, Reason
from keystead.model import EkId

TCG_KP_EK_CERTIFICATE: Final = "2.23.133.8.1"

MAX_KEPT_CERTIFICATES: Final = 512
"""Whose keys were read, some kilobytes each; strangers' certificates only push others out."""

EK_ATTRIBUTES: Final = (
    ObjectAttributes.FIXED_TPM
    | ObjectAttributes.FIXED_PARENT
    | ObjectAttributes.SENSITIVE_DATA_ORIGIN
    | ObjectAttributes.RESTRICTED
    | ObjectAttributes.DECRYPT
)
"""What every EK template sets; the restriction is what makes its decryptions mean anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentKey:
    """An EK as it is enrolled: ``id`` for machines, ``name`` (the TPM's Name) for people, empty
    where only the certificate was there to enrol from."""

    id: EkId
    name: bytes


def ek_id(area: PublicArea) -> EkId:
    """Base64url SHA-256 of the EK's SubjectPublicKeyInfo; Unfit."""
    return EkId(base64url.encode(hashlib.sha256(spki(area)).digest()))


def enrolment_key(*, ek_public: bytes, ek_certificate: bytes = b"") -> EnrolmentKey:
    """The EK that an administrator vouches for, from its TPM2B_PUBLIC or its certificate (DER).

    With both, the certificate is checked to be this key's, and of the EK profile; whether its
    chain is trusted is asked at every attestation. Raises Malformed or EvidenceRejected.
    """
    if ek_certificate and not ek_public:
        return _certified_key(parse_certificate(ek_certificate))
    area = parse_tpm2b_public(ek_public)
    if ek_certificate:
        certificate = parse_certificate(ek_certificate)
        check_profile(certificate, step=3)
        check_public(area, certificate, step=4)
    else:
        _check_attributes(area, step=4)
    try:
        return EnrolmentKey(id=ek_id(area), name=area.name)
    except Unfit as error:
        raise EvidenceRejected(error.reason, error.detail, step=4) from error


def _certified_key(certificate: Certificate) -> EnrolmentKey:
    check_profile(certificate, step=3)
    key = certificate_key(certificate)
    if key is None:
        raise EvidenceRejected(Reason.EK_CERTIFICATE_PROFILE, "neither RSA nor EC", step=3)
    digest = hashlib.sha256(_spki(key)).digest()
    return EnrolmentKey(id=EkId(base64url.encode(digest)), name=b"")


def check_profile(certificate: Certificate, *, step: int) -> None:
    """The certificate is one for an EK: version 3, not a CA's, usage as its key type decrypts.

    EvidenceRejected: ek_certificate_profile, or weak_key.
    """
    try:
        wrong = _profile_fault(certificate)
    except Malformed as error:
        wrong = error.detail
    if wrong:
        raise EvidenceRejected(Reason.EK_CERTIFICATE_PROFILE, wrong, step=step)
    key = certificate_key(certificate)
    if isinstance(key, RSAPublicKey) and has_roca_fingerprint(key.public_numbers().n):
        raise EvidenceRejected(Reason.WEAK_KEY, "an EK with the ROCA fingerprint", step=step)


def check_public(area: PublicArea, certificate: Certificate, *, step: int) -> None:
    """The public area has the certificate's key, and is that of an EK.

    The certificate vouches for the key alone. The rest of the area is the attester's word: what is
    wrong there is refused, but it is the certificate that makes the key an EK.

    EvidenceRejected: ek_mismatch, ek_attributes, or weak_key.
    """
    key = certificate_key(certificate)
    try:
        same = key is not None and _spki(key) == spki(area)
    except Unfit as error:
        raise EvidenceRejected(error.reason, error.detail, step=step) from error
    if not same:
        raise EvidenceRejected(
            Reason.EK_MISMATCH,
            "the EK's public area has another key than its certificate",
            step=step,
        )
    _check_attributes(area, step=step)


def certificate_key(certificate: Certificate) -> RSAPublicKey | EllipticCurvePublicKey | None:
    """The certificate's RSA or EC key; None for any other, or where OpenSSL cannot read it."""
    return _key_of(certificate.raw)


@lru_cache(maxsize=MAX_KEPT_CERTIFICATES)
def _key_of(der: bytes) -> RSAPublicKey | EllipticCurvePublicKey | None:
    """A pure function of a certificate that was parsed before; each is asked three times."""
    try:
        key = reload(der).get_pubkey().to_cryptography_key()
    except (Malformed, crypto.Error, UnsupportedAlgorithm, ValueError):
        return None
    return key if isinstance(key, RSAPublicKey | EllipticCurvePublicKey) else None


def _spki(key: RSAPublicKey | EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _profile_fault(certificate: Certificate) -> str:
    """What is wrong with the certificate, or nothing; Malformed for odd extensions."""
    key = certificate_key(certificate)
    if key is None:
        return "neither an RSA nor an EC key"
    if certificate.version != 3:
        return f"version {certificate.version}"
    if certificate.is_ca() is not False:
        return "no BasicConstraints with cA FALSE"
    usage = KEY_ENCIPHERMENT if isinstance(key, RSAPublicKey) else KEY_AGREEMENT
    if usage not in (certificate.key_usage() or ()):
        return "keyUsage without the bit of this key type"
    purposes = certificate.extended_key_usage()
    if purposes is not None and TCG_KP_EK_CERTIFICATE not in purposes:
        return "extendedKeyUsage without tcg-kp-EKCertificate"
    return ""


def _check_attributes(area: PublicArea, *, step: int) -> None:
    if not area.has(EK_ATTRIBUTES) or area.attributes & ObjectAttributes.SIGN:
        raise EvidenceRejected(
            Reason.EK_ATTRIBUTES, "not a restricted decryption key made in its TPM", step=step
        )
    if area.symmetric is None:
        raise EvidenceRejected(Reason.EK_ATTRIBUTES, "not a storage key", step=step)
