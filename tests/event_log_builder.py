"""Event logs of boots that never were: (PCR, type, what was measured)."""

import hashlib
from collections.abc import Sequence

from keystead.codec import eventlog
from keystead.codec.eventlog import EV_NO_ACTION, EventLog
from keystead.codec.hashes import HashAlgorithm
from tests.evidence_builder import SHA256

SEPARATOR = bytes(4)
EFI_GLOBAL = bytes.fromhex("61dfe48bca93d211aa0d00e098032b8c")
DRIVER_CONFIG = 0x80000001
EV_SEPARATOR = 4
EV_ACTION = 5
EV_EFI_BOOT_SERVICES_APPLICATION = 0x80000003

Entry = tuple[int, int, bytes]


def variable(name: str, value: bytes) -> bytes:
    sizes = len(name).to_bytes(8, "little") + len(value).to_bytes(8, "little")
    return EFI_GLOBAL + sizes + name.encode("utf-16-le") + value


ON, OFF = variable("SecureBoot", b"\1"), variable("SecureBoot", b"\0")
PK = variable("PK", b"a list of keys")
LOADER = b"boot loader"
GOOD: Sequence[Entry] = (
    (0, 8, b"firmware"),
    (7, DRIVER_CONFIG, ON),
    (7, DRIVER_CONFIG, PK),
    (7, EV_SEPARATOR, SEPARATOR),
    (4, EV_EFI_BOOT_SERVICES_APPLICATION, LOADER),
)


def digest(bank: HashAlgorithm, content: bytes) -> bytes:
    return hashlib.new(bank.digest_name, content).digest()


def log(entries: Sequence[Entry], *, banks: Sequence[HashAlgorithm] = (SHA256,)) -> EventLog:
    """The parsed log of ``encode``."""
    return eventlog.parse(encode(entries, banks=banks))


def encode(entries: Sequence[Entry], *, banks: Sequence[HashAlgorithm] = (SHA256,)) -> bytes:
    """A crypto-agile log that measures each entry's content."""

    def u16(number: int) -> bytes:
        return number.to_bytes(2, "little")

    def u32(number: int) -> bytes:
        return number.to_bytes(4, "little")

    spec = b"Spec ID Event03\0" + bytes(8) + u32(len(banks))
    spec += b"".join(u16(bank) + u16(bank.digest_size) for bank in banks) + b"\0"
    data = u32(0) + u32(EV_NO_ACTION) + bytes(20) + u32(len(spec)) + spec
    for pcr, kind, content in entries:
        digests = b"".join(u16(bank) + digest(bank, content) for bank in banks)
        data += u32(pcr) + u32(kind) + u32(len(banks)) + digests + u32(len(content)) + content
    return data
