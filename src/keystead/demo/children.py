"""Processes that end before the demo does, whatever happens to it.

Each is the leader of a session of its own, so that a terminal's Ctrl-C reaches the demo alone,
which then stops them by their process ids. The kernel kills them where the demo itself is killed.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from keystead.codec import json
from keystead.codec.json import JSON
from keystead.demo.failure import StepFailed
from keystead.errors import Malformed

# A cold start of Python, a new TPM and its keys, on a machine that is busy with other things.
READY_TIMEOUT_S = 60.0
# Longer than the service's drain of open requests takes when there are none.
STOP_TIMEOUT_S = 5.0
# One command is one call; a TPM may be busy with another's.
COMMAND_TIMEOUT_S = 30.0
_POLL_S = 0.005
# Whether it has ended, without reaping it: its number must stay its own until its group is gone.
_LOOK = os.WEXITED | os.WNOHANG | os.WNOWAIT
# An attestation result and its token are some kilobytes.
_MAX_LINE_BYTES = 1 << 20
_READ_BYTES = 65_536
_LOG_TAIL_LINES = 12
_LOG_TAIL_BYTES = 16_384


class Child:
    """A Python module that runs as a process and says one JSON object a line.

    Start it from a thread that lives as long as it shall: the kernel ties the two together.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start ``python -m`` with ``arguments``; its standard error goes to ``log``.

        ``environment`` adds to ours.
        """
        self.name = name
        self.log = log
        self._unread = b""
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [*_dies_with_us(), sys.executable, "-m", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
                env=_environment(log.parent) | dict(environment or {}),
            )

    @property
    def pid(self) -> int:
        """Its process id, which is its process group's too."""
        return self._process.pid

    def ask(self, request: Mapping[str, JSON], *, timeout_s: float) -> dict[str, JSON]:
        """Its answer to one line on its standard input."""
        pipe = self._process.stdin
        assert pipe is not None  # noqa: S101 - opened above
        try:
            pipe.write(json.encode(request) + b"\n")
            pipe.flush()
        except BrokenPipeError:
            raise self._ended() from None
        return self.read(timeout_s=timeout_s)

    def read(self, *, timeout_s: float) -> dict[str, JSON]:
        """The next object that it says."""
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._unread:
            self._unread += self._read_some(deadline)
            if len(self._unread) > _MAX_LINE_BYTES:
                raise StepFailed(f"{self.name} says more than {_MAX_LINE_BYTES} bytes at once")
        line, _, self._unread = self._unread.partition(b"\n")
        try:
            return json.parse_object(line, max_bytes=_MAX_LINE_BYTES)
        except Malformed as error:
            raise StepFailed(f"{self.name} says no JSON: {error.detail}") from None

    def log_tail(self) -> list[str]:
        """The last lines of its log."""
        text = self.log.read_bytes()[-_LOG_TAIL_BYTES:].decode("utf-8", "replace")
        return text.splitlines()[-_LOG_TAIL_LINES:]

    def ask_to_stop(self) -> None:
        """SIGTERM, without waiting."""
        if self._process.returncode is None:
            os.kill(self.pid, signal.SIGTERM)

    def wait(self, *, timeout_s: float) -> int:
        """Its exit status, once it has ended by itself; StepFailed if it does not."""
        self._wait_for_end(time.monotonic() + timeout_s)
        status = os.waitid(os.P_PID, self.pid, _LOOK)
        if status is None:
            raise StepFailed(f"{self.name} does not end")
        return status.si_status

    def stop(self) -> None:
        """End it and all that is left in its process group, at the latest after STOP_TIMEOUT_S."""
        if self._process.returncode is not None:
            return
        self.ask_to_stop()
        self._wait_for_end(time.monotonic() + STOP_TIMEOUT_S)
        # Not yet reaped, so the number is still this group's and nobody else's.
        os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _wait_for_end(self, deadline: float) -> None:
        while os.waitid(os.P_PID, self.pid, _LOOK) is None and time.monotonic() < deadline:
            time.sleep(_POLL_S)

    def _ended(self) -> StepFailed:
        last = self.log_tail()[-1:] or ["without a word"]
        return StepFailed(f"{self.name} has ended: {last[0]}")

    def _read_some(self, deadline: float) -> bytes:
        pipe = self._process.stdout
        assert pipe is not None  # noqa: S101 - opened above
        ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise StepFailed(f"{self.name} did not answer in time")
        data = os.read(pipe.fileno(), _READ_BYTES)
        if not data:
            raise self._ended()
        return data


def run_keystead(arguments: Sequence[str], *, log: Path) -> dict[str, JSON]:
    """The answer of one ``keystead … --json`` command, run as anybody would run it."""
    command = Child(
        f"`keystead {' '.join(arguments[:2])}`", ["keystead", *arguments, "--json"], log=log
    )
    try:
        answer = command.read(timeout_s=COMMAND_TIMEOUT_S)
        status = command.wait(timeout_s=STOP_TIMEOUT_S)
    finally:
        command.stop()
    if status != 0:
        raise StepFailed(f"{command.name} answers {json.encode(answer).decode()}")
    return answer


def _environment(folder: Path) -> dict[str, str]:
    """Ours, without what changes where commands find the service and its credential.

    What swtpm's tools leave lying about when they are interrupted goes away with the folder.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KEYSTEAD_")}
    return {**kept, "TMPDIR": str(folder)}


def _dies_with_us() -> list[str]:
    """util-linux's setpriv sets PR_SET_PDEATHSIG after the fork, where no Python code may run."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL"] if setpriv else []
