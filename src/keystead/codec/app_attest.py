"""What Apple's App Attest makes: one attestation object a key, and assertions after it.

"Validating apps that connect to your server" (Apple, DeviceCheck) has the shapes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from keystead.codec import cbor, der
from keystead.codec.auth_data import AuthenticatorData, parse_auth_data
from keystead.errors import Malformed, Reason

MAX_ATTESTATION_BYTES: Final = 16_384
"""Two certificates and a receipt of some 4 KB."""

MAX_ASSERTION_BYTES: Final = 512
NONCE_EXTENSION: Final = "1.2.840.113635.100.8.2"

_NONCE_BYTES: Final = 32
# [1] EXPLICIT.
_NONCE_TAG: Final = 0xA1
_MAX_CERTIFICATE_BYTES: Final = 2_048
_MAX_X5C: Final = 4
_MAX_AUTH_DATA_BYTES: Final = 1_024
_MAX_FORMAT_CHARS: Final = 64
# SEQUENCE of two INTEGERs of P-256.
_MAX_SIGNATURE_BYTES: Final = 72

_OBJECT_MEMBERS: Final[frozenset[int | str]] = frozenset({"fmt", "attStmt", "authData"})
# Exactly these two, since both have to be there: x5c and receipt.
_STATEMENT_MEMBERS: Final = 2
_ASSERTION_MEMBERS: Final[frozenset[int | str]] = frozenset({"signature", "authenticatorData"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationObject:
    """Not verified. ``x5c`` is DER, the leaf first; ``raw`` is what came."""

    format: str
    x5c: tuple[bytes, ...]
    receipt: bytes = field(repr=False)
    auth_data: AuthenticatorData
    raw: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AssertionObject:
    """Not verified. ``signature`` is DER."""

    signature: bytes
    auth_data: AuthenticatorData


def parse_attestation(data: bytes) -> AttestationObject:
    """The attestation object in ``data``; ``Malformed``."""
    outer = cbor.parse_map(data, max_bytes=MAX_ATTESTATION_BYTES, max_depth=3)
    cbor.refuse_other_members(outer, _OBJECT_MEMBERS)
    statement = cbor.get_map(outer, "attStmt", max_items=_STATEMENT_MEMBERS)
    return AttestationObject(
        format=cbor.get_text(outer, "fmt", max_chars=_MAX_FORMAT_CHARS),
        x5c=cbor.get_bytes_list(
            statement, "x5c", max_items=_MAX_X5C, max_bytes=_MAX_CERTIFICATE_BYTES
        ),
        receipt=cbor.get_bytes(statement, "receipt", max_bytes=MAX_ATTESTATION_BYTES),
        auth_data=parse_auth_data(
            cbor.get_bytes(outer, "authData", max_bytes=_MAX_AUTH_DATA_BYTES), attested=True
        ),
        raw=data,
    )


def parse_assertion(data: bytes) -> AssertionObject:
    """The assertion in ``data``; ``Malformed``."""
    members = cbor.parse_map(data, max_bytes=MAX_ASSERTION_BYTES, max_depth=1)
    cbor.refuse_other_members(members, _ASSERTION_MEMBERS)
    return AssertionObject(
        signature=cbor.get_bytes(members, "signature", max_bytes=_MAX_SIGNATURE_BYTES, min_bytes=8),
        auth_data=parse_auth_data(
            cbor.get_bytes(members, "authenticatorData", max_bytes=_MAX_AUTH_DATA_BYTES),
            attested=False,
        ),
    )


def parse_nonce(extension: bytes) -> bytes:
    """The nonce in the content of Apple's extension: SEQUENCE { [1] { OCTET STRING } }."""
    outer = der.parse_element(extension, tag=der.SEQUENCE)
    tagged = der.parse_element(outer.content, tag=_NONCE_TAG)
    nonce = der.parse_element(tagged.content, tag=der.OCTET_STRING).content
    if len(nonce) != _NONCE_BYTES:
        raise Malformed(Reason.MALFORMED, f"a nonce of {len(nonce)} bytes")
    return nonce
