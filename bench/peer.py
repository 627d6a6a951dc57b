"""Other people's verifiers: a virtual environment and a process of their own, asked over a pipe.

    with Peers() as peers:
        runners |= peers.runners("keylime", verifier="keylime", items=items, bent=bent)

They are installed when a bench needs them first, from ``requirements/peers.txt``. Where that fails,
or a verifier accepts what it must refuse, there is no runner, and ``missing`` says why.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.interleaved import Runner

Item = Mapping[str, bytes]
"""What one verification is given, by names of the verifier's row in ``peers/verifiers.py``."""

INSTALL_TIMEOUT_S = 300

_ROOT = Path(__file__).parent.parent
_REQUIREMENTS = _ROOT / "requirements" / "peers.txt"
_PROGRAM = Path(__file__).parent / "peers" / "verifiers.py"
_ENVIRONMENT = _ROOT / ".venv" / "peers"
_PYTHON = _ENVIRONMENT / "bin" / "python"
_INSTALLED = _ENVIRONMENT / "installed.txt"


class Peers:
    """The process that verifies; none where they could not be installed."""

    def __init__(self) -> None:
        self.missing: dict[str, str] = {}
        self._process: subprocess.Popen[str] | None = None
        self._fault = ""

    def __enter__(self) -> Self:
        self._fault = install()
        if not self._fault:
            self._process = subprocess.Popen(
                [_PYTHON, _PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
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
        process.stdin.write(json.dumps(question) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        return dict(json.loads(line)) if line else {"fault": "the process ended"}


def install() -> str:
    """Make the environment unless it stands; what went wrong, or nothing."""
    wanted = _REQUIREMENTS.read_text()
    if _INSTALLED.exists() and _INSTALLED.read_text() == wanted:
        return ""
    print("installing the peers …", file=sys.stderr, flush=True)
    shutil.rmtree(_ENVIRONMENT, ignore_errors=True)
    make = [sys.executable, "-m", "venv", str(_ENVIRONMENT)]
    pip = [str(_PYTHON), "-m", "pip", "install", "--quiet", "--require-hashes"]
    for command in (make, [*pip, "-r", str(_REQUIREMENTS)]):
        try:
            run = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=INSTALL_TIMEOUT_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"not installed: {type(error).__name__}"
        if run.returncode != 0:
            return f"not installed: {(run.stderr.strip().splitlines() or ['pip failed'])[-1]}"
    _INSTALLED.write_text(wanted)
    return ""


def _hex(item: Item) -> dict[str, str]:
    return {name: value.hex() for name, value in item.items()}
