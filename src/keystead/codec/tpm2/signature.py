"""TPMT_SIGNATURE (Part 2 §11.3.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from keystead.codec.hashes import HashAlgorithm
from keystead.codec.reader import Reader
from keystead.codec.tpm2.constants import MAX_BUFFER_BYTES, MAX_SIGNATURE_BYTES, Curve, Scheme
from keystead.codec.tpm2.primitives import known, read_hash
from keystead.errors import Malformed, Reason

# The largest coordinate of a curve that is accepted at all: P-521.
_MAX_SCALAR_BYTES: Final = Curve.P521.coordinate_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class EcdsaSignature:
    """``r`` and ``s`` as numbers, not yet checked against any curve's order."""

    hash: HashAlgorithm
    r: int
    s: int

    @property
    def scheme(self) -> Scheme:
        return Scheme.ECDSA

    def jose(self, *, coordinate_bytes: int) -> bytes:
        """``r ‖ s`` of RFC 7518 §3.4."""
        try:
            halves = (part.to_bytes(coordinate_bytes, "big") for part in (self.r, self.s))
            return b"".join(halves)
        except OverflowError:
            raise Malformed(Reason.MALFORMED, "ECDSA numbers too large for the curve") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class RsaSignature:
    """An RSASSA (PKCS#1 v1.5) or RSAPSS signature; ``value`` is as long as the modulus."""

    scheme: Scheme
    hash: HashAlgorithm
    value: bytes


TpmSignature = EcdsaSignature | RsaSignature


def parse_signature(data: bytes) -> TpmSignature:
    """A TPMT_SIGNATURE by ECDSA, RSASSA or RSAPSS, nothing after it."""
    if len(data) > MAX_SIGNATURE_BYTES:
        raise Malformed(Reason.TOO_LARGE, f"a signature of {len(data)} bytes")
    reader = Reader(data)
    signature = read_signature(reader)
    reader.end()
    return signature


def read_signature(reader: Reader) -> TpmSignature:
    """The same at the reader's place."""
    scheme = known(Scheme, reader.u16())
    if scheme is Scheme.ECDSA:
        digest = read_hash(reader)
        r, s = (reader.sized(max_bytes=_MAX_SCALAR_BYTES) for _ in range(2))
        return EcdsaSignature(hash=digest, r=int.from_bytes(r, "big"), s=int.from_bytes(s, "big"))
    if scheme in (Scheme.RSASSA, Scheme.RSAPSS):
        digest = read_hash(reader)
        value = reader.sized(max_bytes=MAX_BUFFER_BYTES)
        return RsaSignature(scheme=scheme, hash=digest, value=value)
    raise Malformed(Reason.MALFORMED, f"{scheme.name} is not a signature scheme")
