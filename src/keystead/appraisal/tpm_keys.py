"""TPM public areas as keys that verify, and what signatures by them are worth."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.hashes import HashAlgorithm as CryptoHash
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keystead.appraisal.weak_keys import has_roca_fingerprint
from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import (
    Curve,
    EccKey,
    EcdsaSignature,
    PublicArea,
    RsaKey,
    Scheme,
    TpmSignature,
)
from keystead.errors import Reason, TokenRejected
from keystead.jose.batch import verify_es256_by_point

# SHA-1 is not among them: a quote or certification over it is worth nothing.
HASHES: Final[dict[HashAlgorithm, CryptoHash]] = {
    HashAlgorithm.SHA256: SHA256(),
    HashAlgorithm.SHA384: SHA384(),
    HashAlgorithm.SHA512: SHA512(),
}
CURVES: Final[dict[Curve, ec.EllipticCurve]] = {
    Curve.P256: ec.SECP256R1(),
    Curve.P384: ec.SECP384R1(),
    Curve.P521: ec.SECP521R1(),
}
MIN_RSA_BITS: Final = 2_048
MIN_RSA_EXPONENT: Final = 65_537
MAX_KEPT_KEYS: Final = 1_024
"""Keys that were found fit, some kilobytes each; strangers' keys only push others out."""

_P256_BYTES: Final = Curve.P256.coordinate_bytes
SIGNING_SCHEMES: Final = frozenset({Scheme.RSASSA, Scheme.RSAPSS, Scheme.ECDSA})


class Unfit(Exception):
    """A key or signature that is not good enough, with the reason; each stage raises its own."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(detail)


def public_key(area: PublicArea) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey:
    """The key of ``area``; Unfit (weak_key) where it is none, small, or of a broken generator."""
    try:
        return _fit_key(area.key)
    except ValueError as error:
        raise Unfit(Reason.WEAK_KEY, f"OpenSSL refuses the key: {error}") from error


@lru_cache(maxsize=MAX_KEPT_KEYS)
def _fit_key(key: RsaKey | EccKey) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey:
    """A pure function of the numbers, asked several times of each AK and EK; raises each time."""
    return rsa_key(key) if isinstance(key, RsaKey) else _ec_key(key)


def spki(area: PublicArea) -> bytes:
    """The key of ``area`` as DER SubjectPublicKeyInfo; Unfit."""
    return public_key(area).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def verify_attest(area: PublicArea, *, attest: bytes, signature: TpmSignature) -> None:
    """Return only if the key of ``area`` signed ``attest`` by its own scheme and hash.

    Raises Unfit: signature_invalid, or weak_key.
    """
    if area.scheme not in SIGNING_SCHEMES:
        raise Unfit(Reason.SIGNATURE_INVALID, "a key without a scheme")
    if (signature.scheme, signature.hash) != (area.scheme, area.scheme_hash):
        raise Unfit(Reason.SIGNATURE_INVALID, "a signature by another scheme than the key's")
    if not _verified_by_engine(area.key, attest=attest, signature=signature):
        verify_by_key(public_key(area), attest=attest, signature=signature)


def _verified_by_engine(key: EccKey | RsaKey, *, attest: bytes, signature: TpmSignature) -> bool:
    """Whether the native engine accepts an ES256 signature, which it does several times as fast
    for keys that it saw before. What it does not accept, OpenSSL refuses again, with the reason.
    """
    if not isinstance(key, EccKey) or not isinstance(signature, EcdsaSignature):
        return False
    if key.curve is not Curve.P256 or signature.hash is not HashAlgorithm.SHA256:
        return False
    try:
        x, y, r, s = (
            number.to_bytes(_P256_BYTES, "big")
            for number in (key.x, key.y, signature.r, signature.s)
        )
        verify_es256_by_point((x, y), attest, r + s)
    except (OverflowError, TokenRejected):
        return False
    return True


def verify_by_key(
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey, *, attest: bytes, signature: TpmSignature
) -> None:
    """Return only if ``key`` signed ``attest``, by the scheme that ``signature`` names.

    Raises Unfit: signature_invalid.
    """
    chosen = HASHES.get(signature.hash)
    if chosen is None:
        raise Unfit(Reason.SIGNATURE_INVALID, "a signature over a weak hash")
    try:
        if isinstance(signature, EcdsaSignature):
            if not isinstance(key, ec.EllipticCurvePublicKey):
                raise Unfit(Reason.SIGNATURE_INVALID, "an ECDSA signature by an RSA key")
            der = encode_dss_signature(signature.r, signature.s)
            key.verify(der, attest, ec.ECDSA(chosen))
            return
        if not isinstance(key, rsa.RSAPublicKey):
            raise Unfit(Reason.SIGNATURE_INVALID, "an RSA signature by an EC key")
        key.verify(signature.value, attest, _rsa_padding(signature.scheme, chosen), chosen)
    except InvalidSignature as error:
        raise Unfit(Reason.SIGNATURE_INVALID, "the signature does not verify") from error


def _rsa_padding(scheme: Scheme, chosen: CryptoHash) -> padding.AsymmetricPadding:
    if scheme is Scheme.RSASSA:
        return padding.PKCS1v15()
    # Part 1 Annex B.7: chips differ in the salt's length, so it is read from the signature.
    return padding.PSS(padding.MGF1(chosen), padding.PSS.AUTO)


def rsa_key(key: RsaKey) -> rsa.RSAPublicKey:
    """The key; Unfit (weak_key), or ValueError where OpenSSL refuses it."""
    if key.bits < MIN_RSA_BITS or key.exponent < MIN_RSA_EXPONENT:
        raise Unfit(Reason.WEAK_KEY, f"RSA of {key.bits} bits, exponent {key.exponent}")
    if has_roca_fingerprint(key.modulus):
        raise Unfit(Reason.WEAK_KEY, "RSA key with the ROCA fingerprint (CVE-2017-15361)")
    return rsa.RSAPublicNumbers(key.exponent, key.modulus).public_key()


def _ec_key(key: EccKey) -> ec.EllipticCurvePublicKey:
    """``ValueError`` where the point is not on its curve."""
    return ec.EllipticCurvePublicNumbers(key.x, key.y, CURVES[key.curve]).public_key()
