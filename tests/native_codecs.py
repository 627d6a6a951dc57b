"""The native codecs, called where they are: no door between them and a test but ctypes.

What is called is the core that the doors load.
"""

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from keystead._native import batch
from keystead.errors import Malformed, Reason

MAX_JSON_BYTES = 8_192
MAX_JSON_DEPTH = 16
MAX_URL_CHARS = 2_048

_SLACK = 64
_VALUES = MAX_JSON_BYTES // 2 + MAX_JSON_DEPTH + 2
# What the codecs answer, in the words of the readable ones (native/include/ks_status.h).
_REASONS = {2: Reason.TOO_LARGE, 4: Reason.MALFORMED, 5: Reason.DUPLICATE_MEMBER}

Outcome = Any


class View(ctypes.Structure):
    _fields_ = (("data", ctypes.c_char_p), ("size", ctypes.c_size_t))


class Text(ctypes.Structure):
    _fields_ = (("data", ctypes.c_void_p), ("size", ctypes.c_size_t))


class Content(ctypes.Union):
    _fields_ = (("text", Text), ("integer", ctypes.c_int64), ("number", ctypes.c_double))


class Value(ctypes.Structure):
    _fields_ = (
        ("kind", ctypes.c_uint8),
        ("has_control", ctypes.c_uint8),
        ("after", ctypes.c_uint32),
        ("count", ctypes.c_uint32),
        ("content", Content),
    )


class Document(ctypes.Structure):
    _fields_ = (
        ("count", ctypes.c_size_t),
        ("values", Value * _VALUES),
        ("text", ctypes.c_uint8 * MAX_JSON_BYTES),
    )


@cache
def library() -> ctypes.CDLL:
    return ctypes.CDLL(str(Path(batch.__file__).with_name("libks_core.so")))


def outcome(call: Callable[[], object]) -> Outcome:
    """What the readable Python returns, or the reason for which it refuses."""
    try:
        return call()
    except Malformed as error:
        return error.reason


def base64url_decode(text: bytes) -> Outcome:
    out = ctypes.create_string_buffer(len(text) + _SLACK)
    status = library().ks_base64url_decode(View(text, len(text)), out)
    size = len(text) // 4 * 3 + len(text) % 4 * 3 // 4
    return _REASONS[status] if status else out.raw[:size]


def base64url_encode(data: bytes) -> str:
    size = (4 * len(data) + 2) // 3
    out = ctypes.create_string_buffer(size + 1)
    library().ks_base64url_encode(data, ctypes.c_size_t(len(data)), out)
    assert out.raw[size] == 0, "more characters than promised"
    return out.raw[:size].decode("ascii")


def normalise_htu(url: bytes) -> Outcome:
    out = ctypes.create_string_buffer(MAX_URL_CHARS + 1)
    size = ctypes.c_size_t()
    status = library().ks_htu_normalise(View(url, len(url)), out, ctypes.byref(size))
    return _REASONS[status] if status else out.raw[: size.value].decode("ascii")


def parse_object(text: bytes, max_depth: int = MAX_JSON_DEPTH) -> Outcome:
    """The document as Python values, each compared with what its array says of it."""
    document = _document()
    view = View(text, len(text))
    status = library().ks_json_parse_object(view, ctypes.c_uint(max_depth), ctypes.byref(document))
    if status:
        return _REASONS[status]
    value, after = _value(document.values, 0)
    assert after == document.count, "values that belong to nothing"
    return value


@cache
def _document() -> Document:
    return Document()


def _value(values: Any, at: int) -> tuple[Any, int]:
    """The value at ``at`` and the index behind it, which must be what it says itself."""
    value = values[at]
    kind, count, after = value.kind, value.count, at + 1
    found: Any
    if kind == 7:
        found, after = _members(values, after, count)
    elif kind == 6:
        found = []
        for _ in range(count):
            item, after = _value(values, after)
            found.append(item)
    elif kind == 5:
        found = _string(value)
    else:
        found = {0: None, 1: False, 2: True}.get(kind)
        found = value.content.integer if kind == 3 else found
        found = value.content.number if kind == 4 else found
        assert kind <= 4
    assert after == value.after
    return found, after


def _members(values: Any, after: int, count: int) -> tuple[dict[str, Any], int]:
    found = {}
    for _ in range(count):
        name, after = _value(values, after)
        found[name], after = _value(values, after)
    assert len(found) == count
    return found, after


def _string(value: Value) -> str:
    content = value.content.text
    text = ctypes.string_at(content.data, content.size).decode("utf-8")
    assert value.count == len(text)
    control = any(character <= "\x1f" or character == "\x7f" for character in text)
    assert bool(value.has_control) is control
    return text
