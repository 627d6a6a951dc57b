import json as reference
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.codec import json
from keystead.errors import Malformed, Reason

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), VALUES)


def refused(action: Callable[[], object]) -> Reason:
    with pytest.raises(Malformed) as caught:
        action()
    return caught.value.reason


@given(st.dictionaries(st.sampled_from(["a", "b", "ü", "x y"]), st.integers(0, 9) | st.text("aü")))
def test_parses_what_it_encodes(value: dict[str, object]) -> None:
    assert json.parse_object(json.encode(value)) == value
    assert json.parse_object(json.canonical(value)) == value


@given(OBJECTS.map(reference.dumps))
def test_reads_as_the_reference_parser_does(text: str) -> None:
    try:
        parsed = json.parse_object(text)
    except Malformed as error:
        assert error.reason is Reason.MALFORMED  # a float spelled too long
        return
    assert parsed == reference.loads(text)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"{",
        b'{"a"',
        b'{"a":1',
        b'{"a":1}x',
        b'{"a":1}{}',
        b'{"a":1,}',
        b"{'a':1}",
        b"{a:1}",
        b"[]",
        b"1",
        b"null",
        b'"text"',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":1e999}',
        b'{"a":-1e999}',
        b'{"a":01}',
        b'{"a":+1}',
        b'{"a":.5}',
        b'{"a":0x1}',
        b'{"a":9223372036854775808}',
        b'{"a":-9223372036854775808}',
        b'{"a":' + b"9" * 5_000 + b"}",
        b'{"a":0.' + b"1" * 5_000 + b"}",
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\\ud800"}',
        b'{"\\udfff":1}',
        b'{"a":["\\ud83d"]}',
        b'{"a":"\x00"}',
        b'{"a":"\n"}',
        b'\xef\xbb\xbf{"a":1}',
        '{"a":1}'.encode("utf-16"),
        b'{"a":1}\x00',
    ],
)
def test_rejects_what_is_not_one_strict_object(data: bytes) -> None:
    assert refused(lambda: json.parse_object(data)) is Reason.MALFORMED


def test_rejects_a_lone_surrogate_in_text() -> None:
    assert refused(lambda: json.parse_object('{"a":"\ud800"}')) is Reason.MALFORMED
    assert json.parse_object('{"a":"\\ud83d\\ude00"}') == {"a": "😀"}


@pytest.mark.parametrize("text", ['{"a":1,"a":1}', '{"b":[{"a":1,"a":2}]}', '{"a":1,"\\u0061":2}'])
def test_rejects_a_member_twice_at_any_depth(text: str) -> None:
    assert refused(lambda: json.parse_object(text)) is Reason.DUPLICATE_MEMBER


def test_integers_stop_at_64_bits() -> None:
    text = '{"a":9223372036854775807,"b":-9223372036854775807}'
    assert json.parse_object(text) == {"a": 2**63 - 1, "b": -(2**63 - 1)}


def test_size_is_bounded_in_bytes_and_inclusive() -> None:
    data = '{"a":"ü"}'
    assert json.parse_object(data, max_bytes=10) == {"a": "ü"}
    assert refused(lambda: json.parse_object(data, max_bytes=9)) is Reason.TOO_LARGE


def test_depth_is_bounded_and_inclusive() -> None:
    deep = '{"a":[[0]]}'
    assert json.parse_object(deep, max_depth=3) == {"a": [[0]]}
    assert refused(lambda: json.parse_object(deep, max_depth=2)) is Reason.TOO_LARGE


def test_brackets_in_strings_are_no_depth() -> None:
    text = '{"a":"' + "[{" * 30 + '\\"]]]","b":"[[[\\\\"}'
    assert json.parse_object(text)["b"] == "[[[\\"


@pytest.mark.parametrize("text", ["[[[", '\\"[[[', "[[[\\", '\\\\"[[[', '\\\\\\"[[[', 'a\n"[[['])
def test_brackets_in_escaped_strings_are_no_depth_and_those_after_are(text: str) -> None:
    said = reference.dumps({"a": text, "b": [[0]]})
    assert json.parse_object(said, max_depth=3)["a"] == text
    assert refused(lambda: json.parse_object(said, max_depth=2)) is Reason.TOO_LARGE


def test_many_siblings_are_no_depth() -> None:
    text = '{"a":[' + ",".join(["[]"] * 100) + "]}"
    assert json.parse_object(text) == {"a": [[]] * 100}


@pytest.mark.parametrize(
    "text",
    ["[" * 60_000, '{"a":' * 10_000, '{"a":"' + '\\"' * 30_000, '{"' + "[" * 60_000, "[]" * 30_000],
)
def test_hostile_depth_and_quotes_are_refused_quickly(text: str) -> None:
    assert refused(lambda: json.parse_object(text)) in (Reason.TOO_LARGE, Reason.MALFORMED)


@given(st.binary(max_size=60) | st.text(alphabet='{}[]":,\\u0d8aeE+-.1nN ', max_size=60))
def test_leaks_nothing_but_malformed(data: bytes | str) -> None:
    with suppress(Malformed):
        assert isinstance(json.parse_object(data), dict)


def test_encode_is_compact_in_insertion_order_and_utf8() -> None:
    assert json.encode({"b": [1, None], "a": "ü"}) == '{"b":[1,null],"a":"ü"}'.encode()


def test_canonical_sorts_members_at_every_depth() -> None:
    assert json.canonical({"b": {"d": 1, "c": 2}, "a": 0}) == b'{"a":0,"b":{"c":2,"d":1}}'


