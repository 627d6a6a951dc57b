"""How far a run is: for a person who waits at a terminal, and for nobody else."""

import builtins
import sys
from typing import Any

import pytest

from keystead.cli.progress import SHOWN_AFTER_S, RunProgress
from keystead.system.clock import Stopwatch


class Watch(Stopwatch):
    """A stopwatch that stands where the test puts it."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def seconds(self) -> float:
        return self._seconds


def terminals(monkeypatch: pytest.MonkeyPatch, *, stdout: bool, stderr: bool) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: stdout)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: stderr)


def shown(
    capsys: pytest.CaptureFixture[str], *, seconds: float = 10.0, total: int | None = 100
) -> str:
    progress = RunProgress(total_bytes=total, stopwatch=Watch(seconds))
    progress.show(lines=50_000, bytes_read=50)
    print("an answer")
    progress.show(lines=60_000, bytes_read=60)
    print("another")
    progress.close()
    captured = capsys.readouterr()
    # rich would take over what others print while a bar is there.
    assert captured.out == "an answer\nanother\n"
    assert "another" not in captured.err
    return captured.err


def without_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name.split(".")[0] == "rich":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)


@pytest.mark.parametrize("total", [100, None])
def test_a_long_run_shows_lines_and_rate(
    total: int | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminals(monkeypatch, stdout=False, stderr=True)
    text = shown(capsys, total=total)
    assert "60,000 lines" in text and "6,000 a second" in text
    assert ("60%" in text) is (total is not None)


def test_without_rich_it_is_a_plain_line_that_goes_away(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminals(monkeypatch, stdout=False, stderr=True)
    without_rich(monkeypatch)
    text = shown(capsys)
    assert text.startswith("\r50,000 lines, 5,000 a second ")
    assert text.endswith(" \r") and "\n" not in text


@pytest.mark.parametrize(("stdout", "stderr"), [(True, True), (True, False), (False, False)])
def test_shows_nothing_between_answers_or_to_a_file(
    stdout: bool,
    stderr: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    terminals(monkeypatch, stdout=stdout, stderr=stderr)
    assert shown(capsys) == ""


def test_shows_nothing_of_a_short_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminals(monkeypatch, stdout=False, stderr=True)
    assert shown(capsys, seconds=SHOWN_AFTER_S - 0.1) == ""
    assert SHOWN_AFTER_S == 2.0


def test_a_terminal_that_cannot_draw_has_plain_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminals(monkeypatch, stdout=False, stderr=True)
    monkeypatch.setenv("TERM", "dumb")
    assert "\r60,000 lines, 6,000 a second" in shown(capsys)
