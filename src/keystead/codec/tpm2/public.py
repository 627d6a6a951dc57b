"""TPMT_PUBLIC: the public area of a TPM object, and its Name (Part 2 §12.2.4, Part 1 §16)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from keystead.codec import base64url
from keystead.codec.hashes import HashAlgorithm
from keystead.codec.reader import Reader
from keystead.codec.tpm2.constants import (
    ALG_NULL,
    KNOWN_ATTRIBUTES,
    MAX_BUFFER_BYTES,
    MAX_DIGEST_BYTES,
    MAX_PUBLIC_BYTES,
    Curve,
    KeyType,
    ObjectAttributes,
    Scheme,
    SymmetricAlgorithm,
    SymmetricMode,
)
from keystead.codec.tpm2.primitives import encode_tpm2b, known, parse_tpm2b, read_hash, u16
from keystead.errors import Malformed, Reason

_RSA_BITS: Final = frozenset({1024, 2048, 3072, 4096})
_AES_BITS: Final = frozenset({128, 192, 256})
# Part 2 §12.2.3.5: an exponent of zero is the default.
_DEFAULT_EXPONENT: Final = 65537
_RSA_SCHEMES: Final = frozenset(
    {Scheme.NULL, Scheme.RSASSA, Scheme.RSAES, Scheme.RSAPSS, Scheme.OAEP}
)
_ECC_SCHEMES: Final = frozenset({Scheme.NULL, Scheme.ECDSA, Scheme.ECDH})


@dataclass(frozen=True, slots=True, kw_only=True)
class SymmetricDefinition:
    """TPMT_SYM_DEF_OBJECT of a storage key."""

    algorithm: SymmetricAlgorithm
    key_bits: int
    mode: SymmetricMode


@dataclass(frozen=True, slots=True, kw_only=True)
class RsaKey:
    """An RSA public key; ``exponent`` is the real one, never the TPM's zero."""

    bits: int
    exponent: int
    modulus: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EccKey:
    """A point, not checked to lie on ``curve``: that is for whoever verifies with it."""

    curve: Curve
    x: int
    y: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicHead:
    """What stands before the key material, in templates and real public areas alike."""

    kind: KeyType
    name_algorithm: HashAlgorithm
    attributes: ObjectAttributes
    auth_policy: bytes
    symmetric: SymmetricDefinition | None
    scheme: Scheme
    scheme_hash: HashAlgorithm | None

    def describes(self, area: PublicArea) -> bool:
        """Whether ``area`` is of a key with these parameters."""
        return self == PublicHead(
            kind=area.type,
            name_algorithm=area.name_algorithm,
            attributes=area.attributes,
            auth_policy=area.auth_policy,
            symmetric=area.symmetric,
            scheme=area.scheme,
            scheme_hash=area.scheme_hash,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicArea:
    """A parsed TPMT_PUBLIC; ``raw`` is exactly what was parsed and what the Name is made of."""

    name_algorithm: HashAlgorithm
    attributes: ObjectAttributes
    auth_policy: bytes
    symmetric: SymmetricDefinition | None
    scheme: Scheme
    scheme_hash: HashAlgorithm | None
    key: RsaKey | EccKey
    raw: bytes

    @property
    def type(self) -> KeyType:
        """RSA or ECC."""
        return KeyType.RSA if isinstance(self.key, RsaKey) else KeyType.ECC

    @property
    def name(self) -> bytes:
        """nameAlg ‖ H(TPMT_PUBLIC), the Name of Part 1 §16."""
        digest = hashlib.new(self.name_algorithm.digest_name, self.raw).digest()
        return u16(self.name_algorithm) + digest

    @property
    def sized(self) -> bytes:
        """The same area as a TPM2B_PUBLIC."""
        return encode_tpm2b(self.raw)

    def has(self, attributes: ObjectAttributes) -> bool:
        """Whether all of ``attributes`` are set."""
        return self.attributes & attributes == attributes


def parse_tpm2b_public(data: bytes) -> PublicArea:
    """A TPM2B_PUBLIC, nothing after it."""
    return parse_tpmt_public(parse_tpm2b(data, max_bytes=MAX_PUBLIC_BYTES))


def parse_tpmt_public(data: bytes) -> PublicArea:
    """A TPMT_PUBLIC of an RSA or ECC key, nothing after it.

    Raises:
        Malformed: truncated, trailing bytes, an unknown algorithm, attribute or size.
    """
    if len(data) > MAX_PUBLIC_BYTES:
        raise Malformed(Reason.TOO_LARGE, f"a public area of {len(data)} bytes")
    reader = Reader(data)
    head = read_public_head(reader)
    key = _read_rsa(reader) if head.kind is KeyType.RSA else _read_ecc(reader)
    reader.end()
    return PublicArea(
        name_algorithm=head.name_algorithm,
        attributes=head.attributes,
        auth_policy=head.auth_policy,
        symmetric=head.symmetric,
        scheme=head.scheme,
        scheme_hash=head.scheme_hash,
        key=key,
        raw=data,
    )


def read_public_head(reader: Reader) -> PublicHead:
    """Everything up to the key size or curve."""
    kind = known(KeyType, reader.u16())
    name_algorithm = read_hash(reader)
    attributes = _read_attributes(reader)
    auth_policy = reader.sized(max_bytes=MAX_DIGEST_BYTES)
    if auth_policy and len(auth_policy) != name_algorithm.digest_size:
        raise Malformed(Reason.MALFORMED, "authPolicy is not a digest of nameAlg")
    symmetric = _read_symmetric(reader)
    scheme, scheme_hash = _read_scheme(reader, _allowed_schemes(kind))
    return PublicHead(
        kind=kind,
        name_algorithm=name_algorithm,
        attributes=attributes,
        auth_policy=auth_policy,
        symmetric=symmetric,
        scheme=scheme,
        scheme_hash=scheme_hash,
    )


def jwk_members(area: PublicArea) -> dict[str, str]:
    """The public JWK members of RFC 7518 §6: ``kty crv x y`` or ``kty n e``."""
    if isinstance(area.key, RsaKey):
        size = (area.key.exponent.bit_length() + 7) // 8
        modulus = area.key.modulus.to_bytes(area.key.bits // 8, "big")
        exponent = area.key.exponent.to_bytes(size, "big")
        return {"kty": "RSA", "n": base64url.encode(modulus), "e": base64url.encode(exponent)}
    size = area.key.curve.coordinate_bytes
    return {
        "kty": "EC",
        "crv": area.key.curve.jose_name,
        "x": base64url.encode(area.key.x.to_bytes(size, "big")),
        "y": base64url.encode(area.key.y.to_bytes(size, "big")),
    }


def _allowed_schemes(kind: KeyType) -> frozenset[Scheme]:
    return _RSA_SCHEMES if kind is KeyType.RSA else _ECC_SCHEMES


def _read_attributes(reader: Reader) -> ObjectAttributes:
    number = reader.u32()
    if number & ~KNOWN_ATTRIBUTES:
        raise Malformed(Reason.MALFORMED, f"reserved object attributes in {number:#010x}")
    return ObjectAttributes(number)


def _read_symmetric(reader: Reader) -> SymmetricDefinition | None:
    number = reader.u16()
    if number == ALG_NULL:
        return None
    algorithm = known(SymmetricAlgorithm, number)
    key_bits = reader.u16()
    if key_bits not in _AES_BITS:
        raise Malformed(Reason.MALFORMED, f"an AES key of {key_bits} bits")
    mode = known(SymmetricMode, reader.u16())
    return SymmetricDefinition(algorithm=algorithm, key_bits=key_bits, mode=mode)


def _read_scheme(reader: Reader, allowed: frozenset[Scheme]) -> tuple[Scheme, HashAlgorithm | None]:
    scheme = known(Scheme, reader.u16())
    if scheme not in allowed:
        raise Malformed(Reason.MALFORMED, f"scheme {scheme.name} on another key type")
    if scheme in (Scheme.NULL, Scheme.RSAES):
        return scheme, None
    return scheme, read_hash(reader)


def read_rsa_size(reader: Reader) -> tuple[int, int]:
    """TPMS_RSA_PARMS after its scheme: bits and exponent as written."""
    bits = reader.u16()
    if bits not in _RSA_BITS:
        raise Malformed(Reason.MALFORMED, f"an RSA key of {bits} bits")
    return bits, reader.u32()


def read_curve(reader: Reader) -> Curve:
    """TPMS_ECC_PARMS after its scheme: the curve, and no KDF (Part 2 §12.2.3.6)."""
    curve = known(Curve, reader.u16())
    if reader.u16() != ALG_NULL:
        raise Malformed(Reason.MALFORMED, "a KDF scheme in an ECC public area")
    return curve


def _read_rsa(reader: Reader) -> RsaKey:
    bits, written_exponent = read_rsa_size(reader)
    exponent = written_exponent or _DEFAULT_EXPONENT
    modulus = reader.sized(max_bytes=MAX_BUFFER_BYTES)
    number = int.from_bytes(modulus, "big")
    if len(modulus) * 8 != bits or number.bit_length() != bits:
        raise Malformed(Reason.MALFORMED, f"a modulus that is not of {bits} bits")
    if exponent < 3 or exponent % 2 == 0:
        raise Malformed(Reason.MALFORMED, f"an RSA exponent of {exponent}")
    return RsaKey(bits=bits, exponent=exponent, modulus=number)


def _read_ecc(reader: Reader) -> EccKey:
    curve = read_curve(reader)
    x, y = (_read_coordinate(reader, curve) for _ in range(2))
    return EccKey(curve=curve, x=x, y=y)


def _read_coordinate(reader: Reader, curve: Curve) -> int:
    # Chips before rev. 1.38 dropped leading zeros, so a shorter coordinate is not an error.
    content = reader.sized(max_bytes=curve.coordinate_bytes)
    if not content:
        raise Malformed(Reason.MALFORMED, "an ECC point without coordinates")
    return int.from_bytes(content, "big")
