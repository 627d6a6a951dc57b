"""OpenSSL as the judge of what a TPM signed."""

import base64

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from keystead.codec.tpm2 import (
    EccKey,
    PublicArea,
    RsaSignature,
    jwk_members,
    parse_signature,
)

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


def public_key(area: PublicArea) -> PublicKey:
    """Built from the JWK members, so that they are judged too."""
    numbers = {
        name: int.from_bytes(base64.urlsafe_b64decode(text + "=="), "big")
        for name, text in jwk_members(area).items()
        if name in {"x", "y", "n", "e"}
    }
    if isinstance(area.key, EccKey):
        return ec.EllipticCurvePublicNumbers(
            numbers["x"], numbers["y"], ec.SECP256R1()
        ).public_key()
    return rsa.RSAPublicNumbers(numbers["e"], numbers["n"]).public_key()


def check_jose(area: PublicArea, message: bytes, signature: bytes) -> None:
    """Raises InvalidSignature unless ``signature`` is ES256 or RS256 over ``message``."""
    key = public_key(area)
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, message, padding.PKCS1v15(), SHA256())
        return
    assert len(signature) == 64
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    key.verify(encode_dss_signature(r, s), message, ec.ECDSA(SHA256()))


def check_tpmt(area: PublicArea, message: bytes, signature: bytes) -> None:
    """The same for a TPMT_SIGNATURE."""
    parsed = parse_signature(signature)
    if isinstance(parsed, RsaSignature):
        check_jose(area, message, parsed.value)
    else:
        check_jose(area, message, parsed.jose(coordinate_bytes=32))
