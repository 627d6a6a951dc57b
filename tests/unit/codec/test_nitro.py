import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.codec import cbor
from keystead.codec.nitro import MAX_DOCUMENT_BYTES, DocumentType, parse_document
from keystead.errors import Malformed
from tests.device_chains import NOW
from tests.nitro_builder import NONCE, PCRS, Enclave, sign1

ENCLAVE = Enclave()
GOOD = ENCLAVE.document()


def test_reads_every_field() -> None:
    found = parse_document(ENCLAVE.document(public_key=b"spki", user_data=b""))
    assert (found.type, found.module_id[:2], found.pcrs) == (DocumentType.ENCLAVE, "i-", PCRS)
    assert (found.timestamp_ms, found.made_at) == (NOW * 1_000 + 405, NOW)
    assert (found.public_key, found.user_data, found.nonce) == (b"spki", b"", NONCE)
    assert (found.certificate, found.cabundle) == (ENCLAVE.chain.leaf, ENCLAVE.chain.bundle)
    assert found.sign1.algorithm == -35


def test_an_absent_field_is_as_one_that_is_null() -> None:
    found = parse_document(ENCLAVE.document(public_key=..., user_data=None, nonce=...))
    assert (found.public_key, found.user_data, found.nonce) == (None, None, None)


def test_tells_the_two_types_apart() -> None:
    found = parse_document(ENCLAVE.document(pcrs=..., nitrotpm_pcrs=PCRS))
    assert (found.type, found.pcrs) == (DocumentType.NITROTPM, PCRS)


def test_reads_a_payload_of_indefinite_length() -> None:
    payload = cbor.encode(ENCLAVE.members())
    assert payload[0] == 0xA9
    found = parse_document(sign1(b"\xbf" + payload[1:] + b"\xff", key=ENCLAVE.key))
    assert found.pcrs == PCRS


@pytest.mark.parametrize(
    "changes",
    [
        {"module_id": ...},
        {"module_id": ""},
        {"module_id": "x" * 257},
        {"module_id": "i-\n"},
        {"digest": ...},
        {"digest": "SHA256"},
        {"digest": "SHA512"},
        {"timestamp": ...},
        {"timestamp": 0},
        {"timestamp": -1},
        {"timestamp": 1 << 48},
        {"timestamp": "1"},
        {"timestamp": True},
        {"pcrs": ...},
        {"pcrs": {}},
        {"pcrs": None},
        {"pcrs": {32: b"\x10" * 48}},
        {"pcrs": {-1: b"\x10" * 48}},
        {"pcrs": {"0": b"\x10" * 48}},
        {"pcrs": {0: b"\x10" * 47}},
        {"pcrs": {0: b"\x10" * 49}},
        {"pcrs": {0: b"\x10" * 32}},
        {"pcrs": {0: None}},
        {"pcrs": dict.fromkeys(range(33), b"\x10" * 48)},
        {"nitrotpm_pcrs": PCRS},
        {"nitrotpm_pcrs": None},
        {"certificate": ...},
        {"certificate": b""},
        {"certificate": b"\x30" * 1_025},
        {"cabundle": ...},
        {"cabundle": []},
        {"cabundle": [b"\x30"] * 6},
        {"cabundle": [b""]},
        {"cabundle": [b"\x30" * 1_025]},
        {"cabundle": b"\x30"},
        {"public_key": b"x" * 1_025},
        {"user_data": b"x" * 1_025},
        {"nonce": b"x" * 1_025},
        {"nonce": "text"},
        {"other": None},
    ],
    ids=str,
)
def test_a_field_that_is_not_as_the_module_makes_it_is_malformed(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        parse_document(ENCLAVE.document(**changes))


@pytest.mark.parametrize("size", [0, 95, 97, 132])
def test_a_signature_of_another_size_is_malformed(size: int) -> None:
    parts: Any = cbor.parse(GOOD, max_bytes=MAX_DOCUMENT_BYTES)
    with pytest.raises(Malformed):
        parse_document(cbor.encode([*parts[:3], bytes(size)]))


def test_the_outer_structure_has_definite_lengths() -> None:
    with pytest.raises(Malformed):
        parse_document(b"\x9f" + GOOD[1:] + b"\xff")


def test_cut_anywhere_it_is_malformed() -> None:
    for size in range(len(GOOD)):
        with pytest.raises(Malformed):
            parse_document(GOOD[:size])


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_a_changed_byte_is_a_document_or_malformed(at: int, bits: int) -> None:
    bent = GOOD[:at] + bytes([GOOD[at] ^ bits]) + GOOD[at + 1 :]
    with contextlib.suppress(Malformed):
        assert parse_document(bent).raw == bent
