"""The folder of configfs-tsm through FUSE, with a faked machine behind it."""

from __future__ import annotations

import errno
import os
import stat
import struct
from dataclasses import dataclass, field

from tests.fake_devices import FakeTsm
from tests.fuse_device import (
    FLUSH,
    GETATTR,
    LOOKUP,
    MKDIR,
    OPEN,
    READ,
    RMDIR,
    WRITE,
    attributes,
    entry,
    opened,
    plain_answer,
)

# As the kernel makes them; configfs lets nobody do what a mode does not allow, root included.
MODES = {
    "generation": 0o444,
    "provider": 0o444,
    "privlevel": 0o200,
    "inblob": 0o200,
    "outblob": 0o400,
    "auxblob": 0o400,
}
ROOT = 1
_MKDIR_HEAD_BYTES = 8
_WRITE_HEAD_BYTES = 40


@dataclass
class OpenFile:
    """``content`` is settled at the first read; ``written`` is taken at the close."""

    node: int
    content: bytes | None = None
    written: bytes = b""


@dataclass
class TsmFolder:
    """``fake`` as files. A node is a folder's, or a file's by its folder and name."""

    fake: FakeTsm
    root_mode: int = stat.S_IFDIR | 0o755
    nodes: list[tuple[str, str]] = field(default_factory=lambda: [("", ""), ("", "")])
    files: list[OpenFile] = field(default_factory=list)

    def answer(self, code: int, node: int, request: bytes) -> bytes:
        folder, name = self.nodes[node]
        if code == GETATTR:
            return struct.pack("<QII", 0, 0, 0) + attributes(node, self._mode(folder, name))
        if code == LOOKUP:
            return self._lookup(folder, _text(request))
        if code == MKDIR:
            self.fake.make(_text(request[_MKDIR_HEAD_BYTES:]))
            return self._lookup("", _text(request[_MKDIR_HEAD_BYTES:]))
        if code == RMDIR:
            self.fake.remove(_text(request))
            return b""
        if code == OPEN:
            return self._open(node, struct.unpack_from("<I", request)[0])
        if code in (READ, WRITE, FLUSH):
            handle = struct.unpack_from("<Q", request)[0]
            return self._use(code, self.files[handle], folder, name, request)
        return plain_answer(code, node, 0)

    def _lookup(self, folder: str, name: str) -> bytes:
        known = name in MODES if folder else name in self.fake.folders
        if not known or (name == "auxblob" and self.fake.auxblob is None):
            raise OSError(errno.ENOENT, "no such file")
        self.nodes.append((folder, name) if folder else (name, ""))
        return entry(len(self.nodes) - 1, self._mode(*self.nodes[-1]))

    def _mode(self, folder: str, name: str) -> int:
        return stat.S_IFREG | MODES[name] if name else self.root_mode

    def _open(self, node: int, flags: int) -> bytes:
        mode = MODES[self.nodes[node][1]]
        wants = flags & os.O_ACCMODE
        reads, writes = wants != os.O_WRONLY, wants != os.O_RDONLY
        if (reads and not mode & 0o444) or (writes and not mode & 0o222):
            raise OSError(errno.EACCES, "not with this mode")
        self.files.append(OpenFile(node))
        return opened(len(self.files) - 1)

    def _use(self, code: int, file: OpenFile, folder: str, name: str, request: bytes) -> bytes:
        if code == READ:
            _, offset, size = struct.unpack_from("<QQI", request)
            if file.content is None:
                file.content = self.fake.read(folder, name, max_bytes=1 << 20)
            return file.content[offset : offset + size]
        if code == WRITE:
            file.written += request[_WRITE_HEAD_BYTES:]
            return struct.pack("<II", len(request) - _WRITE_HEAD_BYTES, 0)
        if file.written:
            self.fake.write(folder, name, file.written)
            file.written = b""
        return b""


def _text(data: bytes) -> str:
    return data.rstrip(b"\x00").decode()
