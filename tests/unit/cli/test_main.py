"""The command itself: help, wrong use, and what its exit status says."""

import argparse
import importlib
import json
import os
import subprocess
import sys

import pytest

from keystead import cli
from keystead.cli import COMMANDS, main
from keystead.errors import (
    ConfigurationError,
    Conflict,
    EvidenceRejected,
    KeysteadError,
    Malformed,
    NotFound,
    Reason,
    Refused,
    Replayed,
    Unavailable,
)


class Command:
    """A command that does one thing."""

    __doc__ = "Does one thing."

    def __init__(self, run: object) -> None:
        self._run = run

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true")

    def run(self, options: argparse.Namespace) -> int:
        if isinstance(self._run, BaseException):
            raise self._run
        assert isinstance(self._run, int)
        return self._run


def command(monkeypatch: pytest.MonkeyPatch, run: object) -> None:
    monkeypatch.setattr(cli.importlib, "import_module", lambda name: Command(run))


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_names_every_command(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([flag]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    for name, (_, what) in COMMANDS.items():
        assert f"  {name} " in shown.out and what in shown.out


def test_nothing_asked_is_wrong_use_with_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage: keystead" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["nothing", "Serve", "", "keystead.cli.serve", "../serve"])
def test_an_unknown_command_is_wrong_use(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith(f"keystead: no command {name!r}")


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_has_help_and_refuses_unknown_options(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    module = importlib.import_module(f"keystead.cli.{COMMANDS[name][0]}")
    assert f"keystead {name}" in shown and (module.__doc__ or "").split()[0] in shown
    with pytest.raises(SystemExit) as ended:
        main([name, "--no-such-option"])
    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Malformed(Reason.MALFORMED), 2),
        (ConfigurationError(Reason.POLICY_EMPTY), 2),
        (Refused(Reason.ROLE_REQUIRED), 1),
        (EvidenceRejected(Reason.QUOTE_TYPE, step=8), 1),
        (Replayed(), 1),
        (NotFound(), 1),
        (Conflict(), 1),
        (Unavailable(Reason.STORE_UNAVAILABLE), 1),
    ],
)
def test_the_status_says_no_or_wrong_use(
    error: KeysteadError,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command(monkeypatch, error)
    assert main(["hosts"]) == status
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err == f"keystead: {error}\n"
    assert main(["hosts", "--json"]) == status
    shown = capsys.readouterr()
    assert shown.err == "" and shown.out.count("\n") == 1
    assert json.loads(shown.out) == {
        "error": error.reason.value,
        "step": error.step,
        "detail": "",
    }


@pytest.mark.parametrize("status", [0, 1, 2])
def test_a_commands_own_status_is_the_status(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    command(monkeypatch, status)
    assert main(["hosts"]) == status


def test_an_interrupt_ends_quietly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command(monkeypatch, KeyboardInterrupt())
    assert main(["hosts"]) == 130
    assert capsys.readouterr() == ("", "")


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    command(monkeypatch, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        main(["hosts"])


def test_control_characters_of_an_error_are_shown_and_not_sent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command(monkeypatch, Refused(Reason.CONFLICT, "a\x1b[2Jb\nc\u202ed\x9b"))
    main(["hosts"])
    shown = capsys.readouterr().err
    assert shown == "keystead: conflict: a\\x1b[2Jb\\nc\\u202ed\\x9b\n"
    main(["hosts", "--json"])
    text = capsys.readouterr().out
    assert "\x1b" not in text and "\u202e" not in text and "\x9b" not in text


SAYS_MUCH = (
    "import sys\n"
    "from keystead import cli\n"
    "class Much:\n"
    "    def add_arguments(self, parser): pass\n"
    "    def run(self, options):\n"
    "        print('much')\n"
    "        return 0\n"
    "cli.importlib.import_module = lambda name: Much()\n"
    "sys.exit(cli.main(['hosts']))\n"
)


# Buffered, as a pipe's and a file's is, whatever the tests run under.
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def test_a_reader_that_goes_away_is_told_nothing() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as gone:
        ended = subprocess.run(
            [sys.executable, "-c", SAYS_MUCH],
            stdout=gone,
            stderr=subprocess.PIPE,
            env=BUFFERED,
            timeout=60,
            check=False,
        )
    assert (ended.returncode, ended.stderr) == (3, b"")


def test_what_was_answered_before_another_failure_stays() -> None:
    script = SAYS_MUCH.replace("return 0", "raise ConnectionRefusedError(111, 'refused')")
    ended = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        env=BUFFERED,
        text=True,
        timeout=60,
        check=False,
    )
    said = "keystead: reading or writing failed: refused\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "much\n", said)


def test_an_answer_that_cannot_be_written_is_one_line_and_a_status_of_its_own() -> None:
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(
            [sys.executable, "-c", SAYS_MUCH],
            stdout=full,
            stderr=subprocess.PIPE,
            env=BUFFERED,
            text=True,
            timeout=60,
            check=False,
        )
    said = "keystead: reading or writing failed: No space left on device\n"
    assert (ended.returncode, ended.stderr) == (3, said)


def test_help_and_verify_issuer_need_no_grpc() -> None:
    script = (
        "import sys\n"
        "from keystead.cli import main\n"
        "main(['--help'])\n"
        "assert not {'grpc', 'httpx', 'starlette', 'msgspec'} & sys.modules.keys()\n"
        "import keystead.cli.verify_issuer\n"
        "assert 'grpc' not in sys.modules\n"
    )
    subprocess.run(
        [sys.executable, "-c", script], check=True, timeout=60, stdout=subprocess.DEVNULL
    )


@pytest.mark.parametrize("length", [16, 22, 43])
@pytest.mark.parametrize("start", ["-", "--", "-_", "--A"])
def test_an_id_may_begin_with_a_hyphen(
    monkeypatch: pytest.MonkeyPatch, length: int, start: str
) -> None:
    seen: list[str] = []

    def run(options: argparse.Namespace) -> int:
        seen.extend([options.id, str(options.state)])
        return 0

    monkeypatch.setattr("keystead.cli.grants.run", run)
    id = start.ljust(length, "x")[:-1] + "9"
    assert main(["grants", "revoke", id, "--state", "folder"]) == 0
    assert seen == [id, "folder"]


def test_an_option_is_no_id(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["grants", "revoke", "--no-such-option"])
    assert "required: id" in capsys.readouterr().err
