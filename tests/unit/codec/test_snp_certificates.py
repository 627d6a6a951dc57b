import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.codec.snp_certificates import MAX_ENTRIES, MAX_TABLE_BYTES, TableEntry, parse_table
from keystead.errors import Malformed, Reason
from tests.fake_devices import ARK, ASK, CRL, VCEK, VLEK, certificate_table
from tests.snp_builder import ask, ca, endorsement
from tests.unit.codec.test_pem import pem

LEAF = endorsement()
ROOT = ca("ARK-Test")
GOOD = certificate_table((VCEK, LEAF), (ASK, ask()), (ARK, ROOT))


def refusal(table: bytes) -> Reason:
    with pytest.raises(Malformed) as refused:
        parse_table(table)
    return refused.value.reason


def entry(guid: str, offset: int, length: int) -> bytes:
    return bytes.fromhex(guid.replace("-", "")) + struct.pack("<II", offset, length)


def test_reads_the_certificates_by_whose_they_are() -> None:
    assert parse_table(GOOD) == {
        TableEntry.VCEK: LEAF,
        TableEntry.ASK: ask(),
        TableEntry.ARK: ROOT,
    }


def test_reads_a_table_that_the_driver_filled_with_zeros() -> None:
    assert parse_table(GOOD.ljust(0x4000, b"\x00")) == parse_table(GOOD)


def test_guids_have_their_bytes_as_they_are_written() -> None:
    """Not as Microsoft orders them; the table of a test is made from the same constants."""
    assert TableEntry.VCEK.value.bytes.hex() == "63da758de6644564adc5f4b93be8accd"
    assert TableEntry.VLEK.value.bytes.hex() == "a8074bc2a25a483eaae639c045a0b8a1"
    assert TableEntry.ASK.value.bytes.hex() == "4ab7b379bbac4fe4a02f05aef327c782"
    assert TableEntry.ARK.value.bytes.hex() == "c0b406a4a803495297433fb6014cd0ae"


@pytest.mark.parametrize("empty", [b"", bytes(24), bytes(0x4000)])
def test_a_host_may_give_none(empty: bytes) -> None:
    assert parse_table(empty) == {}


def test_reads_a_vlek_and_pem_and_passes_over_the_rest() -> None:
    table = certificate_table((VLEK, pem(LEAF)), (CRL, b"no certificate"))
    assert parse_table(table) == {TableEntry.VLEK: LEAF}


@pytest.mark.parametrize("size", [1, 23, 24, 71, 72, 95])
def test_rejects_a_table_whose_head_is_truncated(size: int) -> None:
    assert refusal(GOOD[:size]) is Reason.MALFORMED


def test_rejects_a_table_whose_certificates_are_truncated() -> None:
    assert refusal(GOOD[:-1]) is Reason.MALFORMED


@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, 24), (47, 10), (48, len(LEAF) + 1), (48, 0), (0xFFFFFFFF, 0xFFFFFFFF), (48, 0xFFFFFFFF)],
)
def test_rejects_a_certificate_that_stands_elsewhere(offset: int, length: int) -> None:
    assert refusal(entry(VCEK, offset, length) + bytes(24) + LEAF) is Reason.MALFORMED


def test_checks_the_place_of_what_it_passes_over_too() -> None:
    for offset, length in ((48, 9), (0, 8), (47, 8)):
        assert refusal(entry(CRL, offset, length) + bytes(24) + bytes(8)) is Reason.MALFORMED
    assert parse_table(entry(CRL, 48, 8) + bytes(24) + bytes(8)) == {}


def test_rejects_two_certificates_of_one_key() -> None:
    assert refusal(certificate_table((VCEK, LEAF), (VCEK, LEAF))) is Reason.DUPLICATE_MEMBER
    assert refusal(certificate_table((VCEK, pem(LEAF) * 2))) is Reason.MALFORMED


def test_rejects_a_last_entry_that_is_not_all_zeros() -> None:
    assert refusal(entry("0" * 32, 0, 1)) is Reason.MALFORMED


def test_bounds_entries_and_bytes() -> None:
    most = tuple((CRL, b"") for _ in range(MAX_ENTRIES))
    assert parse_table(certificate_table(*most)) == {}
    assert refusal(certificate_table(*most, (CRL, b""))) is Reason.TOO_LARGE
    assert parse_table(bytes(MAX_TABLE_BYTES)) == {}
    assert refusal(bytes(MAX_TABLE_BYTES + 1)) is Reason.TOO_LARGE


@given(st.binary(max_size=100), st.integers(0, 100))
def test_leaks_no_other_error(noise: bytes, at: int) -> None:
    with contextlib.suppress(Malformed):
        parse_table(GOOD[:at] + noise + GOOD[at + len(noise) :])
    with contextlib.suppress(Malformed):
        parse_table(noise)
