import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.codec import der
from keystead.codec.reader import Reader
from keystead.errors import Malformed


def test_reads_short_and_long_lengths() -> None:
    assert der.parse_element(b"\x04\x02ab", tag=der.OCTET_STRING).content == b"ab"
    long = b"\x04\x81\x80" + b"x" * 128
    element = der.parse_element(long, tag=der.OCTET_STRING)
    assert element.content == b"x" * 128 and element.raw == long
    longer = b"\x04\x82\x01\x00" + b"x" * 256
    assert len(der.parse_element(longer, tag=der.OCTET_STRING).content) == 256


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x04",
        b"\x04\x02a",
        b"\x04\x01ab",
        b"\x02\x01a",
        b"\x04\x80a\0\0",
        b"\x04\x81\x01a",
        b"\x04\x82\x00\x80" + b"x" * 128,
        b"\x04\x85\0\0\0\0\x01a",
        b"\x1f\x01\x01a",
    ],
)
def test_rejects_what_is_not_der(data: bytes) -> None:
    with pytest.raises(Malformed):
        der.parse_element(data, tag=der.OCTET_STRING)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("2a864886f70d01010b", "1.2.840.113549.1.1.11"),
        ("67810508 01", "2.23.133.8.1"),
        ("550403", "2.5.4.3"),
        ("00", "0.0"),
        ("27", "0.39"),
        ("883703", "2.999.3"),
    ],
)
def test_spells_oids(content: str, text: str) -> None:
    assert der.oid(bytes.fromhex(content)) == text


@pytest.mark.parametrize("content", ["", "80", "8001", "2a80", "2a86", "ff" * 11 + "01"])
def test_rejects_broken_oids(content: str) -> None:
    with pytest.raises(Malformed):
        der.oid(bytes.fromhex(content))


def test_reads_booleans_of_der_only() -> None:
    assert der.boolean(b"\xff") is True and der.boolean(b"\0") is False
    for content in (b"", b"\x01", b"\xff\xff"):
        with pytest.raises(Malformed):
            der.boolean(content)


def test_reads_named_bits() -> None:
    assert der.named_bits(b"\x05\xa0") == {0, 2}
    assert der.named_bits(b"\x00\x80\x01") == {0, 15}
    assert der.named_bits(b"\x00") == frozenset()
    for content in (b"", b"\x08\x00", b"\x01", b"\x01\x01"):
        with pytest.raises(Malformed):
            der.named_bits(content)


@given(st.binary(max_size=64))
def test_leaks_nothing_but_malformed(data: bytes) -> None:
    for read in (
        lambda: der.read_element(Reader(data)),
        lambda: list(der.elements(data)),
        lambda: der.oid(data),
        lambda: der.named_bits(data),
    ):
        with contextlib.suppress(Malformed):
            read()
