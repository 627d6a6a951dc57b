"""Other people's verifiers: an environment and a process of their own, asked over a pipe.

    with Peers() as peers:
        runners |= peers.runners("keylime", verifier="keylime", items=items, bent=bent)

They are installed when a bench needs them first: Python's from ``requirements/peers.txt``, npm's
from ``peers/node/package-lock.json``. Where that fails, or a verifier accepts what it must refuse,
there is no runner, and ``missing`` says why.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.interleaved import Runner
from bench.progress import say

Item = Mapping[str, bytes]
"""What one verification is given, by names of the verifier's own, as its docstring has them."""

INSTALL_TIMEOUT_S = 300
NODE_VERSION = 20

_ROOT = Path(__file__).parent.parent
_REQUIREMENTS = _ROOT / "requirements" / "peers.txt"
_PROGRAMS = Path(__file__).parent / "peers"
_ENVIRONMENT = _ROOT / ".venv" / "peers"
_PYTHON = _ENVIRONMENT / "bin" / "python"
PEERS_FROM_NPM = _PROGRAMS / "node"


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where a peer runs. ``install`` answers what went wrong, or nothing."""

    command: Sequence[str]
    install: Callable[[], str]
    variables: Mapping[str, str] = field(default_factory=dict)

    def start(self) -> subprocess.Popen[str]:
        """The process, with pipes to ask it; what it says of errors goes nowhere."""
        return subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=_ROOT,
            env={**os.environ, **self.variables},
        )


class Peers:
    """The process that verifies; none where its environment could not be made."""

    def __init__(self, environment: Environment | None = None) -> None:
        self.missing: dict[str, str] = {}
        self._environment = environment or PYTHON
        self._process: subprocess.Popen[str] | None = None
        self._fault = ""

    def __enter__(self) -> Self:
        self._fault = self._environment.install()
        if not self._fault:
            self._process = self._environment.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.communicate()

    def runners(
        self, name: str, *, verifier: str, items: Sequence[Item], bent: Sequence[Item]
    ) -> dict[str, Runner]:
        """The runner called ``name``; nothing where the verifier cannot be measured.

        It has to accept all of ``items`` and to refuse each of ``bent`` before its figure counts.
        """
        answer = self._ask(
            {
                "load": name,
                "verifier": verifier,
                "items": [*map(_hex, items)],
                "bent": [*map(_hex, bent)],
            }
        )
        if "fault" in answer:
            self.missing[name] = str(answer["fault"])
            return {}
        return {name: lambda: float(self._ask({"run": name})["per_second"])}

    def _ask(self, question: Mapping[str, object]) -> dict[str, Any]:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            return {"fault": self._fault}
        try:
            process.stdin.write(json.dumps(question) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            return {"fault": "the process ended"}
        line = process.stdout.readline()
        return dict(json.loads(line)) if line else {"fault": "the process ended"}


def install() -> str:
    """Make the Python environment unless it stands."""
    wanted, stamp = _REQUIREMENTS.read_text(), _ENVIRONMENT / "installed.txt"
    if stamp.exists() and stamp.read_text() == wanted:
        return ""
    say("installing the peers …")
    shutil.rmtree(_ENVIRONMENT, ignore_errors=True)
    make = [sys.executable, "-m", "venv", str(_ENVIRONMENT)]
    pip = [str(_PYTHON), "-m", "pip", "install", "--quiet", "--require-hashes"]
    fault = _run(make) or _run([*pip, "-r", str(_REQUIREMENTS)])
    if not fault:
        stamp.write_text(wanted)
    return fault


def install_node() -> str:
    """Install what the lock file of npm names, unless it stands."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        return "node and npm are not installed"
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if int(said.lstrip("v").partition(".")[0]) < NODE_VERSION:
        return f"node {said.strip()} is older than {NODE_VERSION}"
    wanted = hashlib.sha256((PEERS_FROM_NPM / "package-lock.json").read_bytes()).hexdigest()
    stamp = PEERS_FROM_NPM / "node_modules" / ".installed"
    if stamp.exists() and stamp.read_text() == wanted:
        return ""
    say("installing the peers from npm …")
    fault = _run(["npm", "ci", "--prefer-offline", "--fetch-retries=1"], folder=PEERS_FROM_NPM)
    if not fault:
        stamp.write_text(wanted)
    return fault


def _run(command: Sequence[str], *, folder: Path = _ROOT) -> str:
    try:
        run = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            timeout=INSTALL_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"not installed: {type(error).__name__}"
    if run.returncode == 0:
        return ""
    said = run.stderr.strip().splitlines() or [f"{command[0]} failed"]
    return f"not installed: {said[-1]}"


def _hex(item: Item) -> dict[str, str]:
    return {name: value.hex() for name, value in item.items()}


PYTHON = Environment(command=(str(_PYTHON), str(_PROGRAMS / "verifiers.py")), install=install)
NODE = Environment(command=("node", str(PEERS_FROM_NPM / "verifiers.mjs")), install=install_node)
NODE_ENDPOINT = Environment(
    command=("node", str(PEERS_FROM_NPM / "token_endpoint.mjs")),
    install=install_node,
    variables={"NODE_ENV": "production"},
)


def own(engine: str) -> Environment:
    """Keystead's own verifier in another process, where KEYSTEAD_ENGINE can say which path."""
    return Environment(
        command=(sys.executable, "-m", "bench.peers.keystead_tokens"),
        install=lambda: "",
        variables={"KEYSTEAD_ENGINE": engine},
    )