@pytest.mark.parametrize("value", [{"a": float("nan")}, {"a": b"bytes"}, {"a": {1, 2}}])
def test_encode_raises_on_what_is_not_json(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        json.encode(value)


READERS: dict[str, tuple[Callable[..., object], Callable[..., object], object]] = {
    "str": (json.get_str, json.find_str, "text"),
    "int": (json.get_int, json.find_int, 7),
    "number": (json.get_number, json.find_number, 7.5),
    "bool": (json.get_bool, json.find_bool, True),
    "object": (json.get_object, json.find_object, {"b": 1}),
    "list": (json.get_str_list, json.find_str_list, ["x", "y"]),
    "objects": (json.get_object_list, json.find_object_list, [{"b": 1}]),
}
SAMPLES = [None, True, 7, 7.5, "text", [], ["x", "y"], [1], [{"b": 1}], {"b": 1}]
ALSO_READ = {"number": [7], "list": [[]], "objects": [[]]}


@pytest.mark.parametrize("kind", READERS)
def test_reader_accepts_its_type_and_no_other(kind: str) -> None:
    get, find, good = READERS[kind]
    expected = tuple(good) if isinstance(good, list) else good
    assert get({"a": good}, "a") == find({"a": good}, "a") == expected
    for sample in SAMPLES:
        accepted = [good, *ALSO_READ.get(kind, [])]
        if any(type(sample) is type(one) and sample == one for one in accepted):
            continue
        for read in (get, find):
            with pytest.raises(Malformed, match="a"):
                read({"a": sample}, "a")


@pytest.mark.parametrize("kind", READERS)
def test_absent_member_is_none_to_find_and_named_by_get(kind: str) -> None:
    get, find, _ = READERS[kind]
    assert find({}, "member") is None
    with pytest.raises(Malformed, match="member is missing"):
        get({}, "member")


def test_strings_are_bounded_non_empty_and_without_control_characters() -> None:
    assert json.get_str({"a": "xx"}, "a", max_chars=2) == "xx"
    assert refused(lambda: json.get_str({"a": "xxx"}, "a", max_chars=2)) is Reason.TOO_LARGE
    assert refused(lambda: json.get_str({"a": ""}, "a")) is Reason.MALFORMED
    assert json.get_str({"a": ""}, "a", allow_empty=True) == ""
    for text in ("a\0b", "a\nb", "\x7f", "\x1b[0m"):
        assert refused(lambda text=text: json.get_str({"a": text}, "a")) is Reason.MALFORMED
        assert refused(lambda text=text: json.get_str_list({"a": [text]}, "a")) is Reason.MALFORMED


def test_integers_are_bounded_on_both_sides() -> None:
    assert [json.get_int({"a": n}, "a", minimum=1, maximum=3) for n in (1, 3)] == [1, 3]
    for number in (0, 4, -1):
        assert refused(lambda number=number: json.get_int({"a": number}, "a", minimum=1, maximum=3))
    assert refused(lambda: json.get_int({"a": -1}, "a")) is Reason.MALFORMED


def test_lists_are_bounded_and_name_the_bad_item() -> None:
    assert json.get_str_list({"a": ["x"] * 3}, "a", max_items=3) == ("x",) * 3
    assert refused(lambda: json.get_str_list({"a": ["x"] * 4}, "a", max_items=3))
    with pytest.raises(Malformed, match=r"a\[1\]"):
        json.get_str_list({"a": ["x", ""]}, "a")
    with pytest.raises(Malformed, match=r"a\[1\]"):
        json.get_object_list({"a": [{}, 1]}, "a")


def test_str_or_list_reads_an_audience() -> None:
    assert json.find_str_or_list({"aud": "x"}, "aud") == ("x",)
    assert json.find_str_or_list({"aud": ["x", "y"]}, "aud") == ("x", "y")
    assert json.find_str_or_list({}, "aud") is None
    for bad in (None, 1, "", [""], {"x": 1}):
        assert refused(lambda bad=bad: json.find_str_or_list({"aud": bad}, "aud"))


def test_bytes_are_bounded_base64url() -> None:
    assert json.get_bytes({"a": "AAEC"}, "a", max_bytes=3) == b"\0\1\2"
    assert json.find_bytes({}, "a", max_bytes=3) is None
    assert refused(lambda: json.get_bytes({"a": "AAEC"}, "a", max_bytes=2)) is Reason.TOO_LARGE
    for bad in ("AB", "A===", 7, None):
        with pytest.raises(Malformed, match=r"^malformed: a"):
            json.get_bytes({"a": bad}, "a", max_bytes=9)


def test_refuses_members_that_nobody_knows() -> None:
    json.refuse_other_members({"a": 1}, frozenset({"a", "b"}))
    with pytest.raises(Malformed, match="'c'"):
        json.refuse_other_members({"a": 1, "c": 2}, frozenset({"a", "b"}))


@pytest.mark.parametrize("inside", ["{},", "[],", '"{",'])
def test_brackets_are_bounded_wherever_they_stand(inside: str) -> None:
    most = '{"a":[' + inside * (json.MAX_BRACKETS - 2) + "0]}"
    assert len(json.parse_object(most, max_bytes=len(most))) == 1
    more = most.replace("0]}", inside + "0]}")
    assert refused(lambda: json.parse_object(more, max_bytes=len(more))) is Reason.TOO_LARGE


@pytest.mark.parametrize("most", ['{"a":[%s0]}', '{"a":"%s"}'], ids=["items", "text"])
def test_commas_are_bounded_wherever_they_stand(most: str) -> None:
    each = "0," if "[" in most else ","
    good, more = most % (each * json.MAX_COMMAS), most % (each * (json.MAX_COMMAS + 1))
    assert len(json.parse_object(good, max_bytes=len(good))) == 1
    assert refused(lambda: json.parse_object(more, max_bytes=len(more))) is Reason.TOO_LARGE
