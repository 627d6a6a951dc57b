"""Where in a TOML text an entry stands: for messages to people, and for no decision.

    line_of(text, "tpm2.pcr_values.sha256.0: expected 64 hex digits", fails=fails)

The text is one that ``tomllib`` takes. This reads it once more, for its lines alone, and whatever
it does not find is None: a message then says what it said without it.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

Fails = Callable[[Any], bool]
"""Whether a document is refused with the very message that is to be located."""

# How msgspec says where: "… - at `$.tpm2.pcr_values[...][0]`", or nothing for the whole document.
_AT: Final = re.compile(r" - at (?P<key>`key` in )?`\$?\.?(?P<path>[^`]*)`\Z")
_WHOLE: Final = re.compile(r"Object (contains unknown|missing required) field `")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(?P<name>[^`]*)`")
_STEP: Final = re.compile(r"\[(\d+|\.\.\.)\]|([^.\[\]]+)")
# What may follow a name in the paths of our own messages.
_AFTER_NAME: Final = frozenset(".[:, ")

_BLANK: Final = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_SPACE: Final = re.compile(r"[ \t]*")
_TEXT: Final = re.compile(r'"(?:\\.|[^"\\\n])*"|' r"'[^'\n]*'")
# Up to two quotes may stand before the three that end a text of several lines.
_LONG_TEXT: Final = re.compile(r'"""(?:\\.|[^\\])*?""""{0,2}|' r"'''.*?''''{0,2}", re.DOTALL)
_SCALAR: Final = re.compile(r"[^,\]}#\n]+")


def line_of(text: str, message: str, *, fails: Fails) -> int | None:
    """The line, from 1, of the entry that ``message`` is about; the nearest one that is there.

    ``message`` starts with an entry's path, or is msgspec's. That names no members of mappings:
    which of them it means is found by leaving the others out and asking ``fails``.
    """
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return None
    root = _Scan(text).entries()
    at = _AT.search(message)
    if at is None and _WHOLE.match(message) is None:
        return _line_by_text(root, message)
    steps = [] if at is None else _steps(at["path"])
    if at is not None and at["key"]:
        steps.append(None)
    names = _pinned(document, steps, fails)
    unknown = _UNKNOWN.match(message)
    return _line_by_names(root, names if unknown is None else [*names, unknown["name"]])


@dataclass(slots=True)
class _Entry:
    """A table, an array or a value; ``members`` by name, or by number."""

    line: int
    members: dict[str | int, _Entry] = field(default_factory=dict)


def _line_by_names(root: _Entry, names: Sequence[str | int]) -> int:
    entry = root
    for name in names:
        if name not in entry.members:
            break
        entry = entry.members[name]
    return entry.line


def _line_by_text(root: _Entry, path: str) -> int | None:
    """Names may have dots in them, so what stands in the text decides where each one ends."""
    entry = root
    while (found := _longest(entry, path)) is not None:
        entry, path = found
    return None if entry is root else entry.line


def _longest(entry: _Entry, path: str) -> tuple[_Entry, str] | None:
    named = {f"[{name}]" if isinstance(name, int) else name: name for name in entry.members}
    for spelt in sorted(named, key=len, reverse=True):
        rest = path.removeprefix(spelt)
        if path.startswith(spelt) and (not rest or rest[0] in _AFTER_NAME):
            return entry.members[named[spelt]], rest.removeprefix(".")
    return None


def _steps(path: str) -> list[str | int | None]:
    """Names, numbers, and None for a member without a name."""
    found: list[str | int | None] = []
    for number, name in _STEP.findall(path):
        found.append(name or (int(number) if number.isdecimal() else None))
    return found


def _pinned(document: Any, steps: Sequence[str | int | None], fails: Fails) -> list[str | int]:
    """``steps`` by name, as far as they can be: each unnamed member is the first that fails."""
    names: list[str | int] = []
    for step in steps:
        name = step
        if name is None:
            members = _place(document, names)
            if not isinstance(members, dict) or not members or not fails(document):
                break
            name = _first_failing(document, names, members, fails)
            document = _with(document, names, {name: members[name]})
        names.append(name)
    return names


def _first_failing(
    document: Any, names: Sequence[str | int], members: dict[str, Any], fails: Fails
) -> str:
    keys = list(members)
    while len(keys) > 1:
        half = keys[: len(keys) // 2]
        kept = {key: members[key] for key in half}
        keys = half if fails(_with(document, names, kept)) else keys[len(half) :]
    return keys[0]


def _place(document: Any, names: Sequence[str | int]) -> Any:
    for name in names:
        document = document[name]
    return document


def _with(document: Any, names: Sequence[str | int], value: Any) -> Any:
    """The document with ``value`` at that place; nothing of the old one is changed."""
    if not names:
        return value
    changed = document.copy()
    changed[names[0]] = _with(document[names[0]], names[1:], value)
    return changed


class _Scan:
    """One reading of a text: its entries with their lines."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._ends = [each.start() for each in re.finditer("\n", text)]
        self._root = _Entry(1)

    def entries(self) -> _Entry:
        """All of them, or those in front of what this does not understand."""
        with suppress(ValueError, RecursionError):
            self._document()
        return self._root

    def _document(self) -> None:
        table = self._root
        while self._skip_blank():
            if self._took("[["):
                table = self._header("]]")
            elif self._took("["):
                table = self._header("]")
            else:
                self._pair(table)

    def _header(self, end: str) -> _Entry:
        line = self._line()
        *parents, last = self._key()
        self._take(end)
        table = self._root
        for name in parents:
            table = _newest(self._member(table, name, line))
        table = self._member(table, last, line)
        if end == "]]":
            table = self._member(table, len(table.members), line)
        table.line = line  # Not that of a table below it which came first.
        return table

    def _pair(self, table: _Entry) -> None:
        line = self._line()
        for name in self._key():
            table = self._member(table, name, line)
        self._take("=")
        self._value(table)

    def _value(self, entry: _Entry) -> None:
        self._read(_SPACE)
        if self._took("["):
            self._array(entry)
        elif self._took("{"):
            while self._skip_blank() and not self._took("}"):
                self._pair(entry)
                self._skip_blank()
                self._took(",")
        elif self._text.startswith(('"""', "'''"), self._at):
            self._read(_LONG_TEXT)
        else:
            quoted = self._text.startswith(('"', "'"), self._at)
            self._read(_TEXT if quoted else _SCALAR)

    def _array(self, entry: _Entry) -> None:
        while self._skip_blank() and not self._took("]"):
            self._value(self._member(entry, len(entry.members), self._line()))
            self._skip_blank()
            self._took(",")

    def _key(self) -> list[str]:
        names = []
        while True:
            self._read(_SPACE)
            if self._text.startswith(('"', "'"), self._at):
                names.append(str(tomllib.loads(f"key = {self._read(_TEXT)}")["key"]))
            else:
                names.append(self._read(_BARE_KEY))
            self._read(_SPACE)
            if not self._took("."):
                return names

    def _member(self, table: _Entry, name: str | int, line: int) -> _Entry:
        return table.members.setdefault(name, _Entry(line))

    def _line(self) -> int:
        return bisect_left(self._ends, self._at) + 1

    def _skip_blank(self) -> bool:
        """Whether anything is left."""
        self._read(_BLANK)
        return self._at < len(self._text)

    def _took(self, expected: str) -> bool:
        found = self._text.startswith(expected, self._at)
        self._at += len(expected) if found else 0
        return found

    def _take(self, expected: str) -> None:
        if not self._took(expected):
            raise ValueError(f"no {expected}")

    def _read(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise ValueError("an entry of another shape")
        self._at = found.end()
        return found[0]


def _newest(entry: _Entry) -> _Entry:
    """Below ``[[a]]``, ``[a.b]`` is a table of the last one."""
    return entry.members[len(entry.members) - 1] if 0 in entry.members else entry
