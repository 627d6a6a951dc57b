"""Strict JSON (RFC 8259, I-JSON of RFC 7493): one object, one meaning, bounded.

``parse_object`` refuses what other parsers disagree about: duplicate members, NaN, huge numbers,
lone surrogates, a byte-order mark. The readers below it (``get_*`` for a member that must be
there, ``find_*`` for one that may be absent) are how every claims parser takes typed members out;
each raises ``Malformed`` naming the member. A JSON ``true`` is never an integer, and ``null`` is
never "absent".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from json import JSONDecodeError, JSONDecoder, JSONEncoder
from math import isfinite
from typing import TypeAlias, TypeVar

from keystead.codec import base64url
from keystead.errors import Malformed, Reason

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"
_T = TypeVar("_T")

# Larger than any token's claims or RPC body member; evidence envelopes pass their own bound.
MAX_OBJECT_BYTES = 65_536
# Delegation chains nest `act` a few levels; nothing else here nests deeper than six.
MAX_DEPTH = 16
# Objects and arrays together, those within strings counted as well; real documents open some
# hundred. A megabyte of "{}," would cost half a second.
MAX_BRACKETS = 20_000
# Members and items, counted by what parts them, within strings as well. Whoever sends two megabytes
# of "1," before anything is signed would have half a second of everybody's time.
MAX_COMMAS = 20_000
# Signed 64-bit, so that every reader of the same bytes, in C or a database, sees the same number.
MAX_INTEGER = 2**63 - 1
# Longest spelling of such an integer, sign included; bounds int()'s quadratic time.
_MAX_INTEGER_CHARS = 20
# Longest useful spelling of a double.
_MAX_FLOAT_CHARS = 64
# URLs are the longest strings that claims hold.
MAX_STRING_CHARS = 2_048
# More audiences, scopes or methods than any real token lists.
MAX_LIST_ITEMS = 100

# An unterminated string runs to the end, so the scan stays linear on hostile input.
_BRACKET_OR_STRING = re.compile(r'[\[\]{}]|"[^"]*+"?')
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def parse_object(
    data: bytes | str, *, max_bytes: int = MAX_OBJECT_BYTES, max_depth: int = MAX_DEPTH
) -> dict[str, JSON]:
    """The one JSON object that ``data`` is.

    ``max_bytes`` counts UTF-8 bytes; ``max_depth`` counts nested objects and arrays, the outer
    object included. Raises ``Malformed`` with ``too_large``, ``duplicate_member`` or ``malformed``.
    """
    text = _bounded_text(data, max_bytes)
    _check_size(text)
    _check_depth(text, max_depth)
    try:
        value = _DECODER.decode(text)
    except JSONDecodeError as error:
        raise Malformed(Reason.MALFORMED, f"not JSON at character {error.pos}") from error
    if not isinstance(value, dict):
        raise Malformed(Reason.MALFORMED, "JSON, but not an object")
    if "\\u" in text:
        _refuse_lone_surrogates(value)
    return value


def encode(value: object) -> bytes:
    """``value`` as compact UTF-8 JSON, members in insertion order; raises on what is not JSON."""
    return _ENCODER.encode(value).encode("utf-8")


def canonical(value: object) -> bytes:
    """``value`` as compact UTF-8 JSON with sorted members: what is hashed (RFC 7638 §3).

    Equal to RFC 8785 for strings, integers and ASCII names, which is all that is hashed here.
    """
    return _CANONICAL_ENCODER.encode(value).encode("utf-8")


def get_str(
    obj: Mapping[str, JSON],
    name: str,
    *,
    max_chars: int = MAX_STRING_CHARS,
    allow_empty: bool = False,
) -> str:
    """A string without control characters, 1 (or 0) to ``max_chars`` characters long."""
    return _present(find_str(obj, name, max_chars=max_chars, allow_empty=allow_empty), name)


def find_str(
    obj: Mapping[str, JSON],
    name: str,
    *,
    max_chars: int = MAX_STRING_CHARS,
    allow_empty: bool = False,
) -> str | None:
    """As ``get_str``, or None where the member is absent."""
    if name not in obj:
        return None
    text = _plain_string(obj[name], name, max_chars)
    if not text and not allow_empty:
        raise Malformed(Reason.MALFORMED, f"{name} is empty")
    return text


def get_int(
    obj: Mapping[str, JSON], name: str, *, minimum: int = 0, maximum: int = MAX_INTEGER
) -> int:
    """An integer in ``minimum..maximum``, both included."""
    return _present(find_int(obj, name, minimum=minimum, maximum=maximum), name)


def find_int(
    obj: Mapping[str, JSON], name: str, *, minimum: int = 0, maximum: int = MAX_INTEGER
) -> int | None:
    """As ``get_int``, or None where the member is absent."""
    if name not in obj:
        return None
    value = obj[name]
    if type(value) is not int:
        raise Malformed(Reason.MALFORMED, f"{name} is not an integer")
    if not minimum <= value <= maximum:
        raise Malformed(Reason.MALFORMED, f"{name} is outside {minimum}..{maximum}")
    return value


def get_number(obj: Mapping[str, JSON], name: str) -> int | float:
    """An integer or a finite float."""
    return _present(find_number(obj, name), name)


def find_number(obj: Mapping[str, JSON], name: str) -> int | float | None:
    """As ``get_number``, or None where the member is absent."""
    if name not in obj:
        return None
    value = obj[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise Malformed(Reason.MALFORMED, f"{name} is not a number")
    return value


def get_bool(obj: Mapping[str, JSON], name: str) -> bool:
    """``true`` or ``false``."""
    return _present(find_bool(obj, name), name)


def find_bool(obj: Mapping[str, JSON], name: str) -> bool | None:
    """As ``get_bool``, or None where the member is absent."""
    if name not in obj:
        return None
    value = obj[name]
    if not isinstance(value, bool):
        raise Malformed(Reason.MALFORMED, f"{name} is not a boolean")
    return value


def get_bytes(obj: Mapping[str, JSON], name: str, *, max_bytes: int) -> bytes:
    """The bytes of a base64url string, at most ``max_bytes`` of them."""
    return _present(find_bytes(obj, name, max_bytes=max_bytes), name)


def find_bytes(obj: Mapping[str, JSON], name: str, *, max_bytes: int) -> bytes | None:
    """As ``get_bytes``, or None where the member is absent."""
    if name not in obj:
        return None
    value = obj[name]
    if not isinstance(value, str):
        raise Malformed(Reason.MALFORMED, f"{name} is not a string")
    try:
        return base64url.decode(value, max_bytes=max_bytes)
    except Malformed as error:
        raise Malformed(error.reason, f"{name}: {error.detail}") from error


def get_object(obj: Mapping[str, JSON], name: str) -> dict[str, JSON]:
    """A nested object."""
    return _present(find_object(obj, name), name)


def find_object(obj: Mapping[str, JSON], name: str) -> dict[str, JSON] | None:
    """As ``get_object``, or None where the member is absent."""
    if name not in obj:
        return None
    return _object(obj[name], name)


def get_str_list(
    obj: Mapping[str, JSON],
    name: str,
    *,
    max_items: int = MAX_LIST_ITEMS,
    max_chars: int = MAX_STRING_CHARS,
) -> tuple[str, ...]:
    """An array of non-empty strings without control characters; it may be empty."""
    return _present(find_str_list(obj, name, max_items=max_items, max_chars=max_chars), name)


def find_str_list(
    obj: Mapping[str, JSON],
    name: str,
    *,
    max_items: int = MAX_LIST_ITEMS,
    max_chars: int = MAX_STRING_CHARS,
) -> tuple[str, ...] | None:
    """As ``get_str_list``, or None where the member is absent."""

    def item(value: JSON, place: str) -> str:
        text = _plain_string(value, place, max_chars)
        if not text:
            raise Malformed(Reason.MALFORMED, f"{place} is empty")
        return text

    return _find_list(obj, name, max_items, item)


def find_str_or_list(
    obj: Mapping[str, JSON],
    name: str,
    *,
    max_items: int = MAX_LIST_ITEMS,
    max_chars: int = MAX_STRING_CHARS,
) -> tuple[str, ...] | None:
    """One string or an array of them, as ``aud`` is (RFC 7519 §4.1.3); None where absent."""
    if isinstance(obj.get(name), str):
        return (get_str(obj, name, max_chars=max_chars),)
    return find_str_list(obj, name, max_items=max_items, max_chars=max_chars)


def get_object_list(
    obj: Mapping[str, JSON], name: str, *, max_items: int = MAX_LIST_ITEMS
) -> tuple[dict[str, JSON], ...]:
    """An array of objects."""
    return _present(find_object_list(obj, name, max_items=max_items), name)


def find_object_list(
    obj: Mapping[str, JSON], name: str, *, max_items: int = MAX_LIST_ITEMS
) -> tuple[dict[str, JSON], ...] | None:
    """As ``get_object_list``, or None where the member is absent."""
    return _find_list(obj, name, max_items, _object)


def refuse_other_members(obj: Mapping[str, JSON], allowed: frozenset[str]) -> None:
    """Raise ``Malformed`` where ``obj`` has a member that is not ``allowed``."""
    for name in obj:
        if name not in allowed:
            raise Malformed(Reason.MALFORMED, f"unknown member {name[:64]!r}")


def has_control(text: str) -> bool:
    """Whether an ASCII control character stands in ``text``."""
    # Printable text has none, and whether it is printable is quicker to ask.
    return not text.isprintable() and _CONTROL.search(text) is not None


def _bounded_text(data: bytes | str, max_bytes: int) -> str:
    try:
        raw = data.encode("utf-8") if isinstance(data, str) else data
        if len(raw) > max_bytes:
            raise Malformed(Reason.TOO_LARGE, f"JSON of more than {max_bytes} bytes")
        text = data if isinstance(data, str) else raw.decode("utf-8")
    except UnicodeError as error:
        raise Malformed(Reason.MALFORMED, "JSON that is not UTF-8") from error
    return text


def _check_size(text: str) -> None:
    if text.count(",") > MAX_COMMAS:
        raise Malformed(Reason.TOO_LARGE, f"JSON with more than {MAX_COMMAS} commas")


def _check_depth(text: str, max_depth: int) -> None:
    opened = text.count("{") + text.count("[")
    if opened <= max_depth:
        return
    if opened > MAX_BRACKETS:
        raise Malformed(Reason.TOO_LARGE, f"JSON with more than {MAX_BRACKETS} brackets")
    depth = 0
    for match in _BRACKET_OR_STRING.finditer(_without_escapes(text)):
        token = match.group()
        if token in "{[":
            depth += 1
            if depth > max_depth:
                raise Malformed(Reason.TOO_LARGE, f"JSON deeper than {max_depth}")
        elif token in "}]":
            depth -= 1


def _without_escapes(text: str) -> str:
    """Every quote that is left begins or ends a string. JSON within JSON is full of others, and
    this takes a tenth of the time of looking at each; where a backslash stands outside of strings,
    the decoder goes no further."""
    return text.replace("\\\\", "").replace('\\"', "") if "\\" in text else text


def _refuse_lone_surrogates(value: dict[str, JSON]) -> None:
    try:
        encode(value)
    except UnicodeEncodeError as error:
        raise Malformed(Reason.MALFORMED, "a lone surrogate in JSON") from error


def _members(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Malformed(Reason.DUPLICATE_MEMBER, "a member twice in one JSON object")
    return members


def _integer(text: str) -> int:
    if len(text) > _MAX_INTEGER_CHARS or abs(value := int(text)) > MAX_INTEGER:
        raise Malformed(Reason.MALFORMED, "an integer of more than 64 bits in JSON")
    return value


def _float(text: str) -> float:
    if len(text) > _MAX_FLOAT_CHARS or not isfinite(value := float(text)):
        raise Malformed(Reason.MALFORMED, "a number out of range in JSON")
    return value


def _constant(text: str) -> JSON:
    raise Malformed(Reason.MALFORMED, f"{text} in JSON")


_DECODER = JSONDecoder(
    object_pairs_hook=_members, parse_int=_integer, parse_float=_float, parse_constant=_constant
)
_ENCODER = JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_CANONICAL_ENCODER = JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True
)


def _present(value: _T | None, name: str) -> _T:
    if value is None:
        raise Malformed(Reason.MALFORMED, f"{name} is missing")
    return value


def _plain_string(value: JSON, place: str, max_chars: int) -> str:
    if not isinstance(value, str):
        raise Malformed(Reason.MALFORMED, f"{place} is not a string")
    if len(value) > max_chars:
        raise Malformed(Reason.TOO_LARGE, f"{place} is longer than {max_chars} characters")
    if has_control(value):
        raise Malformed(Reason.MALFORMED, f"{place} has a control character")
    return value


def _object(value: JSON, place: str) -> dict[str, JSON]:
    if not isinstance(value, dict):
        raise Malformed(Reason.MALFORMED, f"{place} is not an object")
    return value


def _find_list(
    obj: Mapping[str, JSON], name: str, max_items: int, item: Callable[[JSON, str], _T]
) -> tuple[_T, ...] | None:
    if name not in obj:
        return None
    values = obj[name]
    if not isinstance(values, list):
        raise Malformed(Reason.MALFORMED, f"{name} is not an array")
    if len(values) > max_items:
        raise Malformed(Reason.TOO_LARGE, f"{name} has more than {max_items} items")
    return tuple(item(value, f"{name}[{index}]") for index, value in enumerate(values))
