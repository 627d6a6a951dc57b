"""Form bodies, read strictly."""

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.errors import Malformed, Reason
from keystead.server.http.form import parse_form
from keystead.server.limits import MAX_FORM_FIELDS

printable = st.text(
    st.characters(min_codepoint=0x20, exclude_characters="\x7f", exclude_categories=["Cs"]),
    max_size=30,
)


@given(st.lists(st.tuples(printable.filter(bool), printable), max_size=20))
def test_reads_what_a_client_encodes(fields: list[tuple[str, str]]) -> None:
    assert parse_form(urlencode(fields).encode()) == fields


@given(st.binary(max_size=200))
def test_raises_nothing_but_malformed(body: bytes) -> None:
    try:
        fields = parse_form(body)
    except Malformed:
        return
    assert all(name for name, _ in fields)


def test_keeps_order_and_repetition() -> None:
    assert parse_form(b"audience=b&scope=x+y&audience=a") == [
        ("audience", "b"),
        ("scope", "x y"),
        ("audience", "a"),
    ]


def test_takes_reserved_characters_that_many_clients_leave_alone() -> None:
    assert parse_form(b"t=urn:ietf:params/~'()") == [("t", "urn:ietf:params/~'()")]


def test_an_empty_body_has_no_field() -> None:
    assert parse_form(b"") == []


@pytest.mark.parametrize(
    "body",
    [
        b"a",
        b"=b",
        b"a=1&",
        b"&a=1",
        b"a=1&&b=2",
        b"a=%",
        b"a=%4",
        b"a=%zz",
        b"a=%C3",
        b"a=%ED%A0%80",
        b"a=%FF",
        b"a=\xc3\xa4",
        b"a=b c",
        b"a=b\r\nc=d",
        b"a=%00",
        b"a=%0D%0Ab",
        b"a=%7F",
        b"%01=b",
    ],
)
def test_refuses_what_parsers_disagree_about(body: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        parse_form(body)
    assert caught.value.reason is Reason.MALFORMED


def test_refuses_more_fields_than_anybody_needs() -> None:
    parse_form(b"&".join([b"a=1"] * MAX_FORM_FIELDS))
    with pytest.raises(Malformed) as caught:
        parse_form(b"&".join([b"a=1"] * (MAX_FORM_FIELDS + 1)))
    assert caught.value.reason is Reason.TOO_LARGE
