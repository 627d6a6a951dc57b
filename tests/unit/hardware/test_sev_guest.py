import errno
from pathlib import Path
from typing import Any

import pytest

from keystead.errors import Malformed, Reason, Refused, Unavailable
from keystead.hardware.sev_guest import SevGuest
from tests.fake_devices import FakeSevGuest
from tests.snp_builder import Guest

SOMETHING = Path("/dev/null")
DATA = bytes(range(64))


def report(data: bytes) -> bytes:
    return Guest().report(report_data=data)


def device(**changes: Any) -> tuple[SevGuest, FakeSevGuest]:
    fake = FakeSevGuest(**({"report": report} | changes))
    return SevGuest(SOMETHING, ioctl=fake), fake


def ask(**changes: Any) -> tuple[bytes, bytes]:
    return device(**changes)[0].extended_report(DATA)


def test_asks_for_a_report_and_the_table() -> None:
    guest, fake = device(table=b"table")
    made, table = guest.extended_report(DATA, vmpl=2)
    assert (len(made), made[0x50:0x90]) == (0x4A0, DATA)
    assert table == b"table".ljust(0x4000, b"\x00")
    assert fake.asked == [(DATA, 2)]


@pytest.mark.parametrize("size", [0, 0x49F, 0x4A1, 0xFFFFFFFF])
def test_rejects_a_report_of_another_size(size: int) -> None:
    with pytest.raises(Malformed, match=f"a report of {size} bytes"):
        ask(size=size)


def test_says_that_the_firmware_refused() -> None:
    with pytest.raises(Refused, match="status 0x16") as caught:
        ask(status=0x16)
    assert caught.value.reason is Reason.HARDWARE_REFUSED


def test_says_both_errors_of_a_request_that_failed() -> None:
    with pytest.raises(Refused, match="firmware error 0x1f, host error 0x1: EIO"):
        ask(error=errno.EIO, firmware=0x1F, host=1)
    with pytest.raises(Unavailable, match="ETIMEDOUT"):
        ask(error=errno.ETIMEDOUT)


def test_believes_no_answer_that_came_with_an_error() -> None:
    with pytest.raises(Refused, match="host error 0x2"):
        ask(host=2)


@pytest.mark.parametrize("data", [b"", bytes(63), bytes(65)])
def test_asks_over_64_bytes_only(data: bytes) -> None:
    guest, fake = device()
    with pytest.raises(Malformed):
        guest.extended_report(data)
    assert fake.asked == []


def test_without_a_device_it_is_unavailable(tmp_path: Path) -> None:
    guest = SevGuest(tmp_path / "sev-guest")
    assert not guest.there
    with pytest.raises(Unavailable, match="No such file"):
        guest.extended_report(DATA)
    assert SevGuest(SOMETHING).there
