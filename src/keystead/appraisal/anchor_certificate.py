"""A trust anchor's facts in the shape of a certificate, for path builders that want one.

The signature is empty: a path builder takes an anchor's name and key, and never verifies what the
anchor says of itself (RFC 5280 §6.1). Such a certificate is no use to anyone as anything else.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from keystead.codec.der import BIT_STRING, SEQUENCE, encode_element

_UTC_TIME: Final = 0x17
_EXTENSIONS_TAG: Final = 0xA3

# [0] version 3, then serial number 1.
_VERSION_AND_SERIAL: Final = bytes.fromhex("a003020102020101")
# ecdsa-with-SHA384: of a signature that is not there.
_ALGORITHM: Final = bytes.fromhex("300a06082a8648ce3d040303")
# Critical BasicConstraints with cA, critical KeyUsage with keyCertSign and cRLSign.
_EXTENSIONS: Final = bytes.fromhex(
    "3021300f0603551d130101ff040530030101ff300e0603551d0f0101ff040403020106"
)


def anchor_certificate(*, subject: bytes, spki: bytes, not_before: int, not_after: int) -> bytes:
    """DER of a self-issued CA certificate; ``subject`` is a Name, ``spki`` its key, both DER.

    Times are Unix seconds.
    """
    validity = encode_element(SEQUENCE, _time(not_before) + _time(not_after))
    signed = encode_element(
        SEQUENCE,
        _VERSION_AND_SERIAL
        + _ALGORITHM
        + subject
        + validity
        + subject
        + spki
        + encode_element(_EXTENSIONS_TAG, _EXTENSIONS),
    )
    return encode_element(SEQUENCE, signed + _ALGORITHM + encode_element(BIT_STRING, b"\x00"))


def _time(at: int) -> bytes:
    """UTCTime, as RFC 5280 §4.1.2.5 wants it of every date before 2050."""
    text = datetime.fromtimestamp(at, UTC).strftime("%y%m%d%H%M%SZ")
    return encode_element(_UTC_TIME, text.encode())
