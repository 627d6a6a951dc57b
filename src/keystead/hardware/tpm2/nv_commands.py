"""Non-volatile storage (TPM 2.0 Part 3 §31).

Each function sends one command over a :class:`~keystead.hardware.tpm2.frames.Channel` and returns
its parsed answer; TpmError and ConnectionLost are raised as
:func:`~keystead.hardware.tpm2.frames.execute` says.
"""

from __future__ import annotations

from dataclasses import dataclass

from keystead.codec.reader import Reader
from keystead.codec.tpm2 import encode_tpm2b
from keystead.codec.tpm2.constants import (
    MAX_DIGEST_BYTES,
    MAX_NAME_BYTES,
    MAX_PUBLIC_BYTES,
)
from keystead.codec.tpm2.primitives import u16, u32
from keystead.errors import Malformed, Reason
from keystead.hardware.tpm2.frames import Channel, Command, frame, no_parameters, password


@dataclass(frozen=True, slots=True, kw_only=True)
class NvPublic:
    """TPMS_NV_PUBLIC: attributes as TPMA_NV bits, the size in bytes."""

    index: int
    name_algorithm: int
    attributes: int
    auth_policy: bytes
    size: int

    def encode(self) -> bytes:
        """The TPM2B_NV_PUBLIC."""
        head = u32(self.index) + u16(self.name_algorithm) + u32(self.attributes)
        return encode_tpm2b(head + encode_tpm2b(self.auth_policy) + u16(self.size))


def nv_read_public(channel: Channel, index: int) -> NvPublic:
    request = frame(Command.NV_READ_PUBLIC, handles=[index])
    return channel.send(request, parse=_read_nv_public)


def nv_read(
    channel: Channel, index: int, *, authority: int, auth: bytes, size: int, offset: int
) -> bytes:
    """Exactly ``size`` bytes of an index, as few as one TPM buffer holds."""
    request = frame(
        Command.NV_READ,
        handles=[authority, index],
        auths=[password(auth)],
        parameters=u16(size) + u16(offset),
    )
    return channel.send(request, parse=lambda reader: _read_exactly(reader, size))


def nv_write(
    channel: Channel, index: int, data: bytes, *, authority: int, auth: bytes, offset: int
) -> None:
    request = frame(
        Command.NV_WRITE,
        handles=[authority, index],
        auths=[password(auth)],
        parameters=encode_tpm2b(data) + u16(offset),
    )
    channel.send(request, parse=no_parameters)


def nv_define_space(channel: Channel, public: NvPublic, *, authority: int, auth: bytes) -> None:
    """Define an index whose own authValue is empty."""
    request = frame(
        Command.NV_DEFINE_SPACE,
        handles=[authority],
        auths=[password(auth)],
        parameters=u16(0) + public.encode(),
    )
    channel.send(request, parse=no_parameters)


def nv_increment(channel: Channel, index: int, *, authority: int, auth: bytes) -> None:
    request = frame(Command.NV_INCREMENT, handles=[authority, index], auths=[password(auth)])
    channel.send(request, parse=no_parameters)


def _read_exactly(reader: Reader, size: int) -> bytes:
    data = reader.sized(max_bytes=size)
    if len(data) != size:
        raise Malformed(Reason.MALFORMED, f"{len(data)} bytes of an NV index instead of {size}")
    return data


def _read_nv_public(reader: Reader) -> NvPublic:
    inner = Reader(reader.sized(max_bytes=MAX_PUBLIC_BYTES))
    reader.sized(max_bytes=MAX_NAME_BYTES)
    public = NvPublic(
        index=inner.u32(),
        name_algorithm=inner.u16(),
        attributes=inner.u32(),
        auth_policy=inner.sized(max_bytes=MAX_DIGEST_BYTES),
        size=inner.u16(),
    )
    inner.end()
    return public
