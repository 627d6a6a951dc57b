import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.audit import bounded, decode_event, encode_event
from keystead.audit.events import (
    MAX_ACTORS,
    MAX_DETAIL_CHARS,
    MAX_DETAIL_MEMBERS,
    MAX_EVENT_BYTES,
    MAX_FIELD_CHARS,
)
from keystead.errors import Malformed, Reason
from keystead.model import AuditAction, AuditEvent
from tests.store_samples import event

texts = st.text(st.characters(exclude_categories=()), max_size=40)
strangers = st.builds(
    AuditEvent,
    action=st.sampled_from(AuditAction),
    at=st.integers(min_value=0, max_value=2**40),
    caller=texts,
    sub=texts,
    actors=st.lists(texts, max_size=20).map(tuple),
    jkt=texts,
    kind=texts,
    reason=texts,
    step=st.none() | st.integers(min_value=0, max_value=99),
    object=texts,
    detail=st.dictionaries(texts, texts | st.integers() | st.booleans(), max_size=5),
)


def test_an_event_is_json_with_all_fields_in_the_order_of_their_names() -> None:
    assert encode_event(event(step=None)) == (
        b'{"action":"token.issued","actors":["spiffe://example.org/agent/reports"],"at":1790000000,'
        b'"caller":"spiffe://example.org/agent/reports",'
        b'"detail":{"audience":"https://api.example","lifetime_s":300},'
        b'"jkt":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","kind":"tpm2","object":"token-1",'
        b'"reason":"","step":null,"sub":"user-1"}'
    )


@given(strangers)
def test_any_event_within_bounds_comes_back(stranger: AuditEvent) -> None:
    kept = bounded(stranger)
    assert decode_event(encode_event(kept)) == kept
    assert bounded(kept) == kept


@given(strangers)
def test_nothing_that_a_terminal_would_obey_is_kept(stranger: AuditEvent) -> None:
    assert encode_event(bounded(stranger)).decode("utf-8").isprintable()


def test_an_ordinary_event_is_kept_as_it_is() -> None:
    ordinary = event(sub="Zoë Ünsal \\ 100 %", detail={"audience": "https://api.example/ü"})
    assert bounded(ordinary) == ordinary


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("line\nbreak", "line\\u000abreak"),
        ("\x1b[2Jgone", "\\u001b[2Jgone"),
        ("\x9b1m", "\\u009b1m"),
        ("abc\u202ecba", "abc\\u202ecba"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("para\u2029graph", "para\\u2029graph"),
        ("lone \ud800", "lone \\ud800"),
        ("nul\0", "nul\\u0000"),
    ],
)
def test_unprintable_characters_are_spelled_out(sent: str, kept: str) -> None:
    stranger = event(caller=sent, actors=(sent,), reason=sent, detail={sent: sent})
    shown = bounded(stranger)
    assert (shown.caller, shown.actors, shown.reason) == (kept, (kept,), kept)
    assert shown.detail == {kept: kept}


def test_long_texts_are_cut_and_say_so() -> None:
    flood = "x" * 1_000_000
    shown = bounded(event(caller=flood, actors=(flood,) * 99, detail={"why": flood}))
    assert shown.caller == "x" * (MAX_FIELD_CHARS - 1) + "…"
    assert len(shown.actors) == MAX_ACTORS
    assert shown.detail["why"] == "x" * (MAX_DETAIL_CHARS - 1) + "…"
    many = bounded(event(detail={str(n): n for n in range(1_000)}))
    assert len(many.detail) == MAX_DETAIL_MEMBERS


def test_a_text_of_exactly_the_bound_is_whole() -> None:
    fits = event(sub="é" * MAX_FIELD_CHARS, detail={"d": "é" * MAX_DETAIL_CHARS})
    assert bounded(fits) == fits


def test_the_largest_bounded_event_is_within_the_byte_bound() -> None:
    wide = "\U0001f511" * 10_000
    largest = bounded(
        event(
            caller=wide,
            sub=wide,
            actors=(wide,) * 99,
            jkt=wide,
            kind=wide,
            reason=wide,
            object=wide,
            detail={f"{n}{wide}": wide for n in range(99)},
        )
    )
    encoded = encode_event(largest)
    assert len(encoded) <= MAX_EVENT_BYTES
    assert decode_event(encoded) == largest


def test_numbers_out_of_range_and_truth_values_become_what_json_readers_share() -> None:
    shown = bounded(event(detail={"huge": 10**5_000, "minus": -(2**63), "yes": True}))
    assert shown.detail == {
        "huge": "an integer out of range",
        "minus": "an integer out of range",
        "yes": 1,
    }
    assert type(shown.detail["yes"]) is int


def test_rejects_every_truncation() -> None:
    encoded = encode_event(event(step=3))
    for length in range(len(encoded)):
        with pytest.raises(Malformed):
            decode_event(encoded[:length])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"action": "token.invented"}, Reason.MALFORMED),
        ({"at": "1"}, Reason.MALFORMED),
        ({"at": -1}, Reason.MALFORMED),
        ({"at": True}, Reason.MALFORMED),
        ({"step": "1"}, Reason.MALFORMED),
        ({"actors": "one"}, Reason.MALFORMED),
        ({"actors": [1]}, Reason.MALFORMED),
        ({"actors": ["a"] * (MAX_ACTORS + 1)}, Reason.TOO_LARGE),
        ({"sub": None}, Reason.MALFORMED),
        ({"sub": "x" * (MAX_FIELD_CHARS + 1)}, Reason.TOO_LARGE),
        ({"detail": []}, Reason.MALFORMED),
        ({"detail": {"a": 1.5}}, Reason.MALFORMED),
        ({"detail": {"a": None}}, Reason.MALFORMED),
        ({"detail": {"a": True}}, Reason.MALFORMED),
        ({"detail": {"a": {"b": 1}}}, Reason.TOO_LARGE),
        ({"detail": {str(n): n for n in range(MAX_DETAIL_MEMBERS + 1)}}, Reason.TOO_LARGE),
        ({"extra": 1}, Reason.MALFORMED),
    ],
)
def test_rejects_one_wrong_member(change: dict[str, object], reason: Reason) -> None:
    members = json.loads(encode_event(event())) | change
    data = json.dumps(members, sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(Malformed) as caught:
        decode_event(data)
    assert caught.value.reason is reason


@pytest.mark.parametrize("name", ["action", "at", "sub", "actors", "detail", "step"])
def test_rejects_a_missing_member(name: str) -> None:
    members = json.loads(encode_event(event()))
    del members[name]
    with pytest.raises(Malformed):
        decode_event(json.dumps(members, sort_keys=True, separators=(",", ":")).encode())


def test_rejects_any_other_spelling() -> None:
    data = encode_event(event())
    members = json.loads(data)
    reversed_order = dict(reversed(members.items()))
    for bent in (
        data + b"\n",
        b" " + data,
        json.dumps(members, sort_keys=True).encode(),
        json.dumps(reversed_order, separators=(",", ":")).encode(),
        data.replace(b"token.issued", b"token\\u002eissued"),
    ):
        with pytest.raises(Malformed):
            decode_event(bent)
