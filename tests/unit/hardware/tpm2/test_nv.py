"""Reading an index from a transport that answers as a TPM does, with any size and any fault."""

from collections.abc import Callable
from pathlib import Path

import pytest

from keystead.codec.hcl import parse_hcl_report
from keystead.codec.tpm2.primitives import encode_tpm2b, u16, u32
from keystead.errors import Refused
from keystead.hardware.tpm2.connection import Authorizations, Connection
from keystead.hardware.tpm2.nv import MAX_NV_BYTES, find_index, read_index
from keystead.hardware.tpm2.response_codes import RC_HANDLE, TpmError
from keystead.hardware.tpm2.transport import ConnectionLost

INDEX = 0x01400001
WRITTEN, OWNER_READ, AUTH_READ = 1 << 29, 1 << 17, 1 << 18
NV_READ, READ_PUBLIC, GET_CAPABILITY = 0x14E, 0x169, 0x17A
RH_OWNER = 0x40000001


class Storage:
    """A transport to a TPM with one index; ``short`` is how many bytes each read falls short."""

    def __init__(
        self,
        data: bytes,
        *,
        attributes: int = WRITTEN | OWNER_READ | AUTH_READ,
        size: int | None = None,
        buffer: int = 1_024,
        short: int = 0,
    ) -> None:
        self._data = data
        self._size = len(data) if size is None else size
        self._attributes = attributes
        self._buffer = buffer
        self._short = short
        self.reads: list[tuple[int, int, int]] = []

    def exchange(self, command: bytes, *, deadline: float) -> bytes:
        code = int.from_bytes(command[6:10], "big")
        if code == READ_PUBLIC:
            return self._read_public(int.from_bytes(command[10:14], "big"))
        if code == GET_CAPABILITY:
            return _answer(b"\x00" + u32(6) + u32(1) + u32(0x12C) + u32(self._buffer))
        assert code == NV_READ
        authority = int.from_bytes(command[10:14], "big")
        size, offset = divmod(int.from_bytes(command[-4:], "big"), 1 << 16)
        self.reads.append((authority, size, offset))
        assert size <= self._buffer
        found = self._data[offset : offset + size - self._short]
        return _answer(encode_tpm2b(found), sessions=True)

    def _read_public(self, index: int) -> bytes:
        if index != INDEX:
            return u16(0x8001) + u32(10) + u32(RC_HANDLE | 0x100)
        public = u32(index) + u16(0xB) + u32(self._attributes) + u16(0) + u16(self._size)
        return _answer(encode_tpm2b(public) + encode_tpm2b(b"name"))

    def meanwhile(self, work: Callable[[], None]) -> None: ...

    def close(self) -> None: ...


def _answer(body: bytes, *, sessions: bool = False) -> bytes:
    if sessions:
        body = u32(len(body)) + body + u16(0) + b"\x01" + u16(0)
    return u16(0x8002 if sessions else 0x8001) + u32(10 + len(body)) + u32(0) + body


def connection(storage: Storage) -> Connection:
    return Connection(
        storage, timeout_s=1, create_timeout_s=1, authorizations=Authorizations(owner=b"pw")
    )


DATA = bytes(range(256)) * 10 + bytes(40)


def test_reads_an_index_in_pieces_of_the_tpms_buffer() -> None:
    for buffer, piece in ((1_024, 512), (512, 512), (300, 300)):
        storage = Storage(DATA, buffer=buffer)
        assert find_index(connection(storage), INDEX) == DATA
        assert {size for _, size, _ in storage.reads[:-1]} == {piece}
        assert sum(size for _, size, _ in storage.reads) == len(DATA) == 2_600


@pytest.mark.parametrize(
    ("attributes", "authority"),
    [(OWNER_READ | AUTH_READ, INDEX), (AUTH_READ, INDEX), (OWNER_READ, RH_OWNER)],
)
def test_reads_by_the_index_or_by_the_owner(attributes: int, authority: int) -> None:
    storage = Storage(DATA, attributes=WRITTEN | attributes)
    assert find_index(connection(storage), INDEX) == DATA
    assert {each for each, _, _ in storage.reads} == {authority}


def test_an_index_that_is_not_there_is_none_or_an_error() -> None:
    storage = Storage(DATA)
    assert find_index(connection(storage), INDEX + 1) is None
    with pytest.raises(TpmError):
        read_index(connection(storage), INDEX + 1)


def test_nothing_was_written_yet() -> None:
    assert find_index(connection(Storage(DATA, attributes=OWNER_READ)), INDEX) == b""


def test_reads_no_index_larger_than_any_of_use() -> None:
    assert find_index(connection(Storage(bytes(MAX_NV_BYTES))), INDEX) == bytes(MAX_NV_BYTES)
    storage = Storage(b"", size=MAX_NV_BYTES + 1)
    with pytest.raises(Refused, match="of 8193 bytes"):
        find_index(connection(storage), INDEX)
    assert storage.reads == []


def test_believes_no_more_bytes_than_it_asked_for() -> None:
    with pytest.raises(ConnectionLost):
        find_index(connection(Storage(DATA, short=-1)), INDEX)


def test_believes_no_fewer_bytes_than_it_asked_for() -> None:
    with pytest.raises(ConnectionLost):
        find_index(connection(Storage(DATA, short=1)), INDEX)


@pytest.mark.parametrize("file", ["coco-azsnp-hcl.bin", "coco-aztdx-hcl.bin", "kin-hcl-tdx.bin"])
def test_reads_real_reports_of_their_real_size(vectors: Path, file: str) -> None:
    data = (vectors / "azure" / file).read_bytes()
    found = find_index(connection(Storage(data)), INDEX)
    assert found == data
    assert parse_hcl_report(found).raw == data
