import pytest

from keystead.errors import ConfigurationError
from keystead.hardware.tpm2.endorsement import (
    DEFAULT_EK_ORDER,
    check_ek_order,
    first_certificate,
    split_certificates,
)

SHORT = b"\x30\x03abc"
LONG = b"\x30\x82\x01\x00" + b"x" * 256


def test_cuts_the_padding_behind_a_certificate() -> None:
    assert first_certificate(LONG + b"\xff" * 40) == LONG
    assert first_certificate(SHORT) == SHORT


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 100,
        b"\x10\x01\x00\x05\x00",
        b"\x30\x80abcd",
        b"\x30\x83\x00\x00\x01x",
        LONG[:-1],
    ],
)
def test_finds_no_certificate_in_something_else(data: bytes) -> None:
    assert first_certificate(data) is None


def test_splits_a_chain_up_to_its_padding() -> None:
    assert split_certificates(LONG + SHORT + b"\xff" * 9) == (LONG, SHORT)
    assert split_certificates(b"") == ()


def test_every_default_is_known() -> None:
    assert check_ek_order(DEFAULT_EK_ORDER) == DEFAULT_EK_ORDER


@pytest.mark.parametrize("order", [[], ["p256", "ed25519"]])
def test_names_an_unknown_endorsement_key(order: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="rsa2048"):
        check_ek_order(order)
