"""``keystead verify`` as a process of its own: a real key file, many tokens, pipes, its memory."""

import json
import shlex
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from keystead.cli.output import time_text
from keystead.cli.verify_lines import MAX_BATCH_LINES
from tests.jose_keys import public_jwk
from tests.relying_tokens import AUDIENCE, ISSUER, NOW, token

FEW, MANY = 2_000, 20_000
HUGE_BYTES = 64 << 20
# Two batches are alive for a moment, each of a few megabytes; ten times the lines are no more.
MAX_GROWTH_MB = 12
ISSUER_KEYS = ("issuer", "issuer-2", "issuer-3")
# Runs the command, then says on standard error how much memory it had at most, in KiB. Not by
# getrusage: its ru_maxrss also knows the process that this one was forked from, which is larger.
MEASURED = (
    "import sys\n"
    "from keystead.cli import main\n"
    "status = main(sys.argv[1:])\n"
    "lines = open('/proc/self/status').read().splitlines()\n"
    "print(*(line.split()[1] for line in lines if line.startswith('VmHWM')), file=sys.stderr)\n"
    "sys.exit(status)\n"
)
# Also where whoever started the tests had Ctrl-C ignored, which is inherited.
INTERRUPTED = (
    "import signal, sys\n"
    "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    "from keystead.cli import main\n"
    "sys.exit(main(sys.argv[1:]))\n"
)


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Files of tokens, by their number of lines, and what the verdicts must be."""

    jwks: Path
    few: Path
    many: Path
    verdicts: list[str]

    @property
    def arguments(self) -> list[str]:
        names = ["--jwks", str(self.jwks), "--issuer", ISSUER, "--audience", AUDIENCE]
        return ["verify", *names, "--at", time_text(NOW)]


def made(index: int) -> tuple[str, str]:
    """A token by one of a few keys and what it comes to: one in a hundred has expired."""
    name = ISSUER_KEYS[index % len(ISSUER_KEYS)]
    late = index % 100 == 99
    times = {"iat": NOW - 100, "exp": NOW - 50} if late else {}
    line = token(key=name, header={"kid": name}, **times)
    return line, "expired (step 8)" if late else "ok"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    folder = tmp_path_factory.mktemp("tokens")
    keys = [public_jwk("ES256", name, kid=name, use="sig").to_dict() for name in ISSUER_KEYS]
    (folder / "jwks.json").write_text(json.dumps({"keys": keys}))
    lines, verdicts = zip(*map(made, range(MANY)), strict=True)
    (folder / "few").write_text("".join(f"{line}\n" for line in lines[:FEW]))
    (folder / "many").write_text("".join(f"{line}\n" for line in lines))
    yield Corpus(
        jwks=folder / "jwks.json",
        few=folder / "few",
        many=folder / "many",
        verdicts=list(verdicts),
    )


def run(
    arguments: list[str], file: Path | str, **options: object
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        [sys.executable, "-c", MEASURED, *arguments, str(file)],
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
        **options,
    )


def peak_mb(ended: "subprocess.CompletedProcess[str]") -> float:
    return int(ended.stderr.splitlines()[-1]) / 1024


def test_ten_times_the_lines_need_no_more_memory(corpus: Corpus) -> None:
    few, many = run(corpus.arguments, corpus.few), run(corpus.arguments, corpus.many)
    assert (few.returncode, many.returncode) == (1, 1)
    assert few.stdout.splitlines() == corpus.verdicts[:FEW]
    assert many.stdout.splitlines() == corpus.verdicts
    counts = Counter(corpus.verdicts)
    assert [line.split() for line in many.stderr.splitlines()[1:-1]] == [
        ["ok", f"{counts['ok']:,}"],
        ["expired", f"{counts['expired (step 8)']:,}"],
    ]
    assert peak_mb(many) - peak_mb(few) < MAX_GROWTH_MB


def test_a_huge_line_is_a_verdict_and_not_memory(corpus: Corpus, tmp_path: Path) -> None:
    good = corpus.few.read_bytes().splitlines(keepends=True)
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.write(good[0] + b"x" * HUGE_BYTES + b"\n" + good[1])
        file.write(b"y" * HUGE_BYTES)  # the last, without an end
    ended, few = run(corpus.arguments, huge), run(corpus.arguments, corpus.few)
    too_large = "too_large (step 1)"
    assert ended.stdout.splitlines() == ["ok", too_large, "ok", too_large]
    assert ended.returncode == 1
    assert peak_mb(ended) - peak_mb(few) < MAX_GROWTH_MB < HUGE_BYTES >> 20


def test_reads_standard_input(corpus: Corpus) -> None:
    with corpus.few.open("rb") as file:
        from_file = run([*corpus.arguments, "--json"], "-", stdin=file)
    piped = run([*corpus.arguments, "--json"], "-", input=corpus.few.read_text())
    for ended in (from_file, piped):
        *verdicts, last = map(json.loads, ended.stdout.splitlines())
        assert ended.returncode == 1
        assert [each["line"] for each in verdicts] == list(range(1, FEW + 1))
        assert last["summary"]["lines"] == FEW
        assert last["summary"]["reasons"] == {"expired": FEW // 100}


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_ends_quietly_when_nobody_reads_on(corpus: Corpus, options: list[str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "keystead", *corpus.arguments, *options, str(corpus.many)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 3


@pytest.mark.parametrize("options", [[], ["--json"], ["--explain"]])
def test_a_full_device_is_one_line_and_no_verdict(corpus: Corpus, options: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "keystead", *corpus.arguments, *options, str(corpus.few)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    said = "keystead: reading or writing failed: No space left on device\n"
    assert (ended.returncode, ended.stderr) == (3, said)


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_an_interrupted_run_says_how_far_it_came(corpus: Corpus, options: list[str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, *corpus.arguments, *options, "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        sent = corpus.few.read_text().splitlines(keepends=True)[: MAX_BATCH_LINES + 10]
        process.stdin.writelines(sent)
        process.stdin.flush()  # and more may come: the second batch waits for it
        lines = [process.stdout.readline() for _ in range(MAX_BATCH_LINES)]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err
    # Where the signal came while it wrote, an empty line ends what was perhaps cut.
    lines += [line for line in out.splitlines() if line]
    if options:
        *verdicts, last = map(json.loads, lines)
        assert last["summary"]["interrupted"] is True
        assert last["summary"]["lines"] == len(verdicts) == MAX_BATCH_LINES
    else:
        assert err.startswith(f"interrupted after {MAX_BATCH_LINES:,} lines in ")
        assert len(lines) == MAX_BATCH_LINES


@pytest.mark.parametrize(
    ("closed", "file", "status", "said"),
    [
        ("2>&-", "few", 1, ["ok"] * 99 + ["expired (step 8)"]),
        (">&-", "few", 1, []),
        ("<&-", "-", 2, []),
    ],
)
def test_a_stream_that_is_closed_changes_no_verdict(
    closed: str, file: str, status: int, said: list[str], corpus: Corpus
) -> None:
    name = str(corpus.few) if file == "few" else file
    command = shlex.join([sys.executable, "-m", "keystead", *corpus.arguments, name])
    ended = subprocess.run(
        ["sh", "-c", f"{command} {closed}"], capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == status
    assert ended.stdout.splitlines() == said * (FEW // 100)
    assert "Traceback" not in ended.stderr
