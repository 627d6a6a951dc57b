import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.codec.certificate import MAX_CERTIFICATE_BYTES
from keystead.codec.pem import MAX_CERTIFICATES, certificates
from keystead.errors import Malformed, Reason
from tests.snp_builder import ask, ca

BEGIN, END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


def pem(der: bytes, *, end: str = "\n") -> bytes:
    text = base64.b64encode(der).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return (end.join([BEGIN, *lines, END]) + end).encode()


def test_reads_every_certificate_in_order() -> None:
    root = ca("ARK-Test")
    assert certificates(pem(ask()) + pem(root)) == (ask(), root)


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_reads_lines_of_any_end(end: str) -> None:
    assert certificates(pem(ask(), end=end)) == (ask(),)


def test_reads_one_certificate_in_der() -> None:
    assert certificates(ask()) == (ask(),)


def test_passes_over_text_around() -> None:
    assert certificates(b"subject=SEV\n" + pem(ask()) + b"\ncomment\n") == (ask(),)


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"no certificate",
        ask() + b"\x00",
        ask()[:-1],
        pem(ask() + b"\x00"),
        pem(ask()[:-1]),
        pem(ask()).replace(END.encode(), b""),
        pem(ask()).replace(b"MII", b"M*I"),
        pem(b"\x04\x01\x00"),
        pem(b""),
    ],
)
def test_rejects_what_is_no_certificate(wrong: bytes) -> None:
    with pytest.raises(Malformed):
        certificates(wrong)


def test_bounds_how_many_and_how_long() -> None:
    assert len(certificates(pem(ask()) * MAX_CERTIFICATES)) == MAX_CERTIFICATES
    for wrong in (pem(ask()) * (MAX_CERTIFICATES + 1), bytes(MAX_CERTIFICATE_BYTES + 1)):
        with pytest.raises(Malformed) as refused:
            certificates(wrong)
        assert refused.value.reason is Reason.TOO_LARGE


@given(st.binary(max_size=200), st.integers(0, len(pem(ask()))), st.booleans())
def test_leaks_no_other_error(noise: bytes, at: int, framed: bool) -> None:
    good = pem(ask())
    with contextlib.suppress(Malformed):
        certificates(pem(noise) if framed else good[:at] + noise + good[at:])
