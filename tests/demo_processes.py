"""Runs of ``keystead`` as processes, and the proof that nothing of them is left."""

import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

# Inherited by everything that a run starts, however it starts it.
MARK = "TEST_RUN_OF_KEYSTEAD"


class Run:
    """One run of the command with a folder of its own for temporary files."""

    def __init__(self, arguments: list[str], *, folder: Path, path: str | None = None) -> None:
        self.folder = folder
        self._mark = f"{MARK}={uuid4()}"
        name, _, value = self._mark.partition("=")
        env = {**os.environ, name: value, "TMPDIR": str(folder)}
        if path is not None:
            env["PATH"] = path
        self.process = subprocess.Popen(
            [sys.executable, "-m", "keystead", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            start_new_session=True,
            cwd=folder,
        )

    def communicate(self) -> tuple[str, str]:
        """Wait for its end."""
        out, err = self.process.communicate(timeout=100)
        return out.decode(), err.decode()

    def read_until(self, text: str, *, timeout_s: float = 60) -> str:
        """Its standard output up to ``text``."""
        assert self.process.stdout is not None
        seen, deadline = b"", time.monotonic() + timeout_s
        while text.encode() not in seen:
            ready, _, _ = select.select([self.process.stdout], [], [], deadline - time.monotonic())
            data = os.read(self.process.stdout.fileno(), 65_536) if ready else b""
            assert data, f"no {text!r} in {seen.decode()!r}"
            seen += data
        return seen.decode()

    def others(self) -> dict[int, str]:
        """Processes of this run that live, without the first one: pid → command line."""
        alive = living(self._mark)
        alive.pop(self.process.pid, None)
        return alive

    def wait_for_process(self, name: str, *, timeout_s: float = 30) -> None:
        """Until the run has started a process with ``name`` in its command line."""
        deadline = time.monotonic() + timeout_s
        while not any(name in line for line in self.others().values()):
            assert time.monotonic() < deadline, f"no {name} among {self.others()}"
            time.sleep(0.01)

    def nothing_is_left(self, *, within_s: float = 0) -> bool:
        """Whether no process of the run lives, at the latest ``within_s`` from now."""
        deadline = time.monotonic() + within_s
        while self.others() and time.monotonic() < deadline:
            time.sleep(0.02)
        return not self.others()

    def temporary_files(self) -> list[str]:
        """What the run left behind."""
        return sorted(path.name for path in self.folder.iterdir())

    def end(self) -> None:
        """Kill what a failed test left, by process id."""
        for pid in (self.process.pid, *self.others()):
            if pid != self.process.pid or self.process.poll() is None:
                _kill(pid)
        self.process.communicate(timeout=20)


@contextmanager
def running(arguments: list[str], *, path: str | None = None) -> Iterator[Run]:
    """A run, ended at the end."""
    if path is None and shutil.which("swtpm_setup") is None:
        pytest.skip("swtpm is not installed")
    # Sockets have short names: pytest's own folders are too deep for them.
    with tempfile.TemporaryDirectory(prefix="ks-test-", dir="/tmp") as folder:
        run = Run(arguments, folder=Path(folder), path=path)
        try:
            yield run
        finally:
            run.end()


def living(mark: str) -> dict[int, str]:
    """Every process with ``mark`` in its environment; the ended ones have none."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                environment = (folder / "environ").read_bytes().split(b"\0")
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if mark.encode() in environment:
                found[int(folder.name)] = line
    return found


def _kill(pid: int) -> None:
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        return
