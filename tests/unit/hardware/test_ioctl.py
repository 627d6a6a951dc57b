import errno
from pathlib import Path

import pytest

from keystead.errors import Reason, Refused, Unavailable
from keystead.hardware.ioctl import Memory, failure, opened, system_ioctl
from tests.fake_devices import peek, poke


def test_says_which_device_is_not_there(tmp_path: Path) -> None:
    with (
        pytest.raises(Unavailable, match="missing: No such file") as caught,
        opened(tmp_path / "missing"),
    ):
        pass
    assert caught.value.reason is Reason.HARDWARE_UNAVAILABLE


def test_a_device_that_knows_no_such_request_refuses() -> None:
    with opened(Path("/dev/null")) as descriptor, pytest.raises(OSError) as caught:
        system_ioctl(descriptor, 0xC0200A00, bytearray(32))
    assert isinstance(failure("null", caught.value), Refused)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EBUSY, Unavailable),
        (errno.ETIMEDOUT, Unavailable),
        (errno.EINTR, Unavailable),
        (errno.EIO, Refused),
        (errno.EINVAL, Refused),
        (errno.ENOTTY, Refused),
    ],
)
def test_only_what_may_pass_is_unavailable(number: int, kind: type[Exception]) -> None:
    found = failure("/dev/x", OSError(number, "text"))
    assert type(found) is kind
    assert found.detail == f"/dev/x: {errno.errorcode[number]}"


def test_memory_is_what_a_driver_sees() -> None:
    memory = Memory(b"abc", size=8)
    assert peek(memory.address, 8) == b"abc" + bytes(5)
    poke(memory.address, b"12345678")
    assert memory.read(3) == b"123"
    assert memory.read(99) == b"12345678"
    assert Memory(b"").read(1) == b""
