"""Templates for CreatePrimary and Create.

Endorsement keys: TCG EK Credential Profile for TPM 2.0, v2.5, Annex B (L-1 and L-2 of the low
range, the H templates of the high range). Storage root key: TCG TPM v2.0 Provisioning Guidance
§7.5.1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from keystead.codec.hashes import HashAlgorithm
from keystead.codec.reader import Reader
from keystead.codec.tpm2.constants import (
    ALG_NULL,
    MAX_BUFFER_BYTES,
    Curve,
    KeyType,
    ObjectAttributes,
    Scheme,
    SymmetricAlgorithm,
    SymmetricMode,
)
from keystead.codec.tpm2.primitives import encode_tpm2b, u16, u32
from keystead.codec.tpm2.public import (
    PublicHead,
    SymmetricDefinition,
    read_curve,
    read_public_head,
    read_rsa_size,
)
from keystead.errors import Malformed, Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class RsaShape:
    """RSA parameters; ``unique`` only seeds a primary key."""

    bits: int
    exponent: int = 0
    unique: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class EccShape:
    """ECC parameters; the two halves of ``unique`` only seed a primary key."""

    curve: Curve
    unique_x: bytes = b""
    unique_y: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicTemplate:
    """The TPMT_PUBLIC given to a TPM that shall make a key."""

    head: PublicHead
    shape: RsaShape | EccShape

    def encode(self) -> bytes:
        """The TPMT_PUBLIC."""
        if isinstance(self.shape, RsaShape):
            tail = u16(self.shape.bits) + u32(self.shape.exponent)
            return _encode_head(self.head) + tail + encode_tpm2b(self.shape.unique)
        unique = encode_tpm2b(self.shape.unique_x) + encode_tpm2b(self.shape.unique_y)
        return _encode_head(self.head) + u16(self.shape.curve) + u16(ALG_NULL) + unique

    def with_nonce(self, nonce: bytes) -> PublicTemplate:
        """The template with an EK nonce in ``unique`` (EK Credential Profile §2.2.1.3)."""
        if isinstance(self.shape, RsaShape):
            unique = nonce.ljust(self.shape.bits // 8, b"\0")
            return replace(self, shape=replace(self.shape, unique=unique))
        size = self.shape.curve.coordinate_bytes
        x = nonce.ljust(size, b"\0")
        return replace(self, shape=replace(self.shape, unique_x=x, unique_y=bytes(size)))


def parse_template(data: bytes) -> PublicTemplate:
    """A TPMT_PUBLIC whose ``unique`` holds no key yet, as an EK template NV index has it."""
    reader = Reader(data)
    head = read_public_head(reader)
    shape = _read_rsa_shape(reader) if head.kind is KeyType.RSA else _read_ecc_shape(reader)
    reader.end()
    return PublicTemplate(head=head, shape=shape)


def _read_rsa_shape(reader: Reader) -> RsaShape:
    bits, exponent = read_rsa_size(reader)
    return RsaShape(bits=bits, exponent=exponent, unique=reader.sized(max_bytes=MAX_BUFFER_BYTES))


def _read_ecc_shape(reader: Reader) -> EccShape:
    curve = read_curve(reader)
    x, y = (reader.sized(max_bytes=curve.coordinate_bytes) for _ in range(2))
    return EccShape(curve=curve, unique_x=x, unique_y=y)


def _encode_head(head: PublicHead) -> bytes:
    start = u16(head.kind) + u16(head.name_algorithm) + u32(head.attributes)
    return start + encode_tpm2b(head.auth_policy) + _encode_symmetric(head) + _encode_scheme(head)


def _encode_symmetric(head: PublicHead) -> bytes:
    if head.symmetric is None:
        return u16(ALG_NULL)
    chosen = head.symmetric
    return u16(chosen.algorithm) + u16(chosen.key_bits) + u16(chosen.mode)


def _encode_scheme(head: PublicHead) -> bytes:
    return u16(head.scheme) + (b"" if head.scheme_hash is None else u16(head.scheme_hash))


_MADE_HERE: Final = (
    ObjectAttributes.FIXED_TPM
    | ObjectAttributes.FIXED_PARENT
    | ObjectAttributes.SENSITIVE_DATA_ORIGIN
)
_STORAGE: Final = _MADE_HERE | ObjectAttributes.RESTRICTED | ObjectAttributes.DECRYPT
_LOW_EK: Final = _STORAGE | ObjectAttributes.ADMIN_WITH_POLICY
_HIGH_EK: Final = _LOW_EK | ObjectAttributes.USER_WITH_AUTH

# EK Credential Profile Annex B.3 (PolicyA: PolicySecret of the endorsement hierarchy) and B.6
# (PolicyB: PolicyA or an owner's NV policy).
_POLICY_A_SHA256: Final = bytes.fromhex(
    "837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa"
)
_POLICY_B_SHA256: Final = bytes.fromhex(
    "ca3d0a99a2b93906f7a3342414efcfb3a385d44cd1fd459089d19b5071c0b7a0"
)
_POLICY_B_SHA384: Final = bytes.fromhex(
    "b26e7d28d11a50bc53d882bcf5fd3a1a074148bb35d3b4e4cb1c0ad9bde419ca"
    "cb47ba09699646150f9fc000f3f80e12"
)


def _aes(key_bits: int) -> SymmetricDefinition:
    return SymmetricDefinition(
        algorithm=SymmetricAlgorithm.AES, key_bits=key_bits, mode=SymmetricMode.CFB
    )


def _storage_key(
    shape: RsaShape | EccShape,
    *,
    attributes: ObjectAttributes,
    auth_policy: bytes,
    name_algorithm: HashAlgorithm = HashAlgorithm.SHA256,
    aes_bits: int = 128,
) -> PublicTemplate:
    head = PublicHead(
        kind=KeyType.RSA if isinstance(shape, RsaShape) else KeyType.ECC,
        name_algorithm=name_algorithm,
        attributes=attributes,
        auth_policy=auth_policy,
        symmetric=_aes(aes_bits),
        scheme=Scheme.NULL,
        scheme_hash=None,
    )
    return PublicTemplate(head=head, shape=shape)


_P256_ZEROS: Final = EccShape(curve=Curve.P256, unique_x=bytes(32), unique_y=bytes(32))

EK_RSA_2048: Final = _storage_key(
    RsaShape(bits=2048, unique=bytes(256)), attributes=_LOW_EK, auth_policy=_POLICY_A_SHA256
)
"""Template L-1."""

EK_P256: Final = _storage_key(_P256_ZEROS, attributes=_LOW_EK, auth_policy=_POLICY_A_SHA256)
"""Template L-2."""

EK_HIGH_RSA_2048: Final = _storage_key(
    RsaShape(bits=2048), attributes=_HIGH_EK, auth_policy=_POLICY_B_SHA256
)
"""Template H-1."""

EK_HIGH_P256: Final = _storage_key(
    EccShape(curve=Curve.P256), attributes=_HIGH_EK, auth_policy=_POLICY_B_SHA256
)
"""Template H-2."""

EK_HIGH_P384: Final = _storage_key(
    EccShape(curve=Curve.P384),
    attributes=_HIGH_EK,
    auth_policy=_POLICY_B_SHA384,
    name_algorithm=HashAlgorithm.SHA384,
    aes_bits=256,
)
"""Template H-3."""

EK_HIGH_RSA_3072: Final = _storage_key(
    RsaShape(bits=3072),
    attributes=_HIGH_EK,
    auth_policy=_POLICY_B_SHA384,
    name_algorithm=HashAlgorithm.SHA384,
    aes_bits=256,
)
"""Template H-6."""

SRK_P256: Final = _storage_key(
    _P256_ZEROS,
    attributes=_STORAGE | ObjectAttributes.USER_WITH_AUTH | ObjectAttributes.NO_DA,
    auth_policy=b"",
)
"""The ECC storage root key, the same that other software finds under the owner hierarchy."""


def signing_key_template(
    algorithm: str, *, restricted: bool, auth_policy: bytes = b""
) -> PublicTemplate:
    """A key for ``ES256`` or ``RS256`` (RFC 7518 §3.1), made in and never leaving its TPM.

    A restricted key signs only what the TPM made: an AK. With ``auth_policy`` the key signs only
    in a session of that policy. ADMIN_WITH_POLICY stays clear even then, since certifying a key
    is an ADMIN command (Part 3 §18.2) and a PolicyPCR session cannot authorize it (Part 1 §19.7.1).
    """
    attributes = _MADE_HERE | ObjectAttributes.SIGN | ObjectAttributes.NO_DA
    if restricted:
        attributes |= ObjectAttributes.RESTRICTED
    if not auth_policy:
        attributes |= ObjectAttributes.USER_WITH_AUTH
    kind, scheme, shape = _signing_parts(algorithm)
    head = PublicHead(
        kind=kind,
        name_algorithm=HashAlgorithm.SHA256,
        attributes=attributes,
        auth_policy=auth_policy,
        symmetric=None,
        scheme=scheme,
        scheme_hash=HashAlgorithm.SHA256,
    )
    return PublicTemplate(head=head, shape=shape)


def _signing_parts(algorithm: str) -> tuple[KeyType, Scheme, RsaShape | EccShape]:
    if algorithm == "ES256":
        return KeyType.ECC, Scheme.ECDSA, EccShape(curve=Curve.P256)
    if algorithm == "RS256":
        return KeyType.RSA, Scheme.RSASSA, RsaShape(bits=2048)
    raise Malformed(Reason.ALGORITHM_NOT_ALLOWED, f"no TPM key for {algorithm[:16]!r}")
