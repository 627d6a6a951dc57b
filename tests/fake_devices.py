"""Devices of confidential machines that are none: they answer as the kernel's drivers do."""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from keystead.codec import cbor
from tests.nitro_builder import Enclave

NSM_REQUEST = 0xC0200A00
SNP_GET_EXT_REPORT = 0xC0205302


def peek(address: int, count: int) -> bytes:
    """Memory of this process, as a driver reads it."""
    return ctypes.string_at(address, count)


def poke(address: int, data: bytes) -> None:
    """Memory of this process, as a driver writes it."""
    ctypes.memmove(address, data, len(data))


@dataclass
class FakeNsm:
    """``/dev/nsm`` as an ioctl function: it makes documents of an enclave that does not exist.

    ``answer`` replaces what is written back, ``claimed`` the size that is said, ``error`` fails.
    """

    enclave: Enclave = field(default_factory=Enclave)
    answer: bytes | None = None
    claimed: int | None = None
    error: int | None = None
    asked: list[Any] = field(default_factory=list)

    def __call__(self, descriptor: int, request: int, structure: bytearray) -> None:
        assert request == NSM_REQUEST
        where, size, back, room = struct.unpack("<QQQQ", structure)
        if self.error is not None:
            raise OSError(self.error, "faked")
        if size > 0x1000:
            raise OSError(errno.EMSGSIZE, "faked")
        said = cbor.parse(peek(where, size), max_bytes=0x1000)
        self.asked.append(said)
        answer = self.respond(said) if self.answer is None else self.answer
        assert len(answer) <= room == 0x3000
        poke(back, answer)
        claimed = len(answer) if self.claimed is None else self.claimed
        structure[:] = struct.pack("<QQQQ", where, size, back, claimed)

    def respond(self, request: Any) -> bytes:
        """What the module says to ``request``."""
        if not isinstance(request, dict) or list(request) != ["Attestation"]:
            return cbor.encode({"Error": "InvalidOperation"})
        fields = request["Attestation"]
        document = self.enclave.document(**fields)
        return cbor.encode({"Attestation": {"document": document}})


@dataclass
class FakeSevGuest:
    """``/dev/sev-guest`` as an ioctl function, of a guest that does not exist."""

    report: Callable[[bytes], bytes]
    table: bytes = b""
    firmware: int = 0
    host: int = 0
    status: int = 0
    size: int | None = None
    error: int | None = None
    asked: list[tuple[bytes, int]] = field(default_factory=list)

    def __call__(self, descriptor: int, request: int, structure: bytearray) -> None:
        assert (request, len(structure), structure[0]) == (SNP_GET_EXT_REPORT, 32, 1)
        asked, answer, _, _ = struct.unpack("<8xQQII", structure)
        data, vmpl, table, room = struct.unpack("<64sI28xQI4x", peek(asked, 112))
        self.asked.append((data, vmpl))
        struct.pack_into("<II", structure, 24, self.firmware, self.host)
        if self.error is not None:
            raise OSError(self.error, "faked")
        assert room == 0x4000 >= len(self.table)
        poke(table, self.table)
        made = self.report(data)
        size = len(made) if self.size is None else self.size
        poke(answer, struct.pack("<II24x", self.status, size) + made)


@dataclass
class FakeTsm:
    """The files of configfs-tsm, of a machine that does not exist.

    ``others`` says how often somebody else writes before the report is read; ``fails`` has an errno
    for the name of a file, ``""`` for making the folder; ``busy`` is how many writes find it busy.
    """

    outblob: Callable[[bytes], bytes]
    auxblob: bytes | None = None
    provider: str = "sev_guest\n"
    there: bool = True
    others: int = 0
    busy: int = 0
    fails: dict[str, int] = field(default_factory=dict)
    replaced: dict[str, bytes] = field(default_factory=dict)
    generation: int = 0
    folders: set[str] = field(default_factory=set)
    written: list[tuple[str, bytes]] = field(default_factory=list)

    def make(self, name: str) -> None:
        self._fail("")
        assert name not in self.folders
        self.folders.add(name)

    def write(self, name: str, attribute: str, data: bytes) -> None:
        self._fail(attribute)
        assert name in self.folders
        assert attribute in ("inblob", "privlevel")
        if self.busy:
            self.busy -= 1
            raise OSError(errno.EBUSY, "faked")
        self.written.append((attribute, data))
        self.generation += 1

    def read(self, name: str, attribute: str, *, max_bytes: int) -> bytes:
        self._fail(attribute)
        assert name in self.folders
        return self.replaced.get(attribute, self._content(attribute))[:max_bytes]

    def remove(self, name: str) -> None:
        self.folders.remove(name)
        self._fail("remove")

    def _content(self, attribute: str) -> bytes:
        if attribute == "provider":
            return self.provider.encode()
        if attribute == "generation":
            return f"{self.generation}\n".encode()
        if attribute == "auxblob":
            if self.auxblob is None:
                raise FileNotFoundError(errno.ENOENT, "faked")
            return self.auxblob
        assert attribute == "outblob"
        if self.others:
            self.others -= 1
            self.generation += 1
        return self.outblob(self.written[-1][1])

    def _fail(self, attribute: str) -> None:
        if attribute in self.fails:
            raise OSError(self.fails[attribute], "faked")


def certificate_table(*entries: tuple[str, bytes], tail: bytes = b"") -> bytes:
    """The host's table: GUIDs as text, and what stands under them."""
    at = (len(entries) + 1) * 24
    head, body = b"", b""
    for guid, content in entries:
        raw = bytes.fromhex(guid.replace("-", ""))
        head += raw + struct.pack("<II", at + len(body), len(content))
        body += content
    return head + bytes(24) + body + tail


VCEK = "63da758d-e664-4564-adc5-f4b93be8accd"
VLEK = "a8074bc2-a25a-483e-aae6-39c045a0b8a1"
ASK = "4ab7b379-bbac-4fe4-a02f-05aef327c782"
ARK = "c0b406a4-a803-4952-9743-3fb6014cd0ae"
CRL = "92f81bc3-5811-4d3d-97ff-d19f88dc67ea"
