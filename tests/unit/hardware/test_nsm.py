import errno
from pathlib import Path
from typing import Any

import pytest

from keystead.codec import cbor
from keystead.codec.nitro import parse_document
from keystead.errors import Malformed, Reason, Refused, Unavailable
from keystead.hardware.nsm import MAX_RESPONSE_BYTES, NsmDevice
from tests.fake_devices import FakeNsm
from tests.nitro_builder import NONCE

SOMETHING = Path("/dev/null")
NAMES = (
    "InvalidArgument",
    "InvalidIndex",
    "InvalidResponse",
    "ReadOnlyIndex",
    "InvalidOperation",
    "BufferTooSmall",
    "InputTooLarge",
    "InternalError",
)


def device(**changes: Any) -> tuple[NsmDevice, FakeNsm]:
    fake = FakeNsm(**changes)
    return NsmDevice(SOMETHING, ioctl=fake), fake


def ask(**changes: Any) -> bytes:
    return device(**changes)[0].attestation(nonce=NONCE)


def test_asks_for_a_document_over_the_fields() -> None:
    nsm, fake = device()
    document = parse_document(nsm.attestation(nonce=NONCE, public_key=b"spki"))
    assert (document.nonce, document.public_key, document.user_data) == (NONCE, b"spki", None)
    fields = {"user_data": None, "nonce": NONCE, "public_key": b"spki"}
    assert fake.asked == [{"Attestation": fields}]


def test_reads_an_answer_of_indefinite_length() -> None:
    answer = b"\xbf" + b"\x6bAttestation" + b"\xbf\x68document\x43abc\xff" + b"\xff"
    assert ask(answer=answer) == b"abc"


@pytest.mark.parametrize("name", NAMES)
def test_says_by_name_what_the_module_refuses(name: str) -> None:
    with pytest.raises(Refused, match=f"Attestation: {name}$") as caught:
        ask(answer=cbor.encode({"Error": name}))
    assert caught.value.reason is Reason.HARDWARE_REFUSED


@pytest.mark.parametrize(
    "answer",
    [
        cbor.encode("InvalidOperation"),
        cbor.encode({}),
        cbor.encode({"Error": 5}),
        cbor.encode({"Error": "x" * 65}),
        cbor.encode({"Error": "A", "Attestation": {"document": b"abc"}}),
        cbor.encode({"DescribeNSM": {"document": b"abc"}}),
        cbor.encode({"Attestation": b"abc"}),
        cbor.encode({"Attestation": {}}),
        cbor.encode({"Attestation": {"document": b""}}),
        cbor.encode({"Attestation": {"document": "abc"}}),
        cbor.encode({"Attestation": {"document": b"abc", "other": 1}}),
        cbor.encode({"Attestation": {"document": b"abc"}}) + b"\x00",
        b"",
    ],
)
def test_rejects_another_answer(answer: bytes) -> None:
    with pytest.raises(Malformed):
        ask(answer=answer)


def test_rejects_a_truncated_answer_at_every_length() -> None:
    whole = cbor.encode({"Attestation": {"document": b"abc"}})
    for size in range(len(whole)):
        with pytest.raises(Malformed):
            ask(answer=whole[:size])


@pytest.mark.parametrize("claimed", [MAX_RESPONSE_BYTES + 1, 2**63])
def test_never_reads_past_its_buffer(claimed: int) -> None:
    with pytest.raises(Malformed) as caught:
        ask(answer=cbor.encode({"Attestation": {"document": b"abc"}}), claimed=claimed)
    assert caught.value.reason is Reason.TOO_LARGE


@pytest.mark.parametrize("difference", [-1, 1])
def test_rejects_an_answer_of_another_size_than_said(difference: int) -> None:
    whole = cbor.encode({"Attestation": {"document": b"abc"}})
    with pytest.raises(Malformed):
        ask(answer=whole, claimed=len(whole) + difference)


def test_sends_no_request_that_the_driver_would_not_take() -> None:
    nsm, fake = device()
    with pytest.raises(Malformed) as caught:
        nsm.attestation(user_data=bytes(0x1000))
    assert caught.value.reason is Reason.TOO_LARGE
    assert fake.asked == []


def test_a_device_that_fails_is_refused_or_unavailable() -> None:
    with pytest.raises(Refused, match="EINVAL"):
        ask(error=errno.EINVAL)
    with pytest.raises(Unavailable, match="ETIMEDOUT"):
        ask(error=errno.ETIMEDOUT)


def test_without_a_device_it_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="nsm: No such file"):
        NsmDevice(tmp_path / "nsm").attestation(nonce=NONCE)
    with pytest.raises(Refused, match="ENOTTY"):
        NsmDevice(SOMETHING).attestation(nonce=NONCE)
