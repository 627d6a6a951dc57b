"""The two buffers that TPM2_ActivateCredential takes (Part 1 §24, Part 2 §11.4.3 and §12.4.3)."""

from __future__ import annotations

from keystead.codec.tpm2.constants import Curve
from keystead.codec.tpm2.primitives import encode_tpm2b


def encode_id_object(*, integrity: bytes, encrypted_identity: bytes) -> bytes:
    """A TPM2B_ID_OBJECT: the outer HMAC as a TPM2B_DIGEST, then the encrypted TPM2B_DIGEST."""
    return encode_tpm2b(encode_tpm2b(integrity) + encrypted_identity)


def encode_rsa_encrypted_secret(ciphertext: bytes) -> bytes:
    """A TPM2B_ENCRYPTED_SECRET for an RSA key: the OAEP ciphertext."""
    return encode_tpm2b(ciphertext)


def encode_ecc_encrypted_secret(*, curve: Curve, x: int, y: int) -> bytes:
    """A TPM2B_ENCRYPTED_SECRET for an ECC key: the ephemeral point as a TPMS_ECC_POINT."""
    size = curve.coordinate_bytes
    point = (encode_tpm2b(part.to_bytes(size, "big")) for part in (x, y))
    return encode_tpm2b(b"".join(point))
