import json
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.audit import HashChain, bounded, encode_event
from keystead.errors import Reason, Rejected, Unavailable
from keystead.model import AuditAction, AuditEvent
from keystead.storage.sqlite import rows
from keystead.storage.sqlite.rows import RowBody
from tests.store_samples import (
    bound_key,
    checkpoint,
    entry,
    event,
    grant,
    host,
    signing_key,
)

SAMPLES = [
    (rows.BINDING, bound_key()),
    (rows.HOST, host()),
    (rows.ENTRY, entry()),
    (rows.GRANT, grant()),
    (rows.KEY, signing_key()),
    (rows.CHECKPOINT, checkpoint()),
    (rows.EVENT, event()),
]

texts = st.text(max_size=50)
events = st.builds(
    AuditEvent,
    action=st.sampled_from(AuditAction),
    at=st.integers(min_value=0, max_value=2**40),
    caller=texts,
    sub=texts,
    actors=st.lists(texts, max_size=3).map(tuple),
    step=st.none() | st.integers(min_value=0, max_value=99),
    object=texts,
    detail=st.dictionaries(texts, texts | st.integers(-(2**62), 2**62), max_size=5),
)


@pytest.mark.parametrize(("body", "value"), SAMPLES)
def test_a_value_comes_back_as_it_was(body: RowBody[object], value: object) -> None:
    assert body.decode(body.encode(value)) == value


@pytest.mark.parametrize(("body", "value"), SAMPLES)
def test_rejects_every_truncation(body: RowBody[object], value: object) -> None:
    encoded = body.encode(value)
    for length in range(len(encoded)):
        with pytest.raises(Unavailable):
            body.decode(encoded[:length])


@pytest.mark.parametrize(("body", "value"), SAMPLES)
@pytest.mark.parametrize(
    "bend",
    [
        lambda text: text.replace("{", '{"more":1,', 1),
        lambda text: text.replace("{", "{ ", 1),
        lambda text: text + " ",
        lambda text: text.replace("{", "{" + text[1:].split(",")[0] + ",", 1),
        lambda text: "[]",
        lambda text: "null",
    ],
    ids=["member too many", "space", "trailing space", "member twice", "array", "null"],
)
def test_rejects_any_other_spelling(body: RowBody[object], value: object, bend: object) -> None:
    bent = bend(body.encode(value).decode()).encode()  # type: ignore[operator]
    with pytest.raises(Unavailable) as caught:
        body.decode(bent)
    assert caught.value.reason is Reason.STORE_UNAVAILABLE


@pytest.mark.parametrize("body", ["text", None, 1, bytearray(b"{}")])
def test_rejects_what_is_no_blob(body: object) -> None:
    with pytest.raises(Unavailable):
        rows.GRANT.decode(body)


def test_rejects_values_outside_their_type() -> None:
    members = json.loads(rows.KEY.encode(signing_key()))
    for name, value in [("state", "lost"), ("created_at", "1"), ("jwk", {"x": 1})]:
        bent = json.dumps(members | {name: value}, separators=(",", ":")).encode()
        with pytest.raises(Unavailable):
            rows.KEY.decode(bent)


def test_a_read_only_mapping_is_stored_as_its_members() -> None:
    key = bound_key(jwk=MappingProxyType({"kty": "EC"}))
    assert rows.BINDING.decode(rows.BINDING.encode(key)).jwk == {"kty": "EC"}


@given(events)
def test_an_events_row_is_what_the_chain_hashes(stranger: AuditEvent) -> None:
    kept = bounded(stranger)
    assert rows.EVENT.encode(kept) == encode_event(kept)
    assert rows.EVENT.decode(encode_event(kept)) == kept


def test_a_chained_row_comes_back() -> None:
    link = HashChain().link(None, event())
    row = (link.sequence, rows.EVENT.encode(link.event), link.previous, link.hash)
    assert rows.decode_chained(row) == link


@pytest.mark.parametrize(
    "row",
    [
        (7, b"{}", bytes(32), bytes(32)),
        (7, "text", bytes(32), bytes(32)),
        (7, rows.EVENT.encode(event()), "text", bytes(32)),
        (7, rows.EVENT.encode(event()), bytes(32), None),
    ],
)
def test_a_damaged_event_is_named(row: tuple[object, ...]) -> None:
    with pytest.raises(Rejected) as caught:
        rows.decode_chained(row)
    assert caught.value.reason is Reason.AUDIT_CHAIN_BROKEN
    assert "event 7" in caught.value.detail
