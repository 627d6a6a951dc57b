"""Base64url without padding, and only its canonical form (RFC 7515 §2, RFC 4648 §5).

One value has one spelling: padding, the ``+`` and ``/`` of plain base64, whitespace and non-zero
trailing bits are refused, so that two different tokens never decode to the same bytes.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64encode

from keystead.errors import Malformed, Reason

# What is not base64url becomes a byte that the strict decoder refuses, padding included.
_TO_PLAIN = bytes.maketrans(b"-_+/=", b"+/!!!")
_PADDING = (b"", None, b"==", b"=")
# By the length modulo 4: the characters that can be last, whose 4 or 2 spare bits are zero.
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_LAST = (_ALPHABET, b"", _ALPHABET[::16], _ALPHABET[::4])


def encode(data: bytes) -> str:
    """``data`` as unpadded base64url text."""
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode(text: str | bytes, *, max_bytes: int | None = None) -> bytes:
    """The bytes that ``text`` spells; at most ``max_bytes`` of them.

    Raises ``Malformed``: ``too_large`` when the result would be longer than ``max_bytes``, else
    ``malformed``.
    """
    raw = _ascii(text)
    if max_bytes is not None and len(raw) * 3 // 4 > max_bytes:
        raise Malformed(Reason.TOO_LARGE, f"base64url of more than {max_bytes} bytes")
    padding = _PADDING[len(raw) % 4]
    if padding is None:
        raise Malformed(Reason.MALFORMED, "base64url of an impossible length")
    try:
        data = binascii.a2b_base64(raw.translate(_TO_PLAIN) + padding, strict_mode=True)
    except binascii.Error as error:
        raise Malformed(Reason.MALFORMED, "not base64url") from error
    # The decoder drops trailing bits without a look at them.
    if padding and raw[-1] not in _LAST[len(raw) % 4]:
        raise Malformed(Reason.MALFORMED, "base64url with stray trailing bits")
    return data


def _ascii(text: str | bytes) -> bytes:
    if isinstance(text, bytes):
        return text
    try:
        return text.encode("ascii")
    except UnicodeEncodeError as error:
        raise Malformed(Reason.MALFORMED, "base64url outside ASCII") from error
