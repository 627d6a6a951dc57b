import hashlib
from collections.abc import Iterator
from dataclasses import replace

import pytest

from keystead.audit import HashChain, encode_event, verify_chain
from keystead.errors import Reason, Rejected
from keystead.model import AuditAction, AuditEvent, ChainedEvent
from tests.store_samples import event


def chain(length: int, after: ChainedEvent | None = None) -> list[ChainedEvent]:
    links: list[ChainedEvent] = []
    for number in range(length):
        after = HashChain().link(after, event(object=str(number)))
        links.append(after)
    return links


def broken_at(links: list[ChainedEvent]) -> str:
    with pytest.raises(Rejected) as caught:
        verify_chain(links)
    assert caught.value.reason is Reason.AUDIT_CHAIN_BROKEN
    return caught.value.detail


def test_the_hash_is_what_the_documentation_says() -> None:
    first, second = chain(2)
    expected = hashlib.sha256(
        b"keystead audit v1"
        + b"\0"
        + bytes(32)
        + (1).to_bytes(8, "big")
        + encode_event(first.event)
    ).digest()
    assert (first.sequence, first.previous, first.hash) == (1, bytes(32), expected)
    expected = hashlib.sha256(
        b"keystead audit v1\0" + first.hash + (2).to_bytes(8, "big") + encode_event(second.event)
    ).digest()
    assert (second.sequence, second.previous, second.hash) == (2, first.hash, expected)


def test_what_is_chained_is_the_bounded_event() -> None:
    link = HashChain().link(None, event(sub="\x1b[2J"))
    assert link.event.sub == "\\u001b[2J"
    assert verify_chain([link]) == link


def test_accepts_a_whole_chain_and_gives_its_last_event() -> None:
    links = chain(100)
    assert verify_chain(links) == links[-1]


def test_an_empty_chain_ends_where_it_starts() -> None:
    assert verify_chain([]) is None
    assert verify_chain([], start=chain(3)[-1]) == chain(3)[-1]


def test_accepts_pages_one_after_another() -> None:
    links = chain(10)
    last = None
    for page in (links[:4], links[4:5], links[5:]):
        last = verify_chain(page, start=last)
    assert last == links[-1]


def test_a_page_must_follow_the_one_before() -> None:
    links = chain(10)
    with pytest.raises(Rejected) as caught:
        verify_chain(links[5:], start=links[3])
    assert "event 5 is missing" in caught.value.detail


CHANGES = {
    "action": AuditAction.TOKEN_REFUSED,
    "at": 1,
    "caller": "other",
    "sub": "other",
    "actors": (),
    "jkt": "other",
    "kind": "other",
    "reason": "other",
    "step": 9,
    "object": "other",
    "detail": {"audience": "https://elsewhere.example"},
}


def test_every_field_is_among_the_changes() -> None:
    assert CHANGES.keys() == AuditEvent.__dataclass_fields__.keys()


@pytest.mark.parametrize("at", [0, 4, 9])
@pytest.mark.parametrize("field", CHANGES)
def test_rejects_a_change_of_any_field_and_names_the_event(at: int, field: str) -> None:
    links = chain(10)
    changed = replace(links[at].event, **{field: CHANGES[field]})
    links[at] = replace(links[at], event=changed)
    assert broken_at(links) == f"event {at + 1} was changed"


def test_rejects_a_change_of_hash_or_previous() -> None:
    links = chain(10)
    bent = [*links[:4], replace(links[4], hash=bytes(32)), *links[5:]]
    assert broken_at(bent) == "event 5 was changed"
    bent = [*links[:4], replace(links[4], previous=bytes(32)), *links[5:]]
    assert broken_at(bent) == "event 5 does not follow the event before it"


def test_rejects_an_event_that_was_changed_together_with_its_hash() -> None:
    links = chain(10)
    links[4] = HashChain().link(links[3], event(object="forged"))
    assert broken_at(links) == "event 6 does not follow the event before it"


def test_rejects_missing_repeated_and_swapped_events() -> None:
    links = chain(10)
    assert "event 1 is missing" in broken_at(links[1:])
    assert "event 5 is missing" in broken_at(links[:4] + links[5:])
    assert "event 6 is missing" in broken_at(links[:5] + links[4:])
    assert "event 5 is missing" in broken_at([*links[:4], links[5], links[4], *links[6:]])


def test_rejects_renumbered_events() -> None:
    links = chain(10)
    renumbered = [replace(link, sequence=link.sequence - 1) for link in links[5:]]
    assert "event 5 does not follow" in broken_at(links[:4] + renumbered)


def test_a_log_of_any_length_is_read_one_event_at_a_time() -> None:
    alive: set[int] = set()

    def one_by_one() -> Iterator[ChainedEvent]:
        link = None
        for number in range(5_000):
            link = HashChain().link(link, event(object=str(number)))
            alive.add(link.sequence)
            yield link

    last = verify_chain(one_by_one())
    assert last is not None
    assert last.sequence == len(alive) == 5_000
