"""How commands answer."""

import json

import pytest

from keystead.cli.output import print_fields, print_json, print_table, printable, time_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("alice", "alice"),
        ("é…漢", "é…漢"),
        ("", ""),
        ("a b", "a b"),
        ("a\x1b]0;evil\x07", "a\\x1b]0;evil\\x07"),
        ("a\r\nb\t", "a\\r\\nb\\t"),
        ("\x00\x7f\x9b", "\\x00\\x7f\\x9b"),
        ("\u202e\u2066\ufeff", "\\u202e\\u2066\\ufeff"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_could_steer_a_terminal_is_spelled_out(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_table_is_aligned_and_printable(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("A", "LONG"), [("x", 1), ("\x1b", ""), ("wide one", "z")])
    assert capsys.readouterr().out.splitlines() == [
        "A         LONG",
        "x         1",
        "\\x1b",
        "wide one  z",
    ]


def test_an_empty_table_is_its_header(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("A", "B"), [])
    assert capsys.readouterr().out == "A  B\n"


def test_fields_are_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    print_fields({"a": "x\ny", "longer": 5})
    assert capsys.readouterr().out.splitlines() == ["a       x\\ny", "longer  5"]


def test_json_is_one_line_that_parses(capsys: pytest.CaptureFixture[str]) -> None:
    document = {"a": ["é", "\n", None, True], "b": {"c": 1}}
    print_json(document)
    shown = capsys.readouterr().out
    assert shown.count("\n") == 1 and json.loads(shown) == document


def test_times_are_rfc_3339_in_utc() -> None:
    assert time_text(1_800_000_000) == "2027-01-15T08:00:00Z"
    assert time_text(0) == ""
