"""The lines of entries, in every way in which TOML lets one write them."""

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.codec.toml_lines import line_of

TEXT = """\
# a comment with [table] and key = 1
top = "a # in a text"
dotted.of.three = 1                 # another [[comment]]
"quoted.key" = 'x = "y"'
dotted."with.dot".'and space' = 2

[table]
plain = 1979-05-27 07:32:00
inline = { a = 1, b = { c = [2, 3] }, "d.e" = 4 }
long = \"\"\"
fake = 1
[fake]
\\\"\"\" "" \"\"\"\"\"
literal = '''
fake = 2
'''''
array = [
  "one",   # ] not the end
  [ 2,
    "]" ],
  { x = 1, y = [
    5 ] },
]

[table.child.grandchild]
value = true

[[rows]]
name = "first"
[rows.sub]
key = 1
[[rows.deep]]
at = 0
[[rows.deep]]
at = 1

[[ rows ]]
name = "second"
[rows.sub]
key = 2
[table."ch.ild"]
last = -1
"""
LINES = {
    "top": 2,
    "dotted": 3,
    "dotted.of.three": 3,
    "quoted.key": 4,
    "dotted.with.dot.and space": 5,
    "table": 7,
    "table.plain": 8,
    "table.inline": 9,
    "table.inline.b.c[1]": 9,
    "table.inline.d.e": 9,
    "table.long": 10,
    "table.literal": 14,
    "table.array": 17,
    "table.array[0]": 18,
    "table.array[1]": 19,
    "table.array[1][1]": 20,
    "table.array[2].x": 21,
    "table.array[2].y[0]": 22,
    "table.child": 25,
    "table.child.grandchild.value": 26,
    "rows": 28,
    "rows[0]": 28,
    "rows[0].name": 29,
    "rows[0].sub": 30,
    "rows[0].sub.key": 31,
    "rows[0].deep[0].at": 33,
    "rows[0].deep[1]": 34,
    "rows[0].deep[1].at": 35,
    "rows[1]": 37,
    "rows[1].name": 38,
    "rows[1].sub.key": 40,
    "table.ch.ild.last": 42,
}


def never(document: Any) -> bool:
    return False


def test_the_text_is_toml() -> None:
    assert tomllib.loads(TEXT)["table"]["literal"] == "fake = 2\n''"


@pytest.mark.parametrize("path", LINES)
@pytest.mark.parametrize("after", ["", ": expected", "[...]: expected", ", for PCR 4", ".absent"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_finds_the_line_of_an_entry_or_of_the_nearest_above(
    path: str, after: str, end: str
) -> None:
    assert line_of(TEXT.replace("\n", end), path + after, fails=never) == LINES[path]


@pytest.mark.parametrize(
    "message",
    ["", ": ", "absent", "topmost: wrong", "tables", "/tmp/table: no file", "table/x.pem: no file"],
)
def test_what_is_no_entry_has_no_line(message: str) -> None:
    assert line_of(TEXT, message, fails=never) is None


@pytest.mark.parametrize("text", ["a = ", "a = 1\na = 2", "[a", "a = " + "[" * 5_000])
def test_what_is_no_toml_has_no_lines(text: str) -> None:
    assert line_of(text, "a: wrong", fails=never) is None


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("Object contains unknown field `top`", 2),
        ("Object contains unknown field `plain` - at `$.table`", 8),
        ("Object contains unknown field `name` - at `$.rows[1]`", 38),
        ("Object contains unknown field `key` - at `$.rows[0].sub`", 31),
        ("Object contains unknown field `key` - at `rows[0].sub`", 31),
        ("Object missing required field `other`", 1),
        ("Object missing required field `other` - at `$.rows[1]`", 37),
        ("Expected `int`, got `str` - at `$.table.array[1][1]`", 20),
        ("Expected `int`, got `str` - at `$.table[...][...]`", 7),
    ],
)
def test_finds_what_msgspec_names(message: str, line: int) -> None:
    assert line_of(TEXT, message, fails=never) == line


MEMBERS = "[t]\na = 0\nb = 0\n[t.c]\nx = 0\ny = 1\nz = 0\n[t.d]\ny = 1\n"


def has_one(document: Any) -> bool:
    return any(1 in value.values() for value in document["t"].values() if isinstance(value, dict))


@pytest.mark.parametrize(
    ("path", "line"), [("t[...]", 4), ("t[...][...]", 6), ("t.d[...]", 9), ("t.c[...]", 6)]
)
def test_finds_the_member_that_msgspec_does_not_name(path: str, line: int) -> None:
    def fails(document: Any) -> bool:
        if path.startswith("t."):  # As a rule of that table would.
            return 1 in document["t"][path[2]].values()
        return has_one(document)

    assert line_of(MEMBERS, f"Expected `int` - at `$.{path}`", fails=fails) == line
    assert line_of(MEMBERS, f"Invalid - at `key` in `$.{path[:-5]}`", fails=fails) == line


def test_asks_about_few_members_of_many() -> None:
    text = "[t]\n" + "".join(f"k{at} = {at}\n" for at in range(1_000))
    asked = []

    def fails(document: Any) -> bool:
        asked.append(document)
        return "k700" in document["t"]

    assert line_of(text, "Wrong - at `$.t[...]`", fails=fails) == 702
    assert len(asked) < 15


@given(st.text(max_size=200), st.text(max_size=40))
def test_any_text_has_a_line_or_none(text: str, message: str) -> None:
    found = line_of(text, message, fails=never)
    assert found is None or 1 <= found <= text.count("\n") + 1


@given(
    st.integers(0, len(TEXT) - 1), st.sampled_from("\"'[]{}=.,#\n\\ a1"), st.sampled_from([*LINES])
)
def test_a_changed_text_has_a_line_or_none(at: int, put: str, path: str) -> None:
    text = TEXT[:at] + put + TEXT[at + 1 :]
    found = line_of(text, path, fails=never)
    assert found is None or 1 <= found <= text.count("\n") + 1
