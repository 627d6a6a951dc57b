import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.codec import cbor
from keystead.codec.auth_data import parse_auth_data
from keystead.errors import Malformed
from tests.app_attest_builder import Device

DEVICE = Device()
GOOD = DEVICE.auth_data()
HEADER = GOOD[:37]
BEFORE_KEY = GOOD[: 37 + 16 + 2 + 32]
COSE: dict[Any, Any] = {1: 2, 3: -7, -1: 1, -2: DEVICE.point[1:33], -3: DEVICE.point[33:]}


def test_reads_an_attested_credential() -> None:
    found = parse_auth_data(GOOD, attested=True)
    assert (found.rp_id_hash, found.flags, found.counter) == (GOOD[:32], 0x40, 0)
    assert found.credential is not None and found.raw == GOOD
    assert found.credential.aaguid == b"appattest" + bytes(7)
    assert found.credential.credential_id == DEVICE.key_id
    assert found.credential.point == DEVICE.point


def test_reads_the_head_of_an_assertion_whatever_its_flags_say() -> None:
    found = parse_auth_data(GOOD[:33] + b"\x00\x00\x01\x02", attested=False)
    assert (found.counter, found.credential) == (258, None)


@pytest.mark.parametrize(
    ("what", "data"),
    [
        ("no flag", GOOD[:32] + b"\x00" + GOOD[33:]),
        ("only a head", HEADER),
        ("bytes left over", GOOD + b"\x00"),
        ("a long id", GOOD[:53] + b"\x04\x00" + bytes(1_024) + cbor.encode(COSE)),
        ("no key", BEFORE_KEY),
        ("a key that is no map", BEFORE_KEY + b"\x80"),
        ("a key of another curve", BEFORE_KEY + cbor.encode(COSE | {-1: 2})),
        ("a key of another algorithm", BEFORE_KEY + cbor.encode(COSE | {3: -35})),
        ("a key of another type", BEFORE_KEY + cbor.encode(COSE | {1: 1})),
        ("a key with more in it", BEFORE_KEY + cbor.encode(COSE | {4: [2]})),
        ("a private key", BEFORE_KEY + cbor.encode(COSE | {-4: bytes(32)})),
        ("a short coordinate", BEFORE_KEY + cbor.encode(COSE | {-2: bytes(31)})),
        ("a compressed point", BEFORE_KEY + cbor.encode(COSE | {-3: True})),
    ],
)
def test_refuses(what: str, data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_auth_data(data, attested=True)


def test_an_assertion_has_nothing_after_its_head() -> None:
    for data in (GOOD, HEADER + b"\x00", HEADER[:-1]):
        with pytest.raises(Malformed):
            parse_auth_data(data, attested=False)


def test_cut_anywhere_it_is_malformed() -> None:
    for size in range(len(GOOD)):
        with pytest.raises(Malformed):
            parse_auth_data(GOOD[:size], attested=True)


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_authenticator_data_or_malformed(data: bytes, attested: bool) -> None:
    with contextlib.suppress(Malformed):
        assert parse_auth_data(data, attested=attested).raw == data
