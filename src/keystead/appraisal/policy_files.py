"""A policy's digest: of its file, and of every file that the file names.

A root that was added to a folder of anchors changes what is believed as much as a line of the
policy does, so a change is a change also where nobody counted ``version`` up.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from keystead.appraisal.policy_tables import wrong

MAX_FILES: Final = 4_096
"""Every vendor's every CA, several times over."""
MAX_FILE_BYTES: Final = 8 << 20

_NAMES_FILES: Final = frozenset({"path", "jwks_file", "revocation_lists"})


def policy_digest(path: Path) -> str:
    """Hex SHA-256 over the policy file ``path`` and the files that it names, names included.

    ConfigurationError where one cannot be read, the policy is no TOML, or there are too many.
    """
    digest = hashlib.sha256()
    policy = _read(path)
    _add(digest, b"", policy)
    try:
        named = sorted(set(_named(tomllib.loads(policy.decode()))))
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError, TOMLDecodeError
        raise wrong(f"{path}: {error}") from error
    files = [file for name in named for file in _files(path.parent / name)]
    if len(files) > MAX_FILES:
        raise wrong(f"{path}: names more than {MAX_FILES} files")
    for file in files:
        _add(digest, file.name.encode(), _read(file))
    return digest.hexdigest()


def _named(value: object, key: str = "") -> Iterator[str]:
    """The texts below the entries that name files, wherever they stand."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _named(each, name)
    elif isinstance(value, list):
        for each in value:
            yield from _named(each, key)
    elif isinstance(value, str) and key in _NAMES_FILES:
        yield value


def _files(path: Path) -> list[Path]:
    return sorted(each for each in path.iterdir() if each.is_file()) if path.is_dir() else [path]


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_FILE_BYTES)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise wrong(f"{path}: {getattr(error, 'strerror', error)}") from error


def _add(digest: hashlib._Hash, name: bytes, content: bytes) -> None:
    """Each part with its length, so that no two sets of files make one digest."""
    for part in (name, content):
        digest.update(len(part).to_bytes(8, "big") + part)
