"""What figures depend on: the machine, how busy it is, all versions, and which code runs on it."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from keystead.jose.batch import capabilities

COMMAND_TIMEOUT_S = 10
# Of Python's packages, those whose speed shows in a figure; peers name theirs themselves.
PACKAGES = ("keystead", "cryptography", "PyJWT", "joserfc", "grpcio", "cedarpy", "dcap-qvl")
COMMANDS = {
    "cc": ("cc", "--version"),
    "swtpm": ("swtpm", "--version"),
    "node": ("node", "--version"),
}
CPU_FEATURES = ("avx2", "bmi2", "adx", "sha_ni", "avx512f", "avx512ifma", "avx512_vbmi")

_ROOT = Path(__file__).parent.parent
_PEERS = _ROOT / ".venv" / "peers" / "installed.txt"
_PIN = re.compile(r"^([a-z0-9-]+)==([^\s;]+)", re.MULTILINE)


def describe_machine() -> dict[str, object]:
    """What makes figures of two runs comparable, all else being equal."""
    model, flags = _cpu()
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "cpu_features": [name for name in CPU_FEATURES if name in flags],
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": platform.platform(),
    }


def describe_moment() -> dict[str, object]:
    """When it was, in UTC, and how busy the machine."""
    return {
        "at": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
        "load_average": round(os.getloadavg()[0], 2),
    }


def paths() -> dict[str, dict[str, object]]:
    """Which code verifies what here."""
    return {
        name: {"path": each.path, "reason": each.reason, "forced": each.forced}
        for name, each in capabilities().items()
    }


def versions() -> dict[str, str]:
    """Of everything that a figure depends on; what is missing here is left out."""
    return {**dict(_ours()), **dict(_peers())}


def _ours() -> Iterator[tuple[str, str]]:
    commit = _output(("git", "-C", str(_ROOT), "describe", "--always", "--dirty"))
    if commit:
        yield "commit", commit
    yield "OpenSSL", _openssl()
    for name in PACKAGES:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    for name, command in COMMANDS.items():
        said = _output(command)
        if said:
            yield name, said


def _peers() -> Iterator[tuple[str, str]]:
    """The peers that have an environment of their own, by what was asked for."""
    asked = (_ROOT / "requirements" / "peers.in").read_text().split()
    if _PEERS.exists():
        pins = dict(_PIN.findall(_PEERS.read_text()))
        names = [name.partition("[")[0].lower() for name in asked]
        yield from ((f"{name} (peer)", pins[name]) for name in names if name in pins)


def _openssl() -> str:
    """The one that the engine is linked with, which is the system's."""
    try:
        library = ctypes.CDLL("libcrypto.so.3")
    except OSError:
        return "unknown"
    library.OpenSSL_version.restype = ctypes.c_char_p
    text: bytes = library.OpenSSL_version(0)
    return text.decode()


def _output(command: tuple[str, ...]) -> str:
    """The first line that ``command`` prints; nothing where it fails."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        run = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=COMMAND_TIMEOUT_S
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return run.stdout.partition("\n")[0].strip()


def _cpu() -> tuple[str, frozenset[str]]:
    """Its model and its flags, as Linux names them."""
    members: dict[str, str] = {}
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            members.setdefault(name.strip(), value.strip())
    return members.get("model name", platform.machine()), frozenset(
        members.get("flags", "").split()
    )
