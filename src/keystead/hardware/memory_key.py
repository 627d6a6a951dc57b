"""A signing key in this process's memory, for workloads whose memory is what was attested.

In an enclave or a confidential guest the measured code itself holds the key; a build job has
nothing better. Nothing here is said to be in hardware: what evidence proves about the key is for
the appraiser to say. OpenSSL makes the key and signs with it; it is written nowhere and ends with
the process.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from keystead.codec import base64url

_COORDINATE_BYTES = 32


class MemoryKey:
    """One P-256 key; safe to use from any thread."""

    __slots__ = ("_key", "members")

    def __init__(self, key: EllipticCurvePrivateKey) -> None:
        """Use :meth:`make`."""
        numbers = key.public_key().public_numbers()
        self._key = key
        self.members = {
            "kty": "EC",
            "crv": "P-256",
            "x": base64url.encode(numbers.x.to_bytes(_COORDINATE_BYTES, "big")),
            "y": base64url.encode(numbers.y.to_bytes(_COORDINATE_BYTES, "big")),
        }
        """The public JWK's members (RFC 7518 §6.2.1)."""

    @classmethod
    def make(cls) -> MemoryKey:
        """A new key, by OpenSSL's own entropy."""
        return cls(generate_private_key(SECP256R1()))

    def sign(self, message: bytes) -> bytes:
        """An ES256 signature (RFC 7518 §3.4): R ‖ S."""
        r, s = decode_dss_signature(self._key.sign(message, ECDSA(SHA256())))
        return b"".join(each.to_bytes(_COORDINATE_BYTES, "big") for each in (r, s))

    def __repr__(self) -> str:
        return "MemoryKey(…)"
