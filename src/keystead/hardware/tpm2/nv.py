"""Reading NV indices, and the counter that audit checkpoints carry."""

from __future__ import annotations

from typing import Final

from keystead.codec.hashes import HashAlgorithm
from keystead.errors import Reason, Refused
from keystead.hardware.tpm2 import nv_commands, system_commands
from keystead.hardware.tpm2.connection import Connection
from keystead.hardware.tpm2.key_commands import RH_OWNER
from keystead.hardware.tpm2.nv_commands import NvPublic
from keystead.hardware.tpm2.response_codes import RC_HANDLE, RC_NV_UNINITIALIZED, TpmError

# An EK certificate is 0.7 to 1.5 kB; chips have 6 to 16 kB of NV in all.
MAX_NV_BYTES: Final = 8192
# What one NV_Read returns where the TPM does not say more.
_CHUNK_BYTES: Final = 512
_PT_NV_BUFFER_MAX: Final = 0x12C
_COUNTER_BYTES: Final = 8

# TPMA_NV (Part 2 §13.4).
_OWNER_WRITE: Final = 1 << 1
_TYPE_COUNTER: Final = 1 << 4
_TYPE_MASK: Final = 0xF << 4
_OWNER_READ: Final = 1 << 17
_AUTH_READ: Final = 1 << 18
_NO_DA: Final = 1 << 25
_WRITTEN: Final = 1 << 29

_COUNTER_ATTRIBUTES: Final = _OWNER_WRITE | _TYPE_COUNTER | _OWNER_READ | _AUTH_READ | _NO_DA


def read_index(connection: Connection, index: int) -> bytes:
    """All bytes of an index that is there; empty when nothing was written yet."""
    return _read_all(connection, nv_commands.nv_read_public(connection.channel, index))


def find_index(connection: Connection, index: int) -> bytes | None:
    """As :func:`read_index`; None where there is no such index."""
    public = _defined(connection, index)
    return None if public is None else _read_all(connection, public)


def read_counter(connection: Connection, index: int) -> int:
    """The value of a counter index, 0 when it is not defined or was never incremented."""
    public = _defined(connection, index)
    if public is None:
        return 0
    _check_counter(public)
    try:
        return int.from_bytes(_read(connection, public, size=_COUNTER_BYTES, offset=0), "big")
    except TpmError as error:
        if error.code == RC_NV_UNINITIALIZED:
            return 0
        raise


def increment_counter(connection: Connection, index: int) -> int:
    """Add one and return the value; defines the index on first use.

    A TPM starts a counter above every counter that it ever had (Part 1 §37.2.4), so removing
    and defining it again does not turn it back.
    """
    public = _defined(connection, index) or _define_counter(connection, index)
    _check_counter(public)
    auth = connection.authorizations.owner
    nv_commands.nv_increment(connection.channel, index, authority=RH_OWNER, auth=auth)
    return int.from_bytes(_read(connection, public, size=_COUNTER_BYTES, offset=0), "big")


def _read_all(connection: Connection, public: NvPublic) -> bytes:
    if not public.attributes & _WRITTEN:
        return b""
    if public.size > MAX_NV_BYTES:
        detail = f"NV index {public.index:#010x} of {public.size} bytes"
        raise Refused(Reason.HARDWARE_REFUSED, detail)
    chunk = _chunk_bytes(connection)
    return b"".join(
        _read(connection, public, size=min(chunk, public.size - offset), offset=offset)
        for offset in range(0, public.size, chunk)
    )


def _chunk_bytes(connection: Connection) -> int:
    found = system_commands.get_properties(connection.channel, _PT_NV_BUFFER_MAX, count=1)
    return min(found.get(_PT_NV_BUFFER_MAX) or _CHUNK_BYTES, _CHUNK_BYTES)


def _read(connection: Connection, public: NvPublic, *, size: int, offset: int) -> bytes:
    by_index = bool(public.attributes & _AUTH_READ)
    return nv_commands.nv_read(
        connection.channel,
        public.index,
        authority=public.index if by_index else RH_OWNER,
        auth=b"" if by_index else connection.authorizations.owner,
        size=size,
        offset=offset,
    )


def _defined(connection: Connection, index: int) -> NvPublic | None:
    try:
        return nv_commands.nv_read_public(connection.channel, index)
    except TpmError as error:
        if error.base == RC_HANDLE:
            return None
        raise


def _define_counter(connection: Connection, index: int) -> NvPublic:
    public = NvPublic(
        index=index,
        name_algorithm=HashAlgorithm.SHA256,
        attributes=_COUNTER_ATTRIBUTES,
        auth_policy=b"",
        size=_COUNTER_BYTES,
    )
    auth = connection.authorizations.owner
    nv_commands.nv_define_space(connection.channel, public, authority=RH_OWNER, auth=auth)
    return public


def _check_counter(public: NvPublic) -> None:
    if public.attributes & _TYPE_MASK != _TYPE_COUNTER or public.size != _COUNTER_BYTES:
        raise Refused(
            Reason.HARDWARE_REFUSED, f"NV index {public.index:#010x} is in use and no counter"
        )
