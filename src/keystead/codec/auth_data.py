"""Authenticator data (WebAuthn Level 3 §6.1), which App Attest borrowed.

    rpIdHash[32] flags[1] signCount[4]  and, where a credential is attested:
    aaguid[16] length[2] credentialId[length] credentialPublicKey (COSE_Key)

Whether a credential follows is for the format to say, not for the flags: Apple's assertions set the
flag and have none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from keystead.codec import cbor
from keystead.codec.cbor import CBOR
from keystead.codec.reader import Reader
from keystead.errors import Malformed, Reason

HASH_BYTES: Final = 32
AAGUID_BYTES: Final = 16
ATTESTED: Final = 0x40
"""The flag AT: attested credential data included."""

# WebAuthn's own bound (§4, "Credential ID").
_MAX_CREDENTIAL_ID_BYTES: Final = 1_023
_MAX_COSE_KEY_BYTES: Final = 256

# COSE_Key labels and values of an ES256 key (RFC 9053 §7.1.1, §2.1).
_EC2_ES256_P256: Final[dict[int | str, CBOR]] = {1: 2, 3: -7, -1: 1}
_X, _Y = -2, -3
_COORDINATE_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestedCredential:
    """``point`` is the P-256 key as X9.62 writes it: 04 ‖ x ‖ y."""

    aaguid: bytes
    credential_id: bytes
    point: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticatorData:
    """``raw`` is what hashes and signatures are over."""

    rp_id_hash: bytes
    flags: int
    counter: int
    credential: AttestedCredential | None
    raw: bytes


def parse_auth_data(data: bytes, *, attested: bool) -> AuthenticatorData:
    """The structure in ``data``, with a credential exactly if ``attested``; ``Malformed``."""
    reader = Reader(data)
    rp_id_hash, flags, counter = reader.take(HASH_BYTES), reader.u8(), reader.u32()
    credential = None
    if attested:
        if not flags & ATTESTED:
            raise Malformed(Reason.MALFORMED, "a credential without its flag")
        credential = _credential(reader)
    reader.end()
    return AuthenticatorData(
        rp_id_hash=rp_id_hash, flags=flags, counter=counter, credential=credential, raw=data
    )


def _credential(reader: Reader) -> AttestedCredential:
    aaguid = reader.take(AAGUID_BYTES)
    credential_id = reader.sized(max_bytes=_MAX_CREDENTIAL_ID_BYTES)
    return AttestedCredential(
        aaguid=aaguid, credential_id=credential_id, point=_point(reader.rest())
    )


def _point(data: bytes) -> bytes:
    """The key of a COSE_Key for ES256; every other key is ``Malformed``."""
    members = dict(cbor.parse_map(data, max_bytes=_MAX_COSE_KEY_BYTES, max_depth=1))
    x, y = (
        cbor.get_bytes(members, label, max_bytes=_COORDINATE_BYTES, min_bytes=_COORDINATE_BYTES)
        for label in (_X, _Y)
    )
    if members != {**_EC2_ES256_P256, _X: x, _Y: y}:
        raise Malformed(Reason.MALFORMED, "a COSE key that is not ES256 on P-256")
    return b"\x04" + x + y
