"""The table of certificates that an SEV-SNP host hands to its guest.

Source: AMD "SEV-ES Guest-Hypervisor Communication Block Standardization" (56421), §4.1.8.1. Entries
of a GUID, an offset from the table's start and a length, the last one all zeros; then the
certificates. Numbers are little-endian; GUIDs have their bytes in the order in which they are
written, as AMD's own tools make them. The host is not trusted: what it hands over is looked at by
whoever verifies.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final
from uuid import UUID

from keystead.codec import pem
from keystead.codec.reader import Reader
from keystead.errors import Malformed, Reason

MAX_TABLE_BYTES: Final = 32_768
"""What the kernel passes on at most."""

MAX_ENTRIES: Final = 16
"""Five are defined."""

_GUID_BYTES: Final = 16
_ENTRY_BYTES: Final = _GUID_BYTES + 4 + 4


class TableEntry(Enum):
    """Whose certificate an entry is. That of a VLEK's CA (ASVK) stands in the ASK's place."""

    VCEK = UUID("63da758d-e664-4564-adc5-f4b93be8accd")
    VLEK = UUID("a8074bc2-a25a-483e-aae6-39c045a0b8a1")
    ASK = UUID("4ab7b379-bbac-4fe4-a02f-05aef327c782")
    ARK = UUID("c0b406a4-a803-4952-9743-3fb6014cd0ae")


_KNOWN: Final[Mapping[bytes, TableEntry]] = {each.value.bytes: each for each in TableEntry}


def parse_table(data: bytes) -> dict[TableEntry, bytes]:
    """The certificates (DER) in ``data``; none where it is empty or all zeros. ``Malformed``.

    Other entries, such as revocation lists, are passed over.
    """
    if len(data) > MAX_TABLE_BYTES:
        raise Malformed(Reason.TOO_LARGE, f"a certificate table of {len(data)} bytes")
    if not data:
        return {}
    places = _read_places(data)
    head = (len(places) + 1) * _ENTRY_BYTES
    found: dict[TableEntry, bytes] = {}
    for guid, offset, length in places:
        if offset < head or offset + length > len(data):
            raise Malformed(Reason.MALFORMED, f"an entry at {offset} of {length} bytes")
        entry = _KNOWN.get(guid)
        if entry is None:
            continue
        if entry in found:
            raise Malformed(Reason.DUPLICATE_MEMBER, f"two certificates of the {entry.name}")
        found[entry] = _certificate(data[offset : offset + length], entry)
    return found


def _read_places(data: bytes) -> list[tuple[bytes, int, int]]:
    reader = Reader(data, "little")
    places: list[tuple[bytes, int, int]] = []
    while True:
        guid, offset, length = reader.take(_GUID_BYTES), reader.u32(), reader.u32()
        if not any(guid):
            if offset or length:
                raise Malformed(Reason.MALFORMED, "a last entry that is not all zeros")
            return places
        if len(places) == MAX_ENTRIES:
            raise Malformed(Reason.TOO_LARGE, f"more than {MAX_ENTRIES} entries")
        places.append((guid, offset, length))


def _certificate(data: bytes, entry: TableEntry) -> bytes:
    """Tools load PEM as well as DER into a host's table."""
    found = pem.certificates(data)
    if len(found) != 1:
        raise Malformed(Reason.MALFORMED, f"{len(found)} certificates for the {entry.name}")
    return found[0]
