"""Asking a character device by ioctl: the few lines that its adapters share."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeAlias

from keystead.errors import KeysteadError, Reason, Refused, Unavailable

Ioctl: TypeAlias = Callable[[int, int, bytearray], None]
"""A file descriptor, a request number, and the structure that it reads and changes."""

# What another try may find otherwise: the device is busy, slow, or on its way.
_AWAY: Final = frozenset(
    {errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.ETIMEDOUT, errno.ENODEV, errno.ENXIO}
)


def system_ioctl(descriptor: int, request: int, structure: bytearray) -> None:
    """The system call; OSError says no, and ``structure`` may have been changed all the same."""
    fcntl.ioctl(descriptor, request, structure, True)


@contextmanager
def opened(device: Path) -> Iterator[int]:
    """A descriptor of ``device`` for the length of a block; Unavailable where there is none."""
    try:
        descriptor = os.open(device, os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        raise Unavailable(
            Reason.HARDWARE_UNAVAILABLE, f"{device}: {os.strerror(error.errno or 0)}"
        ) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def failure(where: object, error: OSError) -> KeysteadError:
    """What an error of an opened device means: Unavailable, or Refused (hardware_refused)."""
    detail = f"{where}: {errno.errorcode.get(error.errno or 0, error.errno)}"
    if error.errno in _AWAY:
        return Unavailable(Reason.HARDWARE_UNAVAILABLE, detail)
    return Refused(Reason.HARDWARE_REFUSED, detail)


class Memory:
    """Bytes that a structure can point to: the address holds for as long as this object lives."""

    def __init__(self, content: bytes, *, size: int | None = None) -> None:
        """``content``, and zeros up to ``size`` bytes."""
        self.size = len(content) if size is None else size
        self._buffer = ctypes.create_string_buffer(content, max(self.size, 1))

    @property
    def address(self) -> int:
        """Where it starts."""
        return ctypes.addressof(self._buffer)

    def read(self, count: int) -> bytes:
        """The first ``count`` bytes; never more than there are."""
        return self._buffer.raw[: min(count, self.size)]
