"""Certificates in PEM (RFC 7468): the DER inside, believed by nobody yet."""

from __future__ import annotations

import base64
import binascii
from typing import Final

from keystead.codec import der
from keystead.codec.certificate import MAX_CERTIFICATE_BYTES
from keystead.errors import Malformed, Reason

MAX_CERTIFICATES: Final = 16
"""Chains have three or four."""

_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"
_END: Final = b"-----END CERTIFICATE-----"
_SPACE: Final = b" \t\r\n"


def certificates(data: bytes) -> tuple[bytes, ...]:
    """The DER of each certificate in ``data``, which is PEM, or one certificate in DER itself.

    Text around PEM is ignored, as the RFC allows. Raises ``Malformed`` for anything else, also
    where there is no certificate at all.
    """
    if _BEGIN not in data:
        return (_checked(data),)
    blocks = data.split(_BEGIN)[1:]
    if len(blocks) > MAX_CERTIFICATES:
        raise Malformed(Reason.TOO_LARGE, f"{len(blocks)} PEM certificates")
    return tuple(_checked(_decode(block)) for block in blocks)


def _decode(block: bytes) -> bytes:
    body, end, _ = block.partition(_END)
    if not end:
        raise Malformed(Reason.MALFORMED, "a PEM certificate without its end")
    try:
        return base64.b64decode(body.translate(None, _SPACE), validate=True)
    except binascii.Error as error:
        raise Malformed(Reason.MALFORMED, "a PEM certificate that is not base64") from error


def _checked(certificate: bytes) -> bytes:
    if len(certificate) > MAX_CERTIFICATE_BYTES:
        raise Malformed(Reason.TOO_LARGE, f"a certificate of {len(certificate)} bytes")
    return der.parse_element(certificate, tag=der.SEQUENCE).raw
