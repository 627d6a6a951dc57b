"""Signed messages to verify, made from a seed: keys, messages, signatures."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from keystead.codec import base64url
from keystead.jose import algorithms, jwk, jws

# About what an access token's claims take.
PAYLOAD_BYTES = 480

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey

_CURVES: dict[str, ec.EllipticCurve] = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1()}
_HASHES: dict[str, hashes.HashAlgorithm] = {"ES256": hashes.SHA256(), "ES384": hashes.SHA384()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Signed messages; ``keys`` has one key for each, or a single one for all."""

    algorithm: str
    keys: tuple[jwk.PublicJwk, ...]
    messages: tuple[bytes, ...]
    signatures: tuple[bytes, ...]

    @property
    def tokens(self) -> list[str]:
        """Each as a compact JWS."""
        pairs = zip(self.messages, self.signatures, strict=True)
        return [jws.assemble(message, signature) for message, signature in pairs]

    @property
    def key_of_each(self) -> tuple[jwk.PublicJwk, ...]:
        """The key of each message."""
        return self.keys if len(self.keys) > 1 else self.keys * len(self.messages)


def workload(algorithm: str, chance: random.Random, *, count: int, distinct: bool) -> Workload:
    """``count`` messages of one length, by one key or each by its own."""
    private = [make_key(algorithm, chance) for _ in range(count if distinct else 1)]
    header = {"alg": algorithm, "typ": "at+jwt"}
    messages = [jws.signing_input(header, chance.randbytes(PAYLOAD_BYTES)) for _ in range(count)]
    return signed(algorithm, private, messages)


def signed(algorithm: str, private: Sequence[PrivateKey], messages: Sequence[bytes]) -> Workload:
    """``messages`` with their signatures, by the one key there is or each by its own."""
    signatures = [
        sign(algorithm, private[index % len(private)], message)
        for index, message in enumerate(messages)
    ]
    return Workload(
        algorithm=algorithm,
        keys=tuple(jwk.from_public_key(key.public_key()) for key in private),
        messages=tuple(messages),
        signatures=tuple(signatures),
    )


def make_key(algorithm: str, chance: random.Random) -> PrivateKey:
    """A new key of the size that the algorithm has most often."""
    if algorithm in _CURVES:
        return ec.derive_private_key(chance.getrandbits(255) + 1, _CURVES[algorithm])
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.from_private_bytes(chance.randbytes(32))
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


def sign(algorithm: str, key: PrivateKey, message: bytes) -> bytes:
    """The signature as JWS spells it."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        der = key.sign(message, ec.ECDSA(_HASHES[algorithm]))
        return algorithms.ecdsa_raw_from_der(algorithm, der)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    return key.sign(message, padding.PKCS1v15(), hashes.SHA256())


def octets(key: jwk.PublicJwk) -> bytes:
    """x ‖ y, x, or n."""
    names = [name for name in ("x", "y", "n") if name in key.members]
    return b"".join(base64url.decode(key.members[name]) for name in names)
