"""Keys: making, loading and using them (TPM 2.0 Part 3 §12, §18, §20, §24).

Each function sends one command over a :class:`~keystead.hardware.tpm2.frames.Channel` and returns
its parsed answer; TpmError and ConnectionLost are raised as
:func:`~keystead.hardware.tpm2.frames.execute` says.
"""

from __future__ import annotations

from typing import Final

from keystead.codec.reader import Reader
from keystead.codec.tpm2 import PcrSelection, encode_tpm2b
from keystead.codec.tpm2.constants import (
    ALG_NULL,
    MAX_ATTEST_BYTES,
    MAX_DIGEST_BYTES,
    MAX_NAME_BYTES,
    MAX_PUBLIC_BYTES,
)
from keystead.codec.tpm2.primitives import u16, u32
from keystead.codec.tpm2.signature import TpmSignature, read_signature
from keystead.hardware.tpm2.frames import Channel, Command, frame, no_parameters, password
from keystead.hardware.tpm2.transport import MAX_RESPONSE_BYTES

RH_OWNER: Final = 0x40000001
RH_NULL: Final = 0x40000007
RH_ENDORSEMENT: Final = 0x4000000B

_ST_HASHCHECK: Final = 0x8024
_NULL_TICKET: Final = u16(_ST_HASHCHECK) + u32(RH_NULL) + u16(0)
_NULL_SCHEME: Final = u16(ALG_NULL)
_MAX_TICKET_BYTES: Final = 64
_SHA256_BYTES: Final = 32

NO_SENSITIVE: Final = encode_tpm2b(u16(0) + u16(0))
"""TPM2B_SENSITIVE_CREATE with an empty authValue and no data."""


def create_primary(
    channel: Channel, hierarchy: int, template: bytes, *, auth: bytes
) -> tuple[int, bytes]:
    """Handle and TPM2B_PUBLIC of the primary key that ``template`` (TPMT_PUBLIC) yields."""
    parameters = NO_SENSITIVE + encode_tpm2b(template) + u16(0) + u32(0)
    request = frame(
        Command.CREATE_PRIMARY,
        handles=[hierarchy],
        auths=[password(auth)],
        parameters=parameters,
    )
    return channel.send(request, parse=_read_primary, returns_handle=True, creates=True)


def create(channel: Channel, parent: int, template: bytes) -> tuple[bytes, bytes]:
    """TPM2B_PUBLIC and TPM2B_PRIVATE of a new key under ``parent``."""
    parameters = NO_SENSITIVE + encode_tpm2b(template) + u16(0) + u32(0)
    request = frame(Command.CREATE, handles=[parent], auths=[password()], parameters=parameters)
    return channel.send(request, parse=_read_created, creates=True)


def load(channel: Channel, parent: int, *, public: bytes, private: bytes) -> int:
    """The handle of a key given as TPM2B_PUBLIC and TPM2B_PRIVATE."""
    request = frame(Command.LOAD, handles=[parent], auths=[password()], parameters=private + public)
    return channel.send(request, parse=_read_loaded, returns_handle=True)


def flush_context(channel: Channel, handle: int) -> None:
    request = frame(Command.FLUSH_CONTEXT, parameters=u32(handle))
    channel.send(request, parse=no_parameters)


def read_public(channel: Channel, handle: int) -> bytes:
    """The TPM2B_PUBLIC of a loaded or persistent object."""
    request = frame(Command.READ_PUBLIC, handles=[handle])
    return channel.send(request, parse=_read_read_public)


def sign_request_parts(handle: int, auth: bytes) -> tuple[bytes, bytes]:
    """The frame of TPM2_Sign with the key's own scheme, before and after a SHA-256 digest."""
    blank = bytes(_SHA256_BYTES)
    after = _NULL_SCHEME + _NULL_TICKET
    parameters = encode_tpm2b(blank) + after
    request = frame(Command.SIGN, handles=[handle], auths=[auth], parameters=parameters)
    return request[: -len(blank + after)], after


def send_sign(channel: Channel, request: bytes) -> TpmSignature:
    """Send what :func:`sign_request_parts` makes, with the digest in between."""
    return channel.send(request, parse=read_signature)


def quote(
    channel: Channel, key: int, selection: PcrSelection, *, qualifying_data: bytes
) -> tuple[bytes, bytes]:
    """TPMS_ATTEST and TPMT_SIGNATURE."""
    parameters = encode_tpm2b(qualifying_data) + _NULL_SCHEME + selection.encode()
    request = frame(Command.QUOTE, handles=[key], auths=[password()], parameters=parameters)
    return channel.send(request, parse=_read_attested)


def certify(
    channel: Channel, key: int, *, signer: int, qualifying_data: bytes
) -> tuple[bytes, bytes]:
    """TPMS_ATTEST and TPMT_SIGNATURE over ``key`` by ``signer``."""
    request = frame(
        Command.CERTIFY,
        handles=[key, signer],
        auths=[password(), password()],
        parameters=encode_tpm2b(qualifying_data) + _NULL_SCHEME,
    )
    return channel.send(request, parse=_read_attested)


def activate_credential(
    channel: Channel,
    *,
    attestation_key: int,
    endorsement_key: int,
    endorsement_auth: bytes,
    credential_blob: bytes,
    encrypted_secret: bytes,
) -> bytes:
    """The secret of a credential; the blobs are TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET."""
    request = frame(
        Command.ACTIVATE_CREDENTIAL,
        handles=[attestation_key, endorsement_key],
        auths=[password(), endorsement_auth],
        parameters=credential_blob + encrypted_secret,
    )
    return channel.send(request, parse=lambda reader: reader.sized(max_bytes=MAX_DIGEST_BYTES))


def _read_sized_raw(reader: Reader, *, max_bytes: int) -> bytes:
    return encode_tpm2b(reader.sized(max_bytes=max_bytes))


def _read_creation(reader: Reader) -> None:
    """creationData, creationHash, creationTicket: of no use here."""
    reader.sized(max_bytes=MAX_RESPONSE_BYTES)
    reader.sized(max_bytes=MAX_DIGEST_BYTES)
    _read_ticket(reader)


def _read_ticket(reader: Reader) -> None:
    reader.u16()
    reader.u32()
    reader.sized(max_bytes=_MAX_TICKET_BYTES)


def _read_primary(reader: Reader) -> tuple[int, bytes]:
    handle = reader.u32()
    public = _read_sized_raw(reader, max_bytes=MAX_PUBLIC_BYTES)
    _read_creation(reader)
    reader.sized(max_bytes=MAX_NAME_BYTES)
    return handle, public


def _read_created(reader: Reader) -> tuple[bytes, bytes]:
    private = _read_sized_raw(reader, max_bytes=MAX_RESPONSE_BYTES)
    public = _read_sized_raw(reader, max_bytes=MAX_PUBLIC_BYTES)
    _read_creation(reader)
    return public, private


def _read_loaded(reader: Reader) -> int:
    handle = reader.u32()
    reader.sized(max_bytes=MAX_NAME_BYTES)
    return handle


def _read_read_public(reader: Reader) -> bytes:
    public = _read_sized_raw(reader, max_bytes=MAX_PUBLIC_BYTES)
    reader.sized(max_bytes=MAX_NAME_BYTES)
    reader.sized(max_bytes=MAX_NAME_BYTES)
    return public


def _read_attested(reader: Reader) -> tuple[bytes, bytes]:
    return reader.sized(max_bytes=MAX_ATTEST_BYTES), reader.rest()
