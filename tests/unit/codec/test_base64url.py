import base64
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.codec import base64url
from keystead.errors import Malformed, Reason


@given(st.binary(max_size=200))
def test_decodes_what_it_encodes(data: bytes) -> None:
    text = base64url.encode(data)
    assert base64url.decode(text) == base64url.decode(text.encode()) == data


@given(st.binary(max_size=200))
def test_encodes_as_rfc4648_without_padding(data: bytes) -> None:
    assert base64url.encode(data) == base64.urlsafe_b64encode(data).decode().rstrip("=")


@pytest.mark.parametrize(
    "text",
    [
        "A",  # no number of bytes has this length
        "AAAAA",
        "AA==",  # padding, needed or not
        "AAA=",
        "AAAA=",
        "=",
        "====",
        "A=AA",
        "+w",  # plain base64
        "/w",
        "AA AA",  # whitespace
        "AAAA\n",
        " AAAA",
        "AB",  # trailing bits
        "AAB",
        "-_9",
        "AA\0A",
        "AAé",
        "AA.A",
    ],
)
def test_rejects_another_spelling(text: str) -> None:
    with pytest.raises(Malformed) as caught:
        base64url.decode(text)
    assert caught.value.reason is Reason.MALFORMED
    with pytest.raises(Malformed):
        base64url.decode(text.encode())


@given(st.text(alphabet="AQgw-_+/= \nz9", max_size=12))
def test_every_accepted_text_is_the_only_spelling(text: str) -> None:
    try:
        data = base64url.decode(text)
    except Malformed:
        return
    assert base64url.encode(data) == text


def test_max_bytes_is_inclusive() -> None:
    text = base64url.encode(bytes(32))
    assert base64url.decode(text, max_bytes=32) == bytes(32)
    with pytest.raises(Malformed) as caught:
        base64url.decode(text, max_bytes=31)
    assert caught.value.reason is Reason.TOO_LARGE


@given(st.binary(max_size=40) | st.text(max_size=40))
def test_leaks_nothing_but_malformed(text: bytes | str) -> None:
    with suppress(Malformed):
        base64url.decode(text)
