"""Strict CBOR (RFC 8949): one item, one meaning, bounded; the only place that knows cbor2.

Every head is looked at before the decoder sees a byte, so what it would do for tags, floats, big
numbers, shared values or bytes left over does not matter: they are refused. So are duplicate keys,
strings in pieces, and indefinite lengths, which only those formats allow that really have them.
The readers below (``get_*`` for a member that must be there, ``find_*`` for one that may be absent)
take typed members out and raise ``Malformed`` naming the member.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias, TypeVar

import cbor2

from keystead.codec.reader import Reader
from keystead.errors import Malformed, Reason

CBOR: TypeAlias = "bool | int | bytes | str | list[CBOR] | dict[int | str, CBOR] | None"
CborMap: TypeAlias = "Mapping[int | str, CBOR]"
_T = TypeVar("_T", bound="bool | int | bytes | str | list[CBOR] | dict[int | str, CBOR]")

# An attestation document is a map that holds a map: two. COSE and App Attest nest three deep.
MAX_DEPTH: Final = 4
# An attestation document has 9 members, 32 PCRs and a handful of certificates.
MAX_ITEMS: Final = 512

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_FALSE, _TRUE, _NULL, _BREAK = 20, 21, 22, 31
_INDEFINITE: Final = 31
_ARGUMENT_BYTES: Final = {24: 1, 25: 2, 26: 4, 27: 8}


def parse(
    data: bytes, *, max_bytes: int, max_depth: int = MAX_DEPTH, allow_indefinite: bool = False
) -> CBOR:
    """The one item that ``data`` is; nothing may follow it. ``Malformed``.

    ``max_depth`` counts nested arrays and maps, the outer one included. ``allow_indefinite`` is for
    arrays and maps; strings in pieces are always refused. Keys are integers or text.
    """
    if len(data) > max_bytes:
        raise Malformed(Reason.TOO_LARGE, f"CBOR of more than {max_bytes} bytes")
    reader = Reader(data)
    _Scan(reader, max_depth=max_depth, allow_indefinite=allow_indefinite).item(0)
    reader.end()
    return _decode(data, allow_indefinite=allow_indefinite)


def parse_map(
    data: bytes, *, max_bytes: int, max_depth: int = MAX_DEPTH, allow_indefinite: bool = False
) -> CborMap:
    """As :func:`parse`, of data that is a map."""
    return as_map(
        parse(data, max_bytes=max_bytes, max_depth=max_depth, allow_indefinite=allow_indefinite),
        "the item",
    )


def encode(value: object) -> bytes:
    """``value`` in the deterministic encoding of RFC 8949 §4.2."""
    return cbor2.dumps(value, canonical=True)


def get_bytes(members: CborMap, name: int | str, *, max_bytes: int, min_bytes: int = 0) -> bytes:
    """A byte string of ``min_bytes`` to ``max_bytes``."""
    return as_bytes(_present(members, name), str(name), max_bytes=max_bytes, min_bytes=min_bytes)


def find_bytes(
    members: CborMap, name: int | str, *, max_bytes: int, min_bytes: int = 0
) -> bytes | None:
    """As ``get_bytes``; None where the member is absent or null."""
    if members.get(name) is None:
        return None
    return get_bytes(members, name, max_bytes=max_bytes, min_bytes=min_bytes)


def get_text(members: CborMap, name: int | str, *, max_chars: int) -> str:
    """A text of 1 to ``max_chars`` printable characters."""
    text = _typed(_present(members, name), str, str(name))
    if not 1 <= len(text) <= max_chars:
        raise Malformed(Reason.TOO_LARGE, f"{name} has {len(text)} characters")
    if not text.isprintable():
        raise Malformed(Reason.MALFORMED, f"{name} has characters that are not printable")
    return text


def get_int(members: CborMap, name: int | str, *, minimum: int = 0, maximum: int) -> int:
    """An integer in ``minimum..maximum``, both included; never a boolean."""
    value = _typed(_present(members, name), int, str(name))
    if not minimum <= value <= maximum:
        raise Malformed(Reason.MALFORMED, f"{name} is outside {minimum}..{maximum}")
    return value


def get_map(members: CborMap, name: int | str, *, max_items: int) -> CborMap:
    """A nested map."""
    found = as_map(_present(members, name), str(name))
    if len(found) > max_items:
        raise Malformed(Reason.TOO_LARGE, f"{name} has more than {max_items} members")
    return found


def get_bytes_list(
    members: CborMap, name: int | str, *, max_items: int, max_bytes: int
) -> tuple[bytes, ...]:
    """An array of 1 to ``max_items`` non-empty byte strings."""
    values = as_list(_present(members, name), str(name))
    if not 1 <= len(values) <= max_items:
        raise Malformed(Reason.TOO_LARGE, f"{name} has {len(values)} items")
    return tuple(
        as_bytes(value, f"{name}[{index}]", max_bytes=max_bytes, min_bytes=1)
        for index, value in enumerate(values)
    )


def as_bytes(value: CBOR, place: str, *, max_bytes: int, min_bytes: int = 0) -> bytes:
    """``value``, which must be a byte string of that length."""
    data = _typed(value, bytes, place)
    if not min_bytes <= len(data) <= max_bytes:
        raise Malformed(Reason.TOO_LARGE, f"{place} has {len(data)} bytes")
    return data


def as_map(value: CBOR, place: str) -> CborMap:
    """``value``, which must be a map."""
    return _typed(value, dict, place)


def as_list(value: CBOR, place: str) -> list[CBOR]:
    """``value``, which must be an array."""
    return _typed(value, list, place)


def refuse_other_members(members: CborMap, allowed: frozenset[int | str]) -> None:
    """``Malformed`` where ``members`` has one that is not ``allowed``."""
    for name in members:
        if name not in allowed:
            raise Malformed(Reason.MALFORMED, f"unknown member {str(name)[:64]!r}")


class _Scan:
    """One walk over the heads (RFC 8949 §3); refuses what is not in the list of the module."""

    __slots__ = ("_allow_indefinite", "_items", "_max_depth", "_reader")

    def __init__(self, reader: Reader, *, max_depth: int, allow_indefinite: bool) -> None:
        self._reader = reader
        self._max_depth = max_depth
        self._allow_indefinite = allow_indefinite
        self._items = 0

    def item(self, depth: int, *, key: bool = False) -> bool:
        """Walk one item; whether it was the break that ends an indefinite length."""
        major, info = divmod(self._reader.u8(), 32)
        self._count()
        if major == _SIMPLE:
            return self._simple(info, key=key)
        if key and major not in (_UNSIGNED, _NEGATIVE, _TEXT):
            raise _refused("a map key that is neither integer nor text")
        if major == _TAG:
            raise _refused("a tag")
        if major in (_ARRAY, _MAP):
            self._container(info, depth + 1, is_map=major == _MAP)
            return False
        argument = self._argument(info)
        if major in (_BYTES, _TEXT):
            self._reader.take(argument)
        return False

    def _container(self, info: int, depth: int, *, is_map: bool) -> None:
        if depth > self._max_depth:
            raise Malformed(Reason.TOO_LARGE, f"CBOR deeper than {self._max_depth}")
        if info == _INDEFINITE:
            self._until_break(depth, is_map=is_map)
            return
        for _ in range(self._bounded(self._argument(info))):
            self._member(depth, is_map=is_map)

    def _until_break(self, depth: int, *, is_map: bool) -> None:
        if not self._allow_indefinite:
            raise _refused("an indefinite length")
        while not self.item(depth, key=is_map):
            if is_map and self.item(depth):
                raise _refused("a break where a value belongs")

    def _member(self, depth: int, *, is_map: bool) -> None:
        if self.item(depth, key=is_map) or (is_map and self.item(depth)):
            raise _refused("a break in a definite length")

    def _simple(self, info: int, *, key: bool) -> bool:
        if info == _BREAK and self._allow_indefinite and self._items > 1:
            return True
        if info not in (_FALSE, _TRUE, _NULL) or key:
            raise _refused("a float, an undefined or a simple value")
        return False

    def _argument(self, info: int) -> int:
        if info < min(_ARGUMENT_BYTES):
            return info
        if info not in _ARGUMENT_BYTES:
            raise _refused("an indefinite or reserved length")
        return int.from_bytes(self._reader.take(_ARGUMENT_BYTES[info]), "big")

    def _bounded(self, count: int) -> int:
        if count > MAX_ITEMS:
            raise Malformed(Reason.TOO_LARGE, f"CBOR of more than {MAX_ITEMS} items")
        return count

    def _count(self) -> None:
        self._items = self._bounded(self._items + 1)


def _decode(data: bytes, *, allow_indefinite: bool) -> CBOR:
    try:
        found: CBOR = cbor2.loads(
            data, allow_indefinite=allow_indefinite, allow_duplicate_keys=False
        )
    except cbor2.CBORDecodeError as error:  # Text that is not UTF-8, or a duplicate key.
        raise Malformed(Reason.MALFORMED, f"CBOR: {type(error).__name__}") from error
    return found


def _present(members: CborMap, name: int | str) -> CBOR:
    if name not in members:
        raise Malformed(Reason.MALFORMED, f"{name} is missing")
    return members[name]


def _typed(value: CBOR, wanted: type[_T], place: str) -> _T:
    if type(value) is not wanted:
        raise Malformed(Reason.MALFORMED, f"{place} is not of type {wanted.__name__}")
    return value


def _refused(what: str) -> Malformed:
    return Malformed(Reason.MALFORMED, f"CBOR with {what}")
