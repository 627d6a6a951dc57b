"""A headless Chromium without a network, asked over the pipe of its DevTools protocol."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

COMMANDS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    "--headless",
    "--no-sandbox",  # it is root's where tests are, and the page is ours
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
)
ANSWER_TIMEOUT_S = 30.0
# Without another event for so long, the page is at rest.
QUIET_S = 0.5


def command() -> str:
    """The browser; the test is skipped where there is none."""
    found = next((path for name in COMMANDS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium here: apt-get install chromium-headless-shell")
    return found


class Browser:
    """One page of it."""

    def __init__(self, write: int, read: int) -> None:
        self._write, self._read = write, read
        self._unread = b""
        self._next = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of one command; what happened meanwhile is added to ``events``."""
        self._next += 1
        message: dict[str, Any] = {"id": self._next, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            said = self._said(ANSWER_TIMEOUT_S)
            assert said is not None, f"Chromium does not answer {method}"
            if said.get("id") == self._next:
                assert "error" not in said, said["error"]
                return dict(said["result"])
            self.events.append(said)

    def open(self, url: str) -> None:
        """Load ``url``, until nothing happens any more."""
        self.call("Page.navigate", url=url)
        while not self.of("Page.loadEventFired"):
            said = self._said(ANSWER_TIMEOUT_S)
            assert said is not None, "the page does not load"
            self.events.append(said)
        while said := self._said(QUIET_S):
            self.events.append(said)

    def evaluate(self, expression: str) -> Any:
        """What JavaScript says about the page."""
        said = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    def of(self, method: str) -> list[dict[str, Any]]:
        """The parameters of all events of one kind."""
        return [event["params"] for event in self.events if event.get("method") == method]

    def _said(self, timeout_s: float) -> dict[str, Any] | None:
        end = time.monotonic() + timeout_s
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._read], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                return None
            data = os.read(self._read, 65_536)
            assert data, "Chromium has ended"
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\0")
        return dict(json.loads(line))


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A browser whose profile is in ``folder``; it has ended afterwards."""
    theirs_read, write = os.pipe()
    read, theirs_write = os.pipe()
    # Its pipes are the descriptors 3 and 4, which only a shell puts there without code of ours
    # between fork and exec.
    script = f'exec "$@" 3<&{theirs_read} 4>&{theirs_write}'
    profile = f"--user-data-dir={folder / 'profile'}"
    process = subprocess.Popen(
        ["bash", "-c", script, "bash", command(), *OPTIONS, profile],
        pass_fds=(theirs_read, theirs_write),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs_read)
    os.close(theirs_write)
    try:
        yield Browser(write, read)
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(write)
        os.close(read)
