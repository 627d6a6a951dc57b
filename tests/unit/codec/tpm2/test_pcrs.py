import hashlib

import pytest

from keystead.codec.hashes import HashAlgorithm
from keystead.codec.tpm2 import (
    PcrSelection,
    parse_pcr_selection,
    pcr_composite_digest,
    policy_pcr_digest,
)
from keystead.errors import Malformed, Reason
from tests import tpm2_structures as made

SHA1, SHA256, SHA384 = HashAlgorithm.SHA1, HashAlgorithm.SHA256, HashAlgorithm.SHA384


def test_encodes_as_the_specification_draws_it() -> None:
    selection = PcrSelection.of({SHA256: [0, 7, 8, 23], SHA1: [16]})
    assert selection.encode().hex() == "00000002" + "000403000001" + "000b03" + "810180"


def test_parses_what_it_encodes() -> None:
    selection = PcrSelection.of({SHA384: range(24), SHA256: [3]})
    assert parse_pcr_selection(selection.encode()) == selection


def test_canonical_order_is_that_of_the_numbers() -> None:
    one = PcrSelection.of({SHA384: [2, 1], SHA1: [5]})
    assert one == PcrSelection.of({SHA1: [5], SHA384: [1, 2]})
    assert list(one.pairs()) == [(SHA1, 5), (SHA384, 1), (SHA384, 2)]


def test_keeps_the_order_of_banks_that_was_hashed() -> None:
    raw = made.pcr_selection([(made.SHA256, b"\1\0\0"), (made.SHA1, b"\1\0\0")])
    parsed = parse_pcr_selection(raw)
    assert [bank for bank, _ in parsed.pairs()] == [SHA256, SHA1]
    assert parsed != PcrSelection.of({SHA1: [0], SHA256: [0]})
    assert parsed.as_mapping() == PcrSelection.of({SHA1: [0], SHA256: [0]}).as_mapping()


def test_leaves_out_a_bank_that_selects_nothing() -> None:
    raw = made.pcr_selection([(made.SHA1, b"\0\0\0"), (made.SHA256, b"\1\0\0")])
    assert parse_pcr_selection(raw) == PcrSelection.of({SHA256: [0]})
    assert PcrSelection.of({SHA1: [], SHA256: [0]}) == PcrSelection.of({SHA256: [0]})


@pytest.mark.parametrize("mask", [b"\1", b"\1\0", b"\1\0\0\0"])
def test_reads_selections_of_other_widths(mask: bytes) -> None:
    parsed = parse_pcr_selection(made.pcr_selection([(made.SHA256, mask)]))
    assert parsed == PcrSelection.of({SHA256: [0]})


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(made.pcr_selection([(0x12, b"\1\0\0")]), id="unknown bank"),
        pytest.param(
            made.pcr_selection([(made.SHA256, b"\1\0\0"), (made.SHA256, b"\2\0\0")]),
            id="a bank twice",
        ),
        pytest.param(made.pcr_selection([(made.SHA256, b"")]), id="no octets"),
        pytest.param(made.pcr_selection([(made.SHA256, bytes(5))]), id="five octets"),
        pytest.param(made.pcr_selection([(made.SHA256, b"\0\0\0\1")]), id="PCR 24"),
        pytest.param(made.pcr_selection() + b"\0", id="a byte too many"),
        pytest.param(made.pcr_selection()[:-1], id="a byte too few"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_rejects_a_wrong_selection(raw: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        parse_pcr_selection(raw)
    assert caught.value.reason is Reason.MALFORMED


def test_rejects_more_banks_than_there_are_before_reading_them() -> None:
    with pytest.raises(Malformed) as caught:
        parse_pcr_selection(made.number(0xFFFFFFFF, 4))
    assert caught.value.reason is Reason.TOO_LARGE


@pytest.mark.parametrize("indexes", [[24], [-1], [1, 1]])
def test_refuses_to_select_what_no_tpm_has(indexes: list[int]) -> None:
    with pytest.raises(Malformed):
        PcrSelection.of({SHA256: indexes})


VALUES = {SHA256: {0: b"\x0a" * 32, 7: b"\x0b" * 32}, SHA1: {0: b"\x0c" * 20}}


def test_composite_digest_hashes_the_values_in_order() -> None:
    selection = PcrSelection.of({SHA256: [7, 0], SHA1: [0]})
    joined = b"\x0c" * 20 + b"\x0a" * 32 + b"\x0b" * 32
    digest = pcr_composite_digest(selection, VALUES, algorithm=SHA384)
    assert digest == hashlib.sha384(joined).digest()


def test_policy_digest_extends_zero_with_command_selection_and_values() -> None:
    selection = PcrSelection.of({SHA256: [0]})
    composite = hashlib.sha256(b"\x0a" * 32).digest()
    extension = bytes.fromhex("0000017f") + selection.encode() + composite
    assert policy_pcr_digest(selection, VALUES) == hashlib.sha256(bytes(32) + extension).digest()


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({}, id="no bank"),
        pytest.param({SHA256: {1: bytes(32)}}, id="another PCR"),
        pytest.param({SHA256: {0: bytes(20)}}, id="a value of another hash"),
    ],
)
def test_rejects_values_that_do_not_cover_the_selection(
    values: dict[HashAlgorithm, dict[int, bytes]],
) -> None:
    with pytest.raises(Malformed):
        pcr_composite_digest(PcrSelection.of({SHA256: [0]}), values, algorithm=SHA256)
