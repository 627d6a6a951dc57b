"""DER (ITU-T X.690 §10), one element at a time: just enough to look inside a certificate.

It reads low tag numbers and definite, minimal lengths and nothing else. It does not check the order
of a SET: TPM vendors have shipped names with that fault for years, and nothing here depends on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from keystead.codec.reader import Reader
from keystead.errors import Malformed, Reason

BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
OBJECT_IDENTIFIER: Final = 0x06
SEQUENCE: Final = 0x30

# Four octets of length: far above any certificate, whose own bound is checked first.
_MAX_LENGTH_OCTETS: Final = 4
# X.660 arcs of the OIDs that exist fit 64 bits.
_MAX_ARC_BITS: Final = 64
# Certificates repeat a few dozen OIDs, of a dozen octets; strangers' only push others out.
_KEPT_OIDS: Final = 512
_MAX_KEPT_OCTETS: Final = 32


class Element(NamedTuple):  # A certificate has a hundred: a dataclass takes three times as long.
    """One element; ``raw`` includes its tag and length."""

    tag: int
    content: bytes
    raw: bytes


def read_element(reader: Reader, *, tag: int | None = None) -> Element:
    """The next element, which must have ``tag`` where one is given; ``Malformed`` otherwise."""
    start = reader.offset
    found = reader.u8()
    if found & 0x1F == 0x1F:
        raise Malformed(Reason.MALFORMED, "DER with a high tag number")
    if tag is not None and found != tag:
        raise Malformed(Reason.MALFORMED, f"DER tag {found:#04x} where {tag:#04x} belongs")
    content = reader.take(_read_length(reader))
    return Element(tag=found, content=content, raw=reader.since(start))


def parse_element(data: bytes, *, tag: int) -> Element:
    """``data`` as one whole element, nothing after it."""
    reader = Reader(data)
    element = read_element(reader, tag=tag)
    reader.end()
    return element


def elements(content: bytes) -> Iterator[Element]:
    """The elements of a constructed element's content."""
    reader = Reader(content)
    end = len(content)
    while reader.offset < end:
        yield read_element(reader)


def oid(content: bytes) -> str:
    """The dotted spelling of an OBJECT IDENTIFIER's content."""
    return _oid(content) if len(content) > _MAX_KEPT_OCTETS else _kept_oid(content)


def _oid(content: bytes) -> str:
    arcs: list[int] = []
    arc, fresh = 0, True
    for octet in content:
        if fresh and octet == 0x80:
            raise Malformed(Reason.MALFORMED, "an OID arc with leading zeros")
        arc = arc << 7 | octet & 0x7F
        if arc.bit_length() > _MAX_ARC_BITS:
            raise Malformed(Reason.TOO_LARGE, "an OID arc of more than 64 bits")
        fresh = not octet & 0x80
        if fresh:
            arcs.append(arc)
            arc = 0
    if not fresh or not arcs:
        raise Malformed(Reason.MALFORMED, "an OID that ends within an arc")
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


_kept_oid = lru_cache(maxsize=_KEPT_OIDS)(_oid)


def boolean(content: bytes) -> bool:
    """A BOOLEAN's value; DER knows 0x00 and 0xFF only."""
    if content not in (b"\x00", b"\xff"):
        raise Malformed(Reason.MALFORMED, "a BOOLEAN that is not DER")
    return content == b"\xff"


def named_bits(content: bytes) -> frozenset[int]:
    """The numbers of the bits that are set in a BIT STRING's content."""
    reader = Reader(content)
    unused = reader.u8()
    octets = reader.rest()
    if unused > 7 or (unused and not octets):
        raise Malformed(Reason.MALFORMED, "a BIT STRING with impossible padding")
    if unused and octets[-1] & ((1 << unused) - 1):
        raise Malformed(Reason.MALFORMED, "a BIT STRING whose padding is not zero")
    return frozenset(
        8 * place + bit
        for place, octet in enumerate(octets)
        for bit in range(8)
        if octet & 0x80 >> bit
    )


def encode_element(tag: int, content: bytes) -> bytes:
    """One element with this content, its length minimal."""
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def _read_length(reader: Reader) -> int:
    first = reader.u8()
    if first < 0x80:
        return first
    count = first & 0x7F
    if not 1 <= count <= _MAX_LENGTH_OCTETS:
        raise Malformed(Reason.MALFORMED, "a DER length that is indefinite or too long")
    octets = reader.take(count)
    length = int.from_bytes(octets, "big")
    if octets[0] == 0 or length < 0x80:
        raise Malformed(Reason.MALFORMED, "a DER length that is not minimal")
    return length
