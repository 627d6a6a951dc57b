import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.codec import cbor
from keystead.codec.app_attest import (
    MAX_ATTESTATION_BYTES,
    parse_assertion,
    parse_attestation,
    parse_nonce,
)
from keystead.errors import Malformed
from tests.app_attest_builder import Device, header

DEVICE = Device()
GOOD = DEVICE.attestation()
ASSERTION = DEVICE.assertion(b"data", counter=3)
OBJECT: Any = cbor.parse(GOOD, max_bytes=MAX_ATTESTATION_BYTES)
X5C = OBJECT["attStmt"]["x5c"]


def changed(statement: dict[str, Any] | None = None, **members: Any) -> bytes:
    made = OBJECT | {"attStmt": OBJECT["attStmt"] | (statement or {})} | members
    return cbor.encode({name: value for name, value in made.items() if value is not ...})


def test_reads_an_attestation() -> None:
    found = parse_attestation(GOOD)
    assert (found.format, found.receipt, found.raw) == ("apple-appattest", b"receipt", GOOD)
    assert found.x5c == tuple(X5C) and found.auth_data.credential is not None


def test_reads_an_assertion() -> None:
    found = parse_assertion(ASSERTION)
    assert found.auth_data.counter == 3 and found.signature[0] == 0x30


@pytest.mark.parametrize(
    "data",
    [
        changed(fmt=...),
        changed(fmt=""),
        changed(fmt=b"apple-appattest"),
        changed(attStmt=...),
        changed(attStmt=[]),
        changed(authData=...),
        changed(authData=header("app", 0x40, 0)),
        changed(other=1),
        changed({"x5c": []}),
        changed({"x5c": X5C * 3}),
        changed({"x5c": ["text"]}),
        changed({"x5c": [b"\x30" * 2_049]}),
        changed({"receipt": None}),
        changed({"receipt": bytes(MAX_ATTESTATION_BYTES)}),
        changed({"other": 1}),
        b"\x80",
        GOOD + b"\x00",
        b"\xbf" + GOOD[1:] + b"\xff",
    ],
    ids=range(18),
)
def test_an_attestation_of_another_shape_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_attestation(data)


@pytest.mark.parametrize(
    "data",
    [
        DEVICE.assertion(b"", counter=1, signature=b""),
        DEVICE.assertion(b"", counter=1, signature=b"\x30" * 73),
        DEVICE.assertion(b"", counter=1, signature=None),
        DEVICE.assertion(b"", counter=1, authenticatorData=DEVICE.auth_data()),
        DEVICE.assertion(b"", counter=1, authenticatorData=b""),
        DEVICE.assertion(b"", counter=1, other=1),
        ASSERTION + b"\x00",
        GOOD,
    ],
    ids=range(8),
)
def test_an_assertion_of_another_shape_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_assertion(data)


def test_reads_the_nonce_of_the_extension() -> None:
    assert parse_nonce(bytes.fromhex("3024a1220420") + b"\x07" * 32) == b"\x07" * 32


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3024a1220420" + "07" * 31,
        "3024a1220420" + "07" * 33,
        "3023a121041f" + "07" * 31,
        "3024a0220420" + "07" * 32,
        "3024a1220320" + "07" * 32,
        "0420" + "07" * 32,
        "3080a1220420" + "07" * 32 + "0000",
    ],
)
def test_an_extension_of_another_shape_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        parse_nonce(bytes.fromhex(text))


def test_cut_anywhere_it_is_malformed() -> None:
    for size in range(len(GOOD)):
        with pytest.raises(Malformed):
            parse_attestation(GOOD[:size])
    for size in range(len(ASSERTION)):
        with pytest.raises(Malformed):
            parse_assertion(ASSERTION[:size])


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_a_changed_byte_is_an_object_or_malformed(at: int, bits: int) -> None:
    bent = GOOD[:at] + bytes([GOOD[at] ^ bits]) + GOOD[at + 1 :]
    with contextlib.suppress(Malformed):
        assert parse_attestation(bent).raw == bent


@given(st.binary(max_size=120))
def test_any_bytes_are_an_assertion_or_malformed(data: bytes) -> None:
    with contextlib.suppress(Malformed):
        parse_assertion(data)
