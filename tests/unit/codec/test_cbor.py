import time
import tracemalloc
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.codec import cbor
from keystead.errors import Malformed, Reason

MAX = 1_000
KEYS = st.integers(-(2**64), 2**64 - 1) | st.text(max_size=8)
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.binary()
    | st.text(max_size=20)
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


def refusal(text: str, **arguments: Any) -> Reason:
    with pytest.raises(Malformed) as caught:
        cbor.parse(bytes.fromhex(text), **({"max_bytes": MAX} | arguments))
    return caught.value.reason


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("00", 0),
        ("3903e7", -1000),
        ("1bffffffffffffffff", 2**64 - 1),
        ("43010203", b"\x01\x02\x03"),
        ("62c3bc", "ü"),
        ("8301f5f6", [1, True, None]),
        ("a201616162616241ff", {1: "a", "ab": b"\xff"}),
        ("a0", {}),
    ],
)
def test_reads_what_documents_are_made_of(text: str, value: Any) -> None:
    assert cbor.parse(bytes.fromhex(text), max_bytes=MAX) == value


@given(VALUES)
def test_reads_what_it_writes(value: Any) -> None:
    data = cbor.encode(value)
    assert cbor.parse(data, max_bytes=len(data), max_depth=40) == value


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("nothing", ""),
        ("bytes left over", "0000"),
        ("two items", "a0a0"),
        ("a length beyond the end", "44010203"),
        ("an array beyond the end", "8201"),
        ("a map without its last value", "a101"),
        ("a tag", "c000"),
        ("a big number", "c24101"),
        ("a shared value", "d81c80"),
        ("a regular expression", "d8236161"),
        ("a half float", "f93c00"),
        ("a float", "fa47c35000"),
        ("a double", "fb3ff0000000000000"),
        ("undefined", "f7"),
        ("a simple value", "f0"),
        ("a simple value in a byte", "f8ff"),
        ("true in two bytes", "f815"),
        ("a break", "ff"),
        ("a reserved length", "1c"),
        ("text that is not UTF-8", "61ff"),
        ("a surrogate", "63eda080"),
        ("a duplicate key", "a201000100"),
        ("a duplicate key in another spelling", "a20100180100"),
        ("a duplicate key deeper down", "81a2616100616100"),
        ("a key of bytes", "a1410100"),
        ("a key that is an array", "a18000"),
        ("a key that is true", "a1f500"),
        ("a key that is null", "a1f600"),
    ],
)
def test_refuses(what: str, text: str) -> None:
    assert refusal(text) is Reason.MALFORMED, what
    assert refusal(text, allow_indefinite=True) is Reason.MALFORMED, what


@pytest.mark.parametrize("text", ["c000", "d2846161", "8201c000", "a101d81c80"])
def test_says_that_it_is_the_tag_that_it_refuses(text: str) -> None:
    with pytest.raises(Malformed) as caught:
        cbor.parse(bytes.fromhex(text), max_bytes=MAX)
    assert "tag" in caught.value.detail


@pytest.mark.parametrize(
    ("text", "value"),
    [("9f0102ff", [1, 2]), ("bf616101ff", {"a": 1}), ("9fff", []), ("bf01bfffff", {1: {}})],
)
def test_indefinite_lengths_are_for_those_who_ask(text: str, value: Any) -> None:
    assert refusal(text) is Reason.MALFORMED
    assert cbor.parse(bytes.fromhex(text), max_bytes=MAX, allow_indefinite=True) == value


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("bytes in pieces", "5f4101ff"),
        ("text in pieces", "7f6161ff"),
        ("a map that breaks before a value", "bf01ff"),
        ("a break inside a definite array", "81ff"),
        ("a break for a definite map's key", "a1ff00"),
        ("a break for a definite map's value", "a101ff"),
        ("no break at all", "9f01"),
        ("a map without a break", "bf0101"),
        ("a duplicate key", "bf01000100ff"),
        ("an indefinite integer", "1f"),
        ("an indefinite tag", "df00"),
    ],
)
def test_refuses_even_with_indefinite_lengths(what: str, text: str) -> None:
    assert refusal(text, allow_indefinite=True) is Reason.MALFORMED, what


def test_bounds_size_depth_and_count() -> None:
    assert refusal("00" * (MAX + 1)) is Reason.TOO_LARGE
    assert cbor.parse(b"\x81" * 3 + b"\x80", max_bytes=MAX, max_depth=4) == [[[[]]]]
    assert refusal("81" * 4 + "80", max_depth=4) is Reason.TOO_LARGE
    assert refusal("9a7fffffff00") is Reason.TOO_LARGE
    assert refusal("bbffffffffffffffff0000") is Reason.TOO_LARGE
    assert refusal("9f" + "00" * (cbor.MAX_ITEMS + 1), allow_indefinite=True) is Reason.TOO_LARGE


