"""Files whose system calls a test answers: the kernel is real, the device behind it is not.

It speaks the kernel's FUSE protocol over ``/dev/fuse`` itself, of which these files need little.
The program that asks a device has to be this process, since answers are written to its memory.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import pytest

FUSE = Path("/dev/fuse")

(LOOKUP, FORGET, GETATTR, MKDIR, RMDIR, OPEN, READ, WRITE) = (1, 2, 3, 9, 11, 14, 15, 16)
(RELEASE, FLUSH, INIT, INTERRUPT, DESTROY, IOCTL, BATCH_FORGET) = (18, 25, 26, 36, 38, 39, 42)

_SILENT = frozenset({FORGET, INTERRUPT, BATCH_FORGET})
_REQUEST = struct.Struct("<IIQQIIII")
_REPLY = struct.Struct("<IiQ")
_IOCTL_IN = struct.Struct("<QIIQII")
_MINOR = 31
_DETACH = 2
_MAX_REQUEST_BYTES = 1 << 20
_DIRECT_IO = 1


class FileSystem(Protocol):
    """What answers the requests about the files of one mount; OSError is an answer too."""

    root_mode: int

    def answer(self, code: int, node: int, request: bytes) -> bytes:
        """The body of the reply; ``node`` is what the request is about."""
        ...


class IoctlFile:
    """One file that is a device: ``ioctl`` gets number and structure of each call."""

    root_mode = stat.S_IFREG | 0o600

    def __init__(self, ioctl: Callable[[int, int, bytearray], None]) -> None:
        self._ioctl = ioctl

    def answer(self, code: int, node: int, request: bytes) -> bytes:
        if code != IOCTL:
            return plain_answer(code, node, self.root_mode)
        _, _, number, _, size, room = _IOCTL_IN.unpack_from(request)
        structure = bytearray(request[_IOCTL_IN.size :])
        assert len(structure) == size == room
        self._ioctl(-1, number, structure)
        return struct.pack("<iIII", 0, 0, 0, 0) + structure


def plain_answer(code: int, node: int, mode: int) -> bytes:
    """What any file says to the simplest requests; ENOSYS to others."""
    if code == GETATTR:
        return struct.pack("<QII", 0, 0, 0) + attributes(node, mode)
    if code == OPEN:
        return opened(0)
    if code in (RELEASE, FLUSH, DESTROY):
        return b""
    raise OSError(errno.ENOSYS, "not of use here")


def attributes(node: int, mode: int) -> bytes:
    """struct fuse_attr: its number, no size, no times, the mode, one link."""
    return struct.pack("<Q52x7I", node, mode, 1, 0, 0, 0, 512, 0)


def entry(node: int, mode: int) -> bytes:
    """struct fuse_entry_out, never to be remembered."""
    return struct.pack("<Q32x", node) + attributes(node, mode)


def opened(handle: int) -> bytes:
    """struct fuse_open_out, without the kernel's cache."""
    return struct.pack("<QII", handle, _DIRECT_IO, 0)


@contextmanager
def mounted(path: Path, files: FileSystem) -> Iterator[None]:
    """``files`` at ``path``; the test is skipped where FUSE cannot be mounted."""
    if os.geteuid() != 0 or not FUSE.exists():
        pytest.skip("a FUSE mount needs root and /dev/fuse")
    path.mkdir() if stat.S_ISDIR(files.root_mode) else path.touch()
    device = os.open(FUSE, os.O_RDWR | os.O_CLOEXEC)
    try:
        _mount(device, path, files.root_mode)
        thread = threading.Thread(target=_serve, args=(device, files), daemon=True)
        thread.start()
        try:
            yield
        finally:
            _libc().umount2(os.fsencode(path), _DETACH)
            thread.join(5)
    finally:
        os.close(device)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _mount(device: int, path: Path, mode: int) -> None:
    options = f"fd={device},rootmode={stat.S_IFMT(mode):o},user_id=0,group_id=0"
    if _libc().mount(b"keystead-test", os.fsencode(path), b"fuse", 0, options.encode()):
        pytest.skip(f"FUSE cannot be mounted here: {os.strerror(ctypes.get_errno())}")


def _serve(device: int, files: FileSystem) -> None:
    with suppress(OSError):  # ENODEV: the mount is gone
        while True:
            request = os.read(device, _MAX_REQUEST_BYTES)
            _, code, unique, node, *_ = _REQUEST.unpack_from(request)
            if code in _SILENT:
                continue
            try:
                body, error = _body(files, code, node, request[_REQUEST.size :]), 0
            except OSError as refused:
                body, error = b"", refused.errno or errno.EIO
            os.write(device, _REPLY.pack(_REPLY.size + len(body), -error, unique) + body)


def _body(files: FileSystem, code: int, node: int, request: bytes) -> bytes:
    if code != INIT:
        return files.answer(code, node, request)
    major, _, readahead = struct.unpack_from("<III", request)
    limits = struct.pack("<HHIIHHI28x", 1, 1, 4_096, 1, 0, 0, 0)
    return struct.pack("<IIII", major, _MINOR, readahead, 0) + limits
