"""What a TPM says about itself, and its random numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from keystead.codec.hashes import HashAlgorithm
from keystead.errors import Reason, Unavailable
from keystead.hardware.tpm2 import system_commands
from keystead.hardware.tpm2.connection import Connection

# TPM_PT (Part 2 §6.13).
_PT_FIXED: Final = 0x100
_PT_MANUFACTURER: Final = 0x105
_PT_VENDOR_STRINGS: Final = range(0x106, 0x10A)
_PT_FIRMWARE: Final = (0x10B, 0x10C)
_PT_COUNT: Final = 13
# One GetRandom returns at least this many: every TPM has SHA-256.
_RANDOM_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class TpmProperties:
    """``manufacturer`` as registered with the TCG (``IFX``, ``STM``, ``IBM`` for swtpm).

    ``emulated`` is what the TPM admits, good for a banner; proof is the EK certificate's chain.
    """

    manufacturer: str
    vendor: str
    firmware_version: str
    emulated: bool
    pcr_banks: Mapping[HashAlgorithm, tuple[int, ...]]


def properties(connection: Connection) -> TpmProperties:
    """The TPM's identity and its PCR banks."""
    found = system_commands.get_properties(connection.channel, _PT_FIXED, count=_PT_COUNT)
    manufacturer = _text(found.get(_PT_MANUFACTURER, 0))
    vendor = "".join(_text(found.get(number, 0)) for number in _PT_VENDOR_STRINGS)
    words = [found.get(number, 0) for number in _PT_FIRMWARE]
    parts = [half for word in words for half in (word >> 16, word & 0xFFFF)]
    return TpmProperties(
        manufacturer=manufacturer.strip(),
        vendor=vendor.strip(),
        firmware_version=".".join(map(str, parts)),
        emulated=manufacturer.strip() == "IBM" and vendor.startswith("SW"),
        pcr_banks=system_commands.get_pcr_banks(connection.channel),
    )


def random(connection: Connection, count: int) -> bytes:
    """``count`` bytes of the TPM's random number generator."""
    found = b""
    while len(found) < count:
        some = system_commands.get_random(
            connection.channel, min(count - len(found), _RANDOM_BYTES)
        )
        if not some:
            raise Unavailable(Reason.HARDWARE_UNAVAILABLE, "the TPM gives no random bytes")
        found += some
    return found


def _text(word: int) -> str:
    octets = word.to_bytes(4, "big")
    return "".join(chr(octet) if 32 <= octet < 127 else "" for octet in octets)
