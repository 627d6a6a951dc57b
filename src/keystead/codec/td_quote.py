"""The outside of a TDX quote: which REPORTDATA it is about. Nothing here verifies it.

Intel "TDX DCAP Quoting Library API", appendix A.3: a header of 48 bytes, then the TD's report body:
at once in version 4, after its type and size in version 5. Numbers are little-endian.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from keystead.codec.reader import Reader
from keystead.errors import Malformed, Reason

MAX_QUOTE_BYTES: Final = 16_384
"""Quotes with their PCK chain have some 5 KiB."""

_ECDSA_P256: Final = 2
_TDX: Final = 0x81
_HEAD_BYTES: Final = 48
_REPORT_DATA_AT: Final = 520
_REPORT_DATA_BYTES: Final = 64
# The type of a version 5 body, and its size: TDX 1.0, and 1.5 with two more fields at its end.
_BODIES: Final[Mapping[int, int]] = {2: 584, 3: 648}
_BODY_BYTES: Final = 584


def quoted_report_data(quote: bytes) -> bytes:
    """REPORTDATA of a TDX quote of version 4 or 5; ``Malformed``."""
    if len(quote) > MAX_QUOTE_BYTES:
        raise Malformed(Reason.TOO_LARGE, f"a quote of {len(quote)} bytes")
    reader = Reader(quote, "little")
    version, key_type, tee_type = reader.u16(), reader.u16(), reader.u32()
    if version not in (4, 5) or (key_type, tee_type) != (_ECDSA_P256, _TDX):
        raise Malformed(Reason.MALFORMED, f"a quote of version {version}, TEE {tee_type:#x}")
    reader.take(_HEAD_BYTES - reader.offset)
    body = Reader(reader.take(_read_body_size(reader) if version == 5 else _BODY_BYTES))
    reader.take(reader.u32())  # The signature and its certificates.
    if any(reader.rest()):  # Zeros follow where the quote came in a field of a fixed size.
        raise Malformed(Reason.MALFORMED, "bytes after the quote")
    body.take(_REPORT_DATA_AT)
    return body.take(_REPORT_DATA_BYTES)


def _read_body_size(reader: Reader) -> int:
    kind, size = reader.u16(), reader.u32()
    if _BODIES.get(kind) != size:
        raise Malformed(Reason.MALFORMED, f"a quote body of type {kind}, {size} bytes")
    return size
