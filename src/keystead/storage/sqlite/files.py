"""Who may open the state file: its owner alone, and one process at a time for writing."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import stat
from pathlib import Path

from keystead.errors import ConfigurationError, Reason

# How long a statement waits for another program's lock (a backup, a shell) before it is refused.
_WRITER_BUSY_TIMEOUT_S = 2.0
# Readers run on the event loop; in WAL mode they wait only while a crashed log is recovered.
_READER_BUSY_TIMEOUT_S = 0.25
# Pages that each connection may keep, in KiB: idle service under 150 MB.
_WRITER_CACHE_KIB = 16_384
_READER_CACHE_KIB = 4_096
# What a burst may leave of the write-ahead log on disk.
_MAX_IDLE_WAL_BYTES = 67_108_864
# More statements than the adapter has.
_CACHED_STATEMENTS = 256


class WriterLock:
    """Held while this process is the one that writes; the kernel drops it when the process ends."""

    __slots__ = ("_descriptor",)

    def __init__(self, path: Path) -> None:
        """Raises ConfigurationError where another process holds it, or the folder is too open."""
        check_folder(path.parent)
        descriptor = _open_private(path.with_name(path.name + ".lock"))
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise ConfigurationError(
                Reason.CONFIGURATION_INVALID, f"{path} is in use by another running service"
            ) from error
        self._descriptor = descriptor

    def release(self) -> None:
        """Let the next process write; call it once."""
        os.close(self._descriptor)


def make_private_file(path: Path) -> None:
    """Create ``path`` (0600) if it is not there; ConfigurationError if others may open it.

    Call it under the lock and before SQLite opens the file: closing any descriptor of a file
    drops this process's POSIX locks on it, SQLite's own included.
    """
    created = not path.exists()
    os.close(_open_private(path))
    if created:
        _sync_folder(path.parent)


def check_folder(folder: Path) -> None:
    """ConfigurationError where ``folder`` is not there or others could replace files in it."""
    try:
        found = folder.stat()
    except OSError as error:
        raise _unusable(folder, error) from error
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise _too_open(folder, "0700")
    if found.st_uid not in (os.geteuid(), 0):
        raise _too_open(folder, "0700 and owned by this user")


def connect_writer(path: Path) -> sqlite3.Connection:
    """The one connection that writes. WAL, and every commit is on disk when it returns."""
    connection = _connect(path, "rw", _WRITER_BUSY_TIMEOUT_S)
    try:
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise sqlite3.OperationalError(f"no write-ahead log here, only {mode}")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{_WRITER_CACHE_KIB}")
        connection.execute(f"PRAGMA journal_size_limit = {_MAX_IDLE_WAL_BYTES}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write."""
    connection = _connect(path, "ro", _READER_BUSY_TIMEOUT_S)
    connection.execute("PRAGMA query_only = ON")
    connection.execute(f"PRAGMA cache_size = -{_READER_CACHE_KIB}")
    return connection


def _connect(path: Path, mode: str, timeout_s: float) -> sqlite3.Connection:
    # mode=rw never creates: a state file that vanished is an error, not a new, empty truth.
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=timeout_s,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_CACHED_STATEMENTS,
    )
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def _open_private(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        raise _unusable(path, error) from error
    if os.fstat(descriptor).st_mode & 0o077:
        os.close(descriptor)
        raise _too_open(path, "0600")
    return descriptor


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unusable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(Reason.CONFIGURATION_INVALID, f"{path}: {error.strerror}")


def _too_open(path: Path, wanted: str) -> ConfigurationError:
    return ConfigurationError(Reason.PERMISSIONS_TOO_OPEN, f"{path} must be {wanted}")
