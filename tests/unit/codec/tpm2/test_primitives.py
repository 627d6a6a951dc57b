import pytest

from keystead.codec.tpm2 import encode_tpm2b, parse_tpm2b
from keystead.errors import Malformed, Reason


def test_a_tpm2b_is_its_size_and_content() -> None:
    assert encode_tpm2b(b"abc") == b"\x00\x03abc"
    assert parse_tpm2b(b"\x00\x03abc", max_bytes=3) == b"abc"


@pytest.mark.parametrize("data", [b"", b"\0", b"\x00\x03ab", b"\x00\x03abcd"])
def test_rejects_a_size_that_is_not_the_contents(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_tpm2b(data, max_bytes=8)


def test_rejects_more_than_the_bound() -> None:
    with pytest.raises(Malformed) as caught:
        parse_tpm2b(b"\x00\x03abc", max_bytes=2)
    assert caught.value.reason is Reason.TOO_LARGE


def test_refuses_to_encode_what_no_size_can_say() -> None:
    with pytest.raises(Malformed) as caught:
        encode_tpm2b(bytes(0x10000))
    assert caught.value.reason is Reason.TOO_LARGE
