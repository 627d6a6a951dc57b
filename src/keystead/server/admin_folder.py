"""The administration socket's folder: whoever can reach the socket is trusted with it.

The socket has no other lock than its file permissions, so looser ones stop the start.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keystead.errors import ConfigurationError, Reason

MAX_SOCKET_PATH_BYTES = 107
"""``sun_path`` of Linux, without its final NUL."""
_ANYONE_ELSE = stat.S_IRWXG | stat.S_IRWXO


def check_admin_folder(socket: Path) -> None:
    """ConfigurationError unless the socket's folder is ours alone.

    ``permissions_too_open`` when others may enter it or own it, or when it is a symbolic link;
    ``configuration_invalid`` when it is missing or the path is too long for a socket.
    """
    if len(os.fsencode(socket)) > MAX_SOCKET_PATH_BYTES:
        raise ConfigurationError(
            Reason.CONFIGURATION_INVALID,
            f"{socket}: a socket's path has at most {MAX_SOCKET_PATH_BYTES} bytes",
        )
    folder = socket.parent
    try:
        found = os.lstat(folder)
    except OSError as error:
        raise ConfigurationError(
            Reason.CONFIGURATION_INVALID, f"{folder}: {error.strerror}"
        ) from None
    if not stat.S_ISDIR(found.st_mode):
        raise _too_open(folder, "not a folder, expected a folder of mode 0700")
    if found.st_mode & _ANYONE_ELSE:
        raise _too_open(folder, f"mode {stat.S_IMODE(found.st_mode):04o}, expected 0700")
    if found.st_uid != os.geteuid():
        raise _too_open(folder, f"belongs to user {found.st_uid}, expected {os.geteuid()}")


def check_admin_socket(socket: Path) -> None:
    """The same for the socket itself, once it is there: mode 0600."""
    found = os.lstat(socket)
    if not stat.S_ISSOCK(found.st_mode) or found.st_mode & _ANYONE_ELSE:
        raise _too_open(socket, f"mode {stat.S_IMODE(found.st_mode):04o}, expected 0600")


@contextmanager
def owner_only() -> Iterator[None]:
    """Files made inside are 0600 from their first moment on; no other thread makes any then."""
    before = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(before)


def _too_open(path: Path, what: str) -> ConfigurationError:
    return ConfigurationError(Reason.PERMISSIONS_TOO_OPEN, f"{path}: {what}")
