"""JSON objects as text that can be bent: members twice, escapes in names, ugly numbers."""

import json
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, TypeAlias

from tests.relying_tokens import NOW

# An object as it will be written: its members in order, each name and value as JSON text, or an
# object again.
Members: TypeAlias = list[list[Any]]


def members_of(value: dict[str, Any]) -> Members:
    """The members of ``value``, objects within it as well."""
    return [
        [json.dumps(name), members_of(item) if isinstance(item, dict) else json.dumps(item)]
        for name, item in value.items()
    ]


def written(members: Members, space: Callable[[], str] = str) -> str:
    """The text of an object; ``space`` is asked for what stands between two parts of it."""
    parts = [
        f"{space()}{name}{space()}:{space()}"
        f"{written(value, space) if isinstance(value, list) else value}{space()}"
        for name, value in members
    ]
    return "{" + ",".join(parts) + "}"


def objects_in(members: Members) -> list[Members]:
    """The object and all within it."""
    found = [members]
    for _, value in members:
        if isinstance(value, list):
            found += objects_in(value)
    return found


def _strings_of_length(length: int) -> Iterable[str]:
    yield '"' + "a" * length + '"'
    yield '"' + "\\u0061" * length + '"' if length < 1_000 else '"' + "\\/" * length + '"'
    yield '"' + "é" * length + '"'
    yield '"' + "\\ud83d\\ude00" * length + '"' if length < 400 else '"' + "€" * length + '"'


@cache
def ugly_values() -> tuple[str, ...]:
    """JSON values, and texts that are none, at and beyond every bound."""
    values = [
        *("null", "true", "false", "[]", "{}", "[[]]", "[{}]", '{"a":1,"a":2}', '{"sub":1}'),
        *("0", "-0", "-0.0", "1", "2", "3", "3.0", "4", "-1", "1.5", "1e9", "1E+2", "2e0", "1e400"),
        *("-1e400", "1e-400", "18e8", "1800000000.999", "1.8e9", f"{NOW}.0", f"{NOW}e-0"),
        *("253402300799", "253402300800", "253402300799.0", "253402300799.5", "2534023007990e-1"),
        *("9223372036854775807", "9223372036854775808", "-9223372036854775807"),
        *("-9223372036854775808", "18446744073709551616", "123456789012345678901234567890"),
        *("1." + "0" * 62, "1." + "0" * 63, "0." + "9" * 62, "0" * 19, "NaN", "-Infinity", "01"),
        *("+1", ".5", "1.", "1e", "truth", "'a'", '"', '"a', "[1,]", "{,}", '{"a"}', "nul", ""),
        *('""', '" "', '"a"', '"a b"', '"a  b"', '" a"', '"\\u0061"', '"\\u00e9"', '"é"', '"\\/"'),
        *('"\\u0000"', '"a\\u0000b"', '"\\n"', '"\\u007f"', '"\x7f"', '"a\x7f\\u0061"', '"\x01"'),
        *(
            '"\\ud800"',
            '"\\udc00\\ud800"',
            '"\\ud83d\\ude00"',
            '"\\uD83D\\uDE0"',
            '"\\x61"',
            '"\u2028"',
        ),
        *('"\\ud800\\u0061"', '"\\\\"', '"\\""', '"a,b"', '"\U0001f600"', '["a","a"]', '["a",""]'),
        *(
            '["a",1]',
            "[null]",
            '["\\u0000"]',
            '["verify"]',
            '["sign"]',
            '[["verify"]]',
            '["\\u0076erify"]',
        ),
        *(
            "[" * 13 + "]" * 13,
            "[" * 20 + "]" * 20,
            '"' + "[" * 20 + '"',
            '{"a":' * 14 + "1" + "}" * 14,
        ),
    ]
    for length in (32, 33, 42, 43, 44, 64, 65, 128, 129, 256, 257, 2_048, 2_049):
        values += _strings_of_length(length)
    values += ["[" + ",".join(['"a"'] * count) + "]" for count in (16, 17, 20, 21, 100, 101)]
    return tuple(values)
