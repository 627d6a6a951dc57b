"""Start-up, capabilities and randomness (TPM 2.0 Part 3 §9, §16, §30).

Each function sends one command over a :class:`~keystead.hardware.tpm2.frames.Channel` and returns
its parsed answer; TpmError and ConnectionLost are raised as
:func:`~keystead.hardware.tpm2.frames.execute` says.
"""

from __future__ import annotations

from typing import Final

from keystead.codec.hashes import HashAlgorithm
from keystead.codec.reader import Reader
from keystead.codec.tpm2.constants import (
    MAX_PCR_BANKS,
    MAX_PCR_SELECT_BYTES,
    PCR_COUNT,
)
from keystead.codec.tpm2.primitives import u16, u32
from keystead.errors import Malformed, Reason
from keystead.hardware.tpm2.frames import Channel, Command, frame, no_parameters

CAP_HANDLES: Final = 1
CAP_PCRS: Final = 5
CAP_TPM_PROPERTIES: Final = 6

_SU_CLEAR: Final = 0x0000
# One answer holds at most about this many; a TPM that says more is not believed.
_MAX_LISTED: Final = 254


def startup(channel: Channel) -> None:
    request = frame(Command.STARTUP, parameters=u16(_SU_CLEAR))
    channel.send(request, parse=no_parameters)


def shutdown(channel: Channel) -> None:
    """TPM2_Shutdown(CLEAR): the TPM's next start is an orderly one."""
    request = frame(Command.SHUTDOWN, parameters=u16(_SU_CLEAR))
    channel.send(request, parse=no_parameters)


def get_handles(channel: Channel, first: int, *, count: int = _MAX_LISTED) -> tuple[int, ...]:
    """Handles from ``first`` on that exist, of the same kind (the top octet)."""
    request = _get_capability(CAP_HANDLES, first, count)
    found = channel.send(request, parse=_read_handles)
    return tuple(handle for handle in found if handle >> 24 == first >> 24)


def get_properties(channel: Channel, first: int, *, count: int) -> dict[int, int]:
    """TPM properties (TPM_PT) from ``first`` on."""
    request = _get_capability(CAP_TPM_PROPERTIES, first, count)
    return channel.send(request, parse=_read_properties)


def get_pcr_banks(channel: Channel) -> dict[HashAlgorithm, tuple[int, ...]]:
    """The allocated PCRs of every bank whose hash is known here."""
    request = _get_capability(CAP_PCRS, 0, 1)
    return channel.send(request, parse=_read_banks)


def get_random(channel: Channel, count: int) -> bytes:
    """Up to ``count`` bytes: a TPM gives at most one digest's worth at a time."""
    request = frame(Command.GET_RANDOM, parameters=u16(count))
    return channel.send(request, parse=lambda reader: reader.sized(max_bytes=count))


def _get_capability(capability: int, first: int, count: int) -> bytes:
    parameters = u32(capability) + u32(first) + u32(count)
    return frame(Command.GET_CAPABILITY, parameters=parameters)


def _read_capability(reader: Reader, capability: int, *, most: int) -> int:
    reader.u8()  # moreData: one page is all that is asked for
    if reader.u32() != capability:
        raise Malformed(Reason.MALFORMED, "another capability than was asked for")
    count = reader.u32()
    if count > most:
        raise Malformed(Reason.TOO_LARGE, f"{count} entries of a capability")
    return count


def _read_handles(reader: Reader) -> tuple[int, ...]:
    count = _read_capability(reader, CAP_HANDLES, most=_MAX_LISTED)
    return tuple(reader.u32() for _ in range(count))


def _read_properties(reader: Reader) -> dict[int, int]:
    count = _read_capability(reader, CAP_TPM_PROPERTIES, most=_MAX_LISTED)
    return {reader.u32(): reader.u32() for _ in range(count)}


def _read_banks(reader: Reader) -> dict[HashAlgorithm, tuple[int, ...]]:
    count = _read_capability(reader, CAP_PCRS, most=MAX_PCR_BANKS)
    banks = {}
    for _ in range(count):
        number, size = reader.u16(), reader.u8()
        if size > MAX_PCR_SELECT_BYTES:
            raise Malformed(Reason.TOO_LARGE, f"a PCR selection of {size} octets")
        mask = int.from_bytes(reader.take(size), "little")
        # A chip may have banks (SM3, SHA-3) that nothing here uses.
        if number in HashAlgorithm.__members__.values() and mask:
            chosen = tuple(index for index in range(PCR_COUNT) if mask >> index & 1)
            banks[HashAlgorithm(number)] = chosen
    return banks
