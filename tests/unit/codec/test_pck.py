import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.codec.certificate import Extension
from keystead.codec.der import INTEGER, OCTET_STRING, SEQUENCE, encode_element
from keystead.codec.pck import SGX_EXTENSION, PckTcb, parse_pck_extension
from keystead.errors import Malformed
from tests.intel_builder import FMSPC, SVNS, pck_extension

EXTENSION = pck_extension()


def parsed(value: bytes) -> PckTcb:
    return parse_pck_extension({SGX_EXTENSION: Extension(critical=False, value=value)})


def test_reads_the_platforms_family_and_versions() -> None:
    found = parsed(EXTENSION)
    assert (found.fmspc.hex(), found.pce_id, found.pce_svn) == (FMSPC, bytes(2), 11)
    assert found.svns == SVNS


def test_numbers_go_up_to_sixteen_bits() -> None:
    assert parsed(pck_extension(pce_svn=0xFFFF, svns=(255,) * 16)).pce_svn == 0xFFFF
    with pytest.raises(Malformed):
        parsed(pck_extension(pce_svn=0x10000))


def test_refuses_a_certificate_of_no_platform() -> None:
    with pytest.raises(Malformed):
        parse_pck_extension({})


def test_cut_at_any_byte_it_is_malformed() -> None:
    for size in range(len(EXTENSION)):
        with pytest.raises(Malformed):
            parsed(EXTENSION[:size])
    with pytest.raises(Malformed):
        parsed(EXTENSION + b"\x00")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (encode_element(OCTET_STRING, bytes.fromhex(FMSPC)), encode_element(OCTET_STRING, b"\1")),
        (encode_element(OCTET_STRING, bytes(2)), encode_element(OCTET_STRING, bytes(3))),
        (encode_element(INTEGER, b"\x0b"), encode_element(INTEGER, b"\xff")),
        (encode_element(INTEGER, b"\x0b"), encode_element(INTEGER, b"")),
        (encode_element(INTEGER, b"\x0b"), encode_element(OCTET_STRING, b"\x0b")),
        (encode_element(INTEGER, b"\x0b"), encode_element(INTEGER, b"\x0b") * 2),
    ],
)
def test_refuses_values_of_another_shape(old: bytes, new: bytes) -> None:
    pairs = EXTENSION[4:]
    assert pairs.count(old) == 1 and encode_element(SEQUENCE, pairs) == EXTENSION
    with pytest.raises(Malformed):
        parsed(rebuilt(old, new))


def rebuilt(old: bytes, new: bytes) -> bytes:
    """The extension with one value replaced and every length above it mended."""

    def walk(data: bytes) -> bytes:
        made = b""
        while data:
            head = 2 if data[1] < 0x80 else 2 + (data[1] & 0x7F)
            size = data[1] if head == 2 else int.from_bytes(data[2:head], "big")
            raw, content = data[: head + size], data[head : head + size]
            if raw == old:
                made += new
            else:
                made += encode_element(SEQUENCE, walk(content)) if raw[0] == SEQUENCE else raw
            data = data[head + size :]
        return made

    return walk(EXTENSION)


def test_refuses_what_stands_there_twice_or_not_at_all() -> None:
    pairs = EXTENSION[4:]
    for content in (pairs + pairs, pairs[:18], b"", encode_element(INTEGER, b"\x01")):
        with pytest.raises(Malformed):
            parsed(encode_element(SEQUENCE, content))


@given(data=st.binary(max_size=24), at=st.integers(0, len(EXTENSION)))
def test_nothing_but_malformed_comes_out(data: bytes, at: int) -> None:
    for bent in (data, EXTENSION[:at] + data + EXTENSION[at + len(data) :]):
        with contextlib.suppress(Malformed):
            assert len(parsed(bent).svns) == 16