@pytest.mark.parametrize("unit", ["9f", "81", "a1", "bf01", "9f00", "00", "c0", "5f41", "ff", "40"])
@pytest.mark.parametrize("start", ["", "9f", "9affffffff", "bf", "5affffff00"])
def test_a_megabyte_of_anything_costs_little(unit: str, start: str) -> None:
    data = bytes.fromhex(start) + bytes.fromhex(unit) * (1_000_000 // (len(unit) // 2))
    tracemalloc.start()
    began = time.process_time()
    try:
        with pytest.raises(Malformed):
            cbor.parse(data, max_bytes=len(data), allow_indefinite=True)
        assert time.process_time() - began < 1
        assert tracemalloc.get_traced_memory()[1] < 64_000_000
    finally:
        tracemalloc.stop()


@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_malformed(data: bytes) -> None:
    for allow in (False, True):
        try:
            found = cbor.parse(data, max_bytes=MAX, allow_indefinite=allow)
        except Malformed:
            continue
        assert cbor2.loads(data) == found


@given(VALUES, st.data())
def test_cut_anywhere_it_is_malformed(value: Any, data: st.DataObject) -> None:
    whole = cbor.encode(value)
    size = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(Malformed):
        cbor.parse(whole[:size], max_bytes=len(whole), max_depth=40)


# --- members --------------------------------------------------------------------------------------

MEMBERS: dict[int | str, Any] = {
    "bytes": b"12",
    "text": "ab",
    "int": 7,
    "true": True,
    "null": None,
    "map": {1: 2},
    "list": [b"1", b"2"],
    "controls": "a\nb",
}


def test_members_come_out_typed() -> None:
    assert cbor.get_bytes(MEMBERS, "bytes", max_bytes=2) == b"12"
    assert cbor.find_bytes(MEMBERS, "null", max_bytes=2) is None
    assert cbor.find_bytes(MEMBERS, "absent", max_bytes=2) is None
    assert cbor.get_text(MEMBERS, "text", max_chars=2) == "ab"
    assert cbor.get_int(MEMBERS, "int", minimum=7, maximum=7) == 7
    assert cbor.get_map(MEMBERS, "map", max_items=1) == {1: 2}
    assert cbor.get_bytes_list(MEMBERS, "list", max_items=2, max_bytes=1) == (b"1", b"2")


@pytest.mark.parametrize(
    "read",
    [
        lambda: cbor.get_bytes(MEMBERS, "absent", max_bytes=2),
        lambda: cbor.get_bytes(MEMBERS, "null", max_bytes=2),
        lambda: cbor.get_bytes(MEMBERS, "text", max_bytes=2),
        lambda: cbor.get_bytes(MEMBERS, "bytes", max_bytes=1),
        lambda: cbor.get_bytes(MEMBERS, "bytes", max_bytes=9, min_bytes=3),
        lambda: cbor.find_bytes(MEMBERS, "int", max_bytes=2),
        lambda: cbor.get_text(MEMBERS, "bytes", max_chars=2),
        lambda: cbor.get_text(MEMBERS, "text", max_chars=1),
        lambda: cbor.get_text(MEMBERS, "controls", max_chars=9),
        lambda: cbor.get_int(MEMBERS, "true", maximum=9),
        lambda: cbor.get_int(MEMBERS, "int", maximum=6),
        lambda: cbor.get_int(MEMBERS, "int", minimum=8, maximum=9),
        lambda: cbor.get_map(MEMBERS, "list", max_items=9),
        lambda: cbor.get_map(MEMBERS, "map", max_items=0),
        lambda: cbor.get_bytes_list(MEMBERS, "list", max_items=1, max_bytes=1),
        lambda: cbor.get_bytes_list(MEMBERS, "map", max_items=1, max_bytes=1),
        lambda: cbor.get_bytes_list({"list": []}, "list", max_items=1, max_bytes=1),
        lambda: cbor.get_bytes_list({"list": [b""]}, "list", max_items=1, max_bytes=1),
        lambda: cbor.refuse_other_members(MEMBERS, frozenset({"bytes"})),
        lambda: cbor.parse_map(b"\x80", max_bytes=9),
    ],
)
def test_members_of_another_type_or_size_are_malformed(read: Any) -> None:
    with pytest.raises(Malformed):
        read()
