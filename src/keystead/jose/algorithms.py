"""The signature algorithms that are allowed, and how each verifies (RFC 7518 §3, RFC 8037 §3.1).

| name | key | hash | signature |
|---|---|---|---|
| ES256, ES384, ES512 | EC P-256, P-384, P-521 | SHA-256, -384, -512 | r ‖ s, 64, 96, 132 bytes |
| RS256, PS256 | RSA 2048 to 8192 | SHA-256 | as long as the modulus; PSS salt 32 bytes |
| EdDSA, Ed25519 (RFC 9864) | OKP Ed25519 | – | 64 bytes |

The table is closed: ``none`` and every symmetric algorithm are not in it, so a public key can
never be used as a shared secret.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, AsymmetricPadding, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512

from keystead.codec.hashes import HashAlgorithm
from keystead.errors import Malformed, Reason, TokenRejected
from keystead.jose.jwk import PublicJwk, PublicKey

_VerifyFunction = Callable[[PublicKey, bytes, bytes], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Algorithm:
    kty: str
    crv: str | None
    digest: HashAlgorithm | None
    # Bytes of r and of s; None where the signature is not ECDSA.
    component_bytes: int | None = None
    verify: _VerifyFunction


def verify(algorithm: str, key: PublicJwk, signing_input: bytes, signature: bytes) -> None:
    """Return where ``signature`` is the holder of ``key``'s over ``signing_input``.

    Raises ``TokenRejected``: ``algorithm_not_allowed`` for a name outside the table,
    ``key_unsuitable`` for a key of another type, curve, ``alg``, ``use`` or ``key_ops``,
    ``signature_invalid`` for everything else, a signature of the wrong length included.
    """
    row = _row(algorithm)
    _check_key(row, key)
    try:
        row.verify(key.key, signing_input, signature)
    except InvalidSignature as error:
        raise TokenRejected(Reason.SIGNATURE_INVALID, f"{algorithm} signature") from error


def check_key(algorithm: str, key: PublicJwk) -> None:
    """Raise ``TokenRejected`` as ``verify`` does where ``key`` is not one for ``algorithm``."""
    _check_key(_row(algorithm), key)


def digest_for(algorithm: str) -> HashAlgorithm:
    """The hash that ``algorithm`` signs; ``TokenRejected`` for EdDSA, which hashes by itself."""
    digest = _row(algorithm).digest
    if digest is None:
        raise TokenRejected(Reason.ALGORITHM_NOT_ALLOWED, f"{algorithm} signs no digest")
    return digest


def algorithm_for(key: PublicJwk) -> str:
    """What ``key`` signs with: its own ``alg``, else the first algorithm of its type and curve."""
    if key.alg is not None:
        _check_key(_row(key.alg), key)
        return key.alg
    for name, row in _TABLE.items():
        if (row.kty, row.crv) == (key.kty, key.crv):
            return name
    raise TokenRejected(Reason.KEY_UNSUITABLE, f"no algorithm for a {key.kty} key")


def ecdsa_der_from_raw(algorithm: str, raw: bytes) -> bytes:
    """The DER form of a JWS signature ``r ‖ s``; ``Malformed`` where its length is wrong."""
    size = _component_bytes(algorithm)
    if len(raw) != 2 * size:
        raise Malformed(Reason.MALFORMED, f"{algorithm} signature of {len(raw)} bytes")
    return _der_from_raw(raw, size)


def ecdsa_raw_from_der(algorithm: str, der: bytes) -> bytes:
    """The JWS form ``r ‖ s`` of a DER signature; ``Malformed`` where it is none."""
    try:
        r, s = decode_dss_signature(der)
    except ValueError as error:
        raise Malformed(Reason.MALFORMED, "not a DER ECDSA signature") from error
    return ecdsa_raw_from_integers(algorithm, r, s)


def ecdsa_raw_from_integers(algorithm: str, r: int, s: int) -> bytes:
    """The JWS form ``r ‖ s``, each at its curve's length; ``Malformed`` where one is too long."""
    size = _component_bytes(algorithm)
    try:
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")
    except OverflowError as error:
        raise Malformed(Reason.MALFORMED, f"r or s outside {algorithm}") from error


def _row(algorithm: str) -> _Algorithm:
    row = _TABLE.get(algorithm)
    if row is None:
        raise TokenRejected(Reason.ALGORITHM_NOT_ALLOWED, f"algorithm {algorithm[:32]!r}")
    return row


def _check_key(row: _Algorithm, key: PublicJwk) -> None:
    if (key.kty, key.crv) != (row.kty, row.crv):
        raise TokenRejected(Reason.KEY_UNSUITABLE, f"a {key.kty} {key.crv or ''} key")
    if key.alg is not None and _TABLE.get(key.alg) is not row:
        raise TokenRejected(Reason.KEY_UNSUITABLE, f"a key for {key.alg[:32]!r}")
    if key.use == "enc" or (key.key_ops is not None and "verify" not in key.key_ops):
        raise TokenRejected(Reason.KEY_UNSUITABLE, "a key that is not for signatures")


def _component_bytes(algorithm: str) -> int:
    size = _row(algorithm).component_bytes
    if size is None:
        raise TokenRejected(Reason.ALGORITHM_NOT_ALLOWED, f"{algorithm} is not ECDSA")
    return size


def _der_from_raw(raw: bytes, size: int) -> bytes:
    return encode_dss_signature(
        int.from_bytes(raw[:size], "big"), int.from_bytes(raw[size:], "big")
    )


def _ecdsa(crv: str, size: int, digest: HashAlgorithm, scheme: ECDSA) -> _Algorithm:
    def verify_ecdsa(key: PublicKey, message: bytes, signature: bytes) -> None:
        if not isinstance(key, EllipticCurvePublicKey) or len(signature) != 2 * size:
            raise InvalidSignature
        key.verify(_der_from_raw(signature, size), message, scheme)

    return _Algorithm(kty="EC", crv=crv, digest=digest, component_bytes=size, verify=verify_ecdsa)


def _rsa(padding: AsymmetricPadding) -> _Algorithm:
    def verify_rsa(key: PublicKey, message: bytes, signature: bytes) -> None:
        if not isinstance(key, RSAPublicKey) or len(signature) != (key.key_size + 7) // 8:
            raise InvalidSignature
        key.verify(signature, message, padding, _SHA256)

    return _Algorithm(kty="RSA", crv=None, digest=HashAlgorithm.SHA256, verify=verify_rsa)


def _verify_ed25519(key: PublicKey, message: bytes, signature: bytes) -> None:
    if not isinstance(key, Ed25519PublicKey):
        raise InvalidSignature
    key.verify(signature, message)


_SHA256 = SHA256()
_ED25519 = _Algorithm(kty="OKP", crv="Ed25519", digest=None, verify=_verify_ed25519)
_TABLE: dict[str, _Algorithm] = {
    "ES256": _ecdsa("P-256", 32, HashAlgorithm.SHA256, ECDSA(SHA256())),
    "ES384": _ecdsa("P-384", 48, HashAlgorithm.SHA384, ECDSA(SHA384())),
    "ES512": _ecdsa("P-521", 66, HashAlgorithm.SHA512, ECDSA(SHA512())),
    "RS256": _rsa(PKCS1v15()),
    "PS256": _rsa(PSS(mgf=MGF1(SHA256()), salt_length=SHA256.digest_size)),
    "EdDSA": _ED25519,
    "Ed25519": _ED25519,
}
DEFAULT_ALGORITHMS = frozenset(_TABLE)
