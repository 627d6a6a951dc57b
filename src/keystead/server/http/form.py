"""``application/x-www-form-urlencoded`` (RFC 6749 appendix B), read strictly.

Order and repetition are kept: which parameter may repeat is the use case's to say.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

from keystead.errors import Malformed, Reason
from keystead.server.limits import MAX_FORM_FIELDS

MEDIA_TYPE = "application/x-www-form-urlencoded"
_PRINTABLE = bytes(range(0x21, 0x7F))
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def parse_form(body: bytes) -> list[tuple[str, str]]:
    """Names and values, in order. Malformed: ``malformed`` for wrong encoding, a field without
    ``=`` or without a name, and control characters; ``too_large`` for too many fields."""
    # Deleting what may stand there is the quickest way to look for what may not.
    if body.translate(None, _PRINTABLE) or _BROKEN_ESCAPE.search(body):
        raise Malformed(Reason.MALFORMED, "not form-encoded")
    if not body:
        return []
    fields = body.decode("ascii").split("&", MAX_FORM_FIELDS)
    if len(fields) > MAX_FORM_FIELDS:
        raise Malformed(Reason.TOO_LARGE, f"more than {MAX_FORM_FIELDS} form fields")
    return [_field(field) for field in fields]


def _field(field: str) -> tuple[str, str]:
    name, equals, value = field.partition("=")
    if not equals or not name:
        raise Malformed(Reason.MALFORMED, "a form field without a name or without =")
    return _text(name), _text(value)


def _text(encoded: str) -> str:
    if "%" not in encoded and "+" not in encoded:
        return encoded
    try:
        text = unquote_plus(encoded, errors="strict")
    except UnicodeDecodeError:
        raise Malformed(Reason.MALFORMED, "a form field that is not UTF-8") from None
    if _CONTROL.search(text):
        raise Malformed(Reason.MALFORMED, "a control character in a form field")
    return text
