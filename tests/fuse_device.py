"""A file whose ioctl a test answers: the system call is real, the device behind it is not.

It speaks the kernel's FUSE protocol over ``/dev/fuse`` itself, of which one file without a folder
needs little. The program that asks has to be this process, since answers are written to its memory.
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
from dataclasses import dataclass
from pathlib import Path

import pytest

Answer = Callable[[int, int, bytearray], None]

FUSE = Path("/dev/fuse")

_GETATTR, _OPEN, _RELEASE, _FLUSH, _INIT, _DESTROY, _IOCTL = 3, 14, 18, 25, 26, 38, 39
_FORGET, _INTERRUPT, _BATCH_FORGET = 2, 36, 42
_SILENT = frozenset({_FORGET, _INTERRUPT, _BATCH_FORGET})
_REQUEST = struct.Struct("<IIQQIIII")
_REPLY = struct.Struct("<IiQ")
_IOCTL_IN = struct.Struct("<QIIQII")
_MINOR = 31
_DETACH = 2
_MAX_REQUEST_BYTES = 1 << 20
_DIRECT_IO = 1


@contextmanager
def fuse_device(path: Path, answer: Answer) -> Iterator[None]:
    """``path``, a new file, as a device; the test is skipped where FUSE cannot be mounted."""
    if os.geteuid() != 0 or not FUSE.exists():
        pytest.skip("a FUSE mount needs root and /dev/fuse")
    path.touch()
    device = os.open(FUSE, os.O_RDWR | os.O_CLOEXEC)
    try:
        _mount(device, path)
        thread = threading.Thread(target=_Server(device, answer).run, daemon=True)
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


def _mount(device: int, path: Path) -> None:
    options = f"fd={device},rootmode={stat.S_IFREG:o},user_id=0,group_id=0"
    if _libc().mount(b"keystead-test", os.fsencode(path), b"fuse", 0, options.encode()):
        pytest.skip(f"FUSE cannot be mounted here: {os.strerror(ctypes.get_errno())}")


@dataclass
class _Server:
    """Answers the requests of one mount until it ends."""

    device: int
    answer: Answer

    def run(self) -> None:
        with suppress(OSError):  # ENODEV: the mount is gone
            while True:
                request = os.read(self.device, _MAX_REQUEST_BYTES)
                _, code, unique, *_ = _REQUEST.unpack_from(request)
                if code in _SILENT:
                    continue
                try:
                    body, error = self._body(code, request[_REQUEST.size :]), 0
                except OSError as refused:
                    body, error = b"", refused.errno or errno.EIO
                os.write(self.device, _REPLY.pack(_REPLY.size + len(body), -error, unique) + body)

    def _body(self, code: int, request: bytes) -> bytes:
        if code == _INIT:
            major, _, readahead = struct.unpack_from("<III", request)
            limits = struct.pack("<HHIIHHI28x", 1, 1, 4_096, 1, 0, 0, 0)
            return struct.pack("<IIII", major, _MINOR, readahead, 0) + limits
        if code == _GETATTR:
            mode = stat.S_IFREG | 0o600
            times = struct.pack("<QQQQQQIII", 1, 0, 0, 0, 0, 0, 0, 0, 0)
            return (
                struct.pack("<QII", 0, 0, 0) + times + struct.pack("<7I", mode, 1, 0, 0, 0, 512, 0)
            )
        if code == _OPEN:
            return struct.pack("<QII", 0, _DIRECT_IO, 0)
        if code == _IOCTL:
            return self._ioctl(request)
        if code in (_RELEASE, _FLUSH, _DESTROY):
            return b""
        raise OSError(errno.ENOSYS, "not of use here")

    def _ioctl(self, request: bytes) -> bytes:
        _, _, number, _, size, room = _IOCTL_IN.unpack_from(request)
        structure = bytearray(request[_IOCTL_IN.size :])
        assert len(structure) == size == room
        self.answer(self.device, number, structure)
        return struct.pack("<iIII", 0, 0, 0, 0) + structure
