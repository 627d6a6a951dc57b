"""Child processes: their lines, their end, and what is left of them, which is nothing."""

import os
import time
from pathlib import Path

import pytest

from keystead.demo.children import Child
from keystead.demo.failure import StepFailed

ECHO = """\
import json, sys
for line in sys.stdin:
    print(json.dumps({"got": json.loads(line), "folder": __import__("os").environ["TMPDIR"]}))
    sys.stdout.flush()
"""
# Two processes that do not care for SIGTERM; the younger one stays in the group of the elder.
STUBBORN = """\
import json, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sleep = subprocess.Popen(["sleep", "600"], preexec_fn=lambda: signal.signal(15, signal.SIG_IGN))
print(json.dumps({"sleep": sleep.pid}), flush=True)
time.sleep(600)
"""
# Ends in order, but leaves somebody behind.
FORGETFUL = """\
import json, subprocess, time
sleep = subprocess.Popen(["sleep", "600"])
print(json.dumps({"sleep": sleep.pid}), flush=True)
time.sleep(600)
"""


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("KEYSTEAD_CREDENTIAL", "of somebody else")
    children = []

    def run(program: str) -> Child:
        (tmp_path / "program.py").write_text(program)
        children.append(Child("program", ["program"], log=tmp_path / "program.log"))
        return children[-1]

    yield run
    for child in children:
        child.stop()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_asks_and_reads_lines(start, tmp_path: Path) -> None:
    child = start(ECHO)
    for number in range(3):
        answer = child.ask({"n": number}, timeout_s=20)
        assert answer == {"got": {"n": number}, "folder": str(tmp_path)}


def test_does_not_inherit_a_credential(start) -> None:
    child = start(
        "import os, json; print(json.dumps({'c': os.environ.get('KEYSTEAD_CREDENTIAL')}))"
    )
    assert child.read(timeout_s=20) == {"c": None}


def test_stop_ends_what_ignores_it_and_its_children(start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keystead.demo.children.STOP_TIMEOUT_S", 0.2)
    child = start(STUBBORN)
    sleep = child.read(timeout_s=20)["sleep"]
    assert is_alive(child.pid)
    assert is_alive(sleep)
    child.stop()
    assert not is_alive(child.pid)
    assert gone(sleep)


def test_stop_ends_what_an_orderly_child_left_behind(start) -> None:
    child = start(FORGETFUL)
    sleep = child.read(timeout_s=20)["sleep"]
    child.stop()
    assert gone(sleep)
    child.stop()  # again is nothing


def gone(pid: int) -> bool:
    """Its new parent reaps it in its own time."""
    deadline = time.monotonic() + 5
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not is_alive(pid)


def test_its_end_is_told_with_the_last_line_of_its_log(start) -> None:
    child = start("import sys; sys.exit('the reason')")
    with pytest.raises(StepFailed, match="program has ended: the reason"):
        child.read(timeout_s=20)
    assert child.log_tail() == ["the reason"]
    assert child.wait(timeout_s=20) == 1


def test_silence_is_a_failure(start) -> None:
    child = start("import time; time.sleep(600)")
    with pytest.raises(StepFailed, match="did not answer in time"):
        child.read(timeout_s=0.1)


@pytest.mark.parametrize("line", ["nonsense", '{"a":1,"a":2}', "[]", '{"a":'])
def test_a_line_that_is_no_json_object_is_a_failure(start, line: str) -> None:
    child = start(f"print({line!r})")
    with pytest.raises(StepFailed, match="says no JSON"):
        child.read(timeout_s=20)


def test_each_child_leads_a_session_of_its_own(start) -> None:
    child = start("import time; time.sleep(600)")
    assert os.getpgid(child.pid) == os.getsid(child.pid) == child.pid
