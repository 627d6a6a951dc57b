"""What every implementation of ``keystead.ports.Store`` promises."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keystead.audit import HashChain, verify_chain
from keystead.errors import (
    Conflict,
    KeysteadError,
    NotFound,
    Reason,
    Refused,
    Replayed,
    Unavailable,
)
from keystead.model import (
    BoundKey,
    EkId,
    EvidenceKind,
    GrantId,
    Jkt,
    KeyPurpose,
    KeyState,
    Kid,
    ResultId,
    SpiffeId,
)
from keystead.operations import (
    BindKey,
    Delegation,
    EndBinding,
    EnrolHost,
    KeepDevice,
    KeepEvidence,
    Operation,
    PutCheckpoint,
    PutEntry,
    PutFact,
    PutGrant,
    PutKey,
    PutResult,
    RaiseCounter,
    RefuseEarlierSubjects,
    RemoveEntry,
    RemoveHost,
    RequireLaterSubject,
    RequireLiveBinding,
    RequireLiveGrant,
    RevokeGrant,
    SetKeyState,
    UseOnce,
)
from keystead.ports import Store
from keystead.storage import SqliteStore
from keystead.storage.sqlite.operations.grants import MAX_LIVE_GRANTS
from tests.store_samples import (
    AGENT,
    EK,
    HOST_ID,
    JKT,
    NOW,
    bound_key,
    checkpoint,
    entry,
    event,
    grant,
    host,
    kept,
    once,
    signing_key,
)

OpenStore = Callable[[], Awaitable[Store]]


async def open_sqlite(folder: Path) -> Store:
    return SqliteStore.open(folder / "keystead.db", chain=HashChain())


ADAPTERS = {"sqlite": open_sqlite}


@pytest.fixture(params=ADAPTERS)
def open_again(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    """Opens the store that this test uses, with whatever it held when it was closed."""
    return lambda: ADAPTERS[request.param](tmp_path)


@pytest.fixture
async def store(open_again: OpenStore) -> AsyncIterator[Store]:
    store = await open_again()
    yield store
    await store.close()


async def run(store: Store, *operations: Operation) -> None:
    await store.apply(operations, events=())


async def refused(
    store: Store, error: type[KeysteadError], reason: Reason, *operations: Operation
) -> None:
    with pytest.raises(error) as caught:
        await store.apply(operations, events=())
    assert caught.value.reason is reason


async def with_binding(store: Store) -> None:
    await run(store, EnrolHost(host=host()), PutEntry(entry=entry()), BindKey(key=bound_key()))


# --- units of work ------------------------------------------------------------------------------


async def test_a_unit_with_nothing_in_it_is_nothing(store: Store) -> None:
    assert await store.apply((), events=()) == ()
    assert await store.last_event() is None


async def test_events_come_back_chained_and_in_order(store: Store) -> None:
    first = await store.apply((), events=[event(object="a"), event(object="b")])
    second = await store.apply((), events=[event(object="c")])
    assert [link.sequence for link in first + second] == [1, 2, 3]
    assert [link.event.object for link in first + second] == ["a", "b", "c"]
    assert await store.events() == first + second
    assert await store.last_event() == second[-1]
    assert verify_chain(await store.events()) == second[-1]


async def test_a_page_of_events_starts_after_what_was_read(store: Store) -> None:
    links = await store.apply((), events=[event(object=str(n)) for n in range(5)])
    assert await store.events(after=1, limit=2) == links[1:3]
    assert await store.events(after=5) == ()


async def test_a_refused_unit_leaves_nothing_behind(store: Store) -> None:
    await run(store, once(b"k"))
    unit = [PutFact(name="policy", value=b"1"), once(b"other"), once(b"k")]
    with pytest.raises(Replayed):
        await store.apply(unit, events=[event()])
    assert await store.fact("policy") is None
    assert not await store.seen("proof", b"other")
    assert await store.last_event() is None


async def test_a_unit_sees_what_it_did_itself(store: Store) -> None:
    await with_binding(store)
    await run(store, RequireLiveBinding(jkt=JKT, spiffe_id=AGENT, now=NOW))


async def test_one_refused_unit_spoils_no_other_that_runs_with_it(store: Store) -> None:
    outcomes = await asyncio.gather(
        *(
            store.apply([once(bytes([n // 2]))], events=[event(object=str(n // 2))])
            for n in range(200)
        ),
        return_exceptions=True,
    )
    accepted = [outcome for outcome in outcomes if isinstance(outcome, tuple)]
    replayed = [outcome for outcome in outcomes if isinstance(outcome, Replayed)]
    assert (len(accepted), len(replayed)) == (100, 100)
    links = await store.events()
    assert sorted(link.event.object for link in links) == sorted(str(n) for n in range(100))
    assert sorted((link for (link,) in accepted), key=lambda link: link.sequence) == list(links)
    assert verify_chain(links) == links[-1]


async def test_256_callers_at_once_each_use_a_key_that_only_one_may(store: Store) -> None:
    async def caller(number: int) -> int:
        wins = 0
        for key in range(8):
            try:
                await store.apply([once(bytes([key]))], events=[event(caller=str(number))])
            except Replayed:
                continue
            wins += 1
        return wins

    assert sum(await asyncio.gather(*(caller(number) for number in range(256)))) == 8
    assert len(await store.events()) == 8


async def test_a_caller_that_gave_up_changes_nothing_for_the_others(store: Store) -> None:
    tasks = [
        asyncio.ensure_future(store.apply([once(bytes([n]))], events=[event()])) for n in range(10)
    ]
    await asyncio.sleep(0)
    tasks[3].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(outcomes.pop(3), asyncio.CancelledError)
    assert all(isinstance(outcome, tuple) for outcome in outcomes)


async def test_everything_is_there_after_closing_and_opening(open_again: OpenStore) -> None:
    store = await open_again()
    await with_binding(store)
    links = await store.apply(
        [
            once(b"k"),
            PutGrant(grant=grant()),
            PutKey(key=signing_key()),
            PutCheckpoint(checkpoint=checkpoint()),
            PutFact(name="ak", value=b"\x00\xff"),
        ],
        events=[event()],
    )
    await store.close()
    again = await open_again()
    try:
        assert await again.seen("proof", b"k")
        assert await again.host(EK) == host()
        assert await again.entry("entry-1") == entry()
        assert await again.binding(JKT) == bound_key()
        assert await again.grant(GrantId("grant-1")) == grant()
        assert await again.key(Kid("kid-1")) == signing_key()
        assert await again.last_checkpoint() == checkpoint()
        assert await again.fact("ak") == b"\x00\xff"
        assert await again.last_event() == links[0]
        more = await again.apply((), events=[event()])
        assert verify_chain(links + more) == more[0]
    finally:
        await again.close()


async def test_closing_finishes_what_was_accepted(open_again: OpenStore) -> None:
    store = await open_again()
    tasks = [asyncio.ensure_future(store.apply((), events=[event()])) for _ in range(50)]
    await asyncio.sleep(0)
    await store.close()
    links = [link for (link,) in await asyncio.gather(*tasks)]
    again = await open_again()
    assert list(await again.events()) == sorted(links, key=lambda link: link.sequence)
    await again.close()


async def test_a_closed_store_is_unavailable(store: Store) -> None:
    await store.close()
    await store.close()
    with pytest.raises(Unavailable) as caught:
        await store.apply([once(b"k")], events=())
    assert caught.value.reason is Reason.SHUTTING_DOWN
    with pytest.raises(Unavailable):
        await store.seen("proof", b"k")
    with pytest.raises(Unavailable):
        await store.events()


# --- things that may be used once ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("space", "reason"),
    [
        ("proof", Reason.PROOF_REPLAYED),
        ("challenge", Reason.CHALLENGE_REPLAYED),
        ("handover", Reason.SUBJECT_TOKEN_REPLAYED),
        ("oidc", Reason.EVIDENCE_REPLAYED),
    ],
)
async def test_a_key_is_used_once_in_its_space(store: Store, space: str, reason: Reason) -> None:
    assert not await store.seen(space, b"k")
    await run(store, once(b"k", space=space))
    assert await store.seen(space, b"k")
    await refused(store, Replayed, reason, once(b"k", space=space, until=NOW + 900))


async def test_spaces_are_apart(store: Store) -> None:
    await run(store, once(b"k", space="proof"), once(b"k", space="challenge"))
    assert not await store.seen("handover", b"k")


async def test_a_key_twice_in_one_unit_is_a_replay(store: Store) -> None:
    await refused(store, Replayed, Reason.PROOF_REPLAYED, once(b"k"), once(b"k"))
    assert not await store.seen("proof", b"k")


async def test_used_keys_are_forgotten_long_after_their_end_but_never_accepted(
    store: Store,
) -> None:
    await run(store, once(b"short", until=NOW + 10), once(b"long", until=NOW + 10_000))
    await store.apply((), events=[event(at=NOW + 5_000)])
    assert not await store.seen("proof", b"short")
    assert await store.seen("proof", b"long")
    await refused(store, Replayed, Reason.PROOF_REPLAYED, once(b"short", until=NOW + 10))
    await refused(store, Replayed, Reason.PROOF_REPLAYED, once(b"earlier", until=NOW + 9))
    await run(store, once(b"later", until=NOW + 11), once(b"short", space="challenge", until=NOW))


async def test_used_keys_stay_inside_their_window(store: Store) -> None:
    await run(store, once(b"k", until=NOW + 300))
    await store.apply((), events=[event(at=NOW + 301)])
    await refused(store, Replayed, Reason.PROOF_REPLAYED, once(b"k", until=NOW + 300))


async def test_forgetting_survives_a_restart(open_again: OpenStore) -> None:
    store = await open_again()
    await run(store, once(b"k", until=NOW))
    await store.apply((), events=[event(at=NOW + 5_000)])
    await store.close()
    again = await open_again()
    await refused(again, Replayed, Reason.PROOF_REPLAYED, once(b"k", until=NOW))
    await again.close()


async def test_forgetting_keeps_up_with_a_long_past(store: Store) -> None:
    keys = [once(n.to_bytes(4, "big"), until=NOW) for n in range(2_000)]
    await run(store, *keys)
    for n in range(100):
        await store.apply((), events=[event(at=NOW + 5_000 + n)])
    assert not any([await store.seen("proof", key.key) for key in keys])


# --- hosts, entries, bindings -------------------------------------------------------------------


async def test_enrolled_hosts_are_found_and_listed_oldest_first(store: Store) -> None:
    other = host(
        ek=EkId("ek-2"), spiffe_id=SpiffeId("spiffe://example.org/h2"), enrolled_at=NOW - 1
    )
    await run(store, EnrolHost(host=host()), EnrolHost(host=other))
    assert await store.host(EK) == host()
    assert await store.host(EkId("ek-3")) is None
    assert await store.host_named(other.spiffe_id) == other
    assert await store.host_named(SpiffeId("spiffe://example.org/h3")) is None
    assert await store.hosts() == (other, host())


async def test_a_host_may_be_enrolled_anew_with_other_labels(store: Store) -> None:
    await run(store, EnrolHost(host=host()), EnrolHost(host=host(labels=())))
    assert await store.hosts() == (host(labels=()),)


@pytest.mark.parametrize("taken", [{"ek": EkId("ek-2")}, {"spiffe_id": SpiffeId("spiffe://a/b")}])
async def test_one_ek_has_one_host_id_and_the_reverse(store: Store, taken: dict[str, str]) -> None:
    await run(store, EnrolHost(host=host()))
    await refused(store, Conflict, Reason.CONFLICT, EnrolHost(host=host(**taken)))
    assert await store.hosts() == (host(),)


async def test_entries_are_narrowed_by_ek_and_parent(store: Store) -> None:
    second = host(ek=EkId("ek-2"), spiffe_id=SpiffeId("spiffe://example.org/host/2"))
    there = entry(id="there", ek=second.ek, parent=second.spiffe_id, created_at=NOW - 5)
    await run(store, EnrolHost(host=host()), EnrolHost(host=second))
    await run(store, PutEntry(entry=entry()), PutEntry(entry=there))
    assert await store.entries() == (there, entry())
    assert await store.entries(ek=EK) == (entry(),)
    assert await store.entries(parent=second.spiffe_id) == (there,)
    assert await store.entries(ek=EK, parent=second.spiffe_id) == ()


async def test_the_same_entry_again_changes_nothing_another_conflicts(store: Store) -> None:
    await run(store, EnrolHost(host=host()), PutEntry(entry=entry()), PutEntry(entry=entry()))
    changed = PutEntry(entry=entry(pcrs={}))
    await refused(store, Conflict, Reason.CONFLICT, changed)
    assert await store.entries() == (entry(),)


async def test_an_entry_needs_an_enrolled_host(store: Store) -> None:
    await refused(store, NotFound, Reason.NOT_FOUND, PutEntry(entry=entry()))


async def test_a_binding_can_be_renewed(store: Store) -> None:
    await with_binding(store)
    renewed = bound_key(expires_at=NOW + 9_999)
    await run(store, BindKey(key=renewed))
    assert await store.binding(JKT) == renewed
    assert await store.binding(Jkt("b" * 43)) is None


async def test_a_key_speaks_for_one_id_only(store: Store) -> None:
    await with_binding(store)
    stolen = bound_key(spiffe_id=SpiffeId("spiffe://example.org/agent/other"))
    await refused(store, Conflict, Reason.KEY_BOUND_TO_ANOTHER_ID, BindKey(key=stolen))
    assert await store.binding(JKT) == bound_key()


async def test_a_binding_needs_its_entry_to_be_there_still(store: Store) -> None:
    await run(store, EnrolHost(host=host()))
    bind = BindKey(key=bound_key())
    await refused(store, Refused, Reason.NO_REGISTRATION_ENTRY, bind)
    await run(store, PutEntry(entry=entry()))
    other_ek = BindKey(key=bound_key(ek=EkId("ek-2")))
    await refused(store, Refused, Reason.NO_REGISTRATION_ENTRY, other_ek)
    await run(store, bind)


@pytest.mark.parametrize(
    ("require", "reason"),
    [
        ({"jkt": Jkt("b" * 43)}, Reason.KEY_NOT_BOUND),
        ({"spiffe_id": SpiffeId("spiffe://a/b")}, Reason.KEY_NOT_BOUND),
        ({"now": NOW + 3600}, Reason.BINDING_EXPIRED),
    ],
)
async def test_only_a_live_binding_passes(
    store: Store, require: dict[str, object], reason: Reason
) -> None:
    await with_binding(store)
    fields = {"jkt": JKT, "spiffe_id": AGENT, "now": NOW + 3599}
    await run(store, RequireLiveBinding(**fields))  # type: ignore[arg-type]
    await refused(store, Refused, reason, RequireLiveBinding(**(fields | require)))  # type: ignore[arg-type]


async def test_removing_an_entry_removes_its_bindings_and_revokes_their_grants(
    store: Store,
) -> None:
    await with_binding(store)
    child = grant(id=GrantId("child"), handle_hash=b"c" * 32, parent=grant().id, jkt=Jkt("c" * 43))
    await run(store, PutGrant(grant=grant()), PutGrant(grant=child))
    await run(store, RemoveEntry(id="entry-1", at=NOW + 5))
    assert await store.entries() == ()
    assert await store.binding(JKT) is None
    assert [found.revoked_at for found in await store.grants()] == [NOW + 5, NOW + 5]
    assert await store.hosts() == (host(),)
    await refused(store, NotFound, Reason.NOT_FOUND, RemoveEntry(id="entry-1", at=NOW + 6))


async def test_removing_an_entry_leaves_other_entries_alone(store: Store) -> None:
    await with_binding(store)
    other = entry(id="entry-2", spiffe_id=SpiffeId("spiffe://example.org/agent/2"))
    key = bound_key(jkt=Jkt("b" * 43), spiffe_id=other.spiffe_id, entry=other.id)
    kept = grant(id=GrantId("kept"), handle_hash=b"k" * 32, jkt=key.jkt)
    await run(store, PutEntry(entry=other), BindKey(key=key), PutGrant(grant=kept))
    await run(store, RemoveEntry(id="entry-1", at=NOW))
    assert await store.entries() == (other,)
    assert await store.binding(key.jkt) == key
    assert await store.grant(kept.id) == kept


async def test_removing_a_host_removes_all_that_hangs_on_it(store: Store) -> None:
    await with_binding(store)
    await run(store, PutGrant(grant=grant()))
    await run(store, RemoveHost(ek=EK, at=NOW + 5))
    assert await store.hosts() == ()
    assert await store.entries() == ()
    assert await store.binding(JKT) is None
    assert await store.grant(grant().id) == grant(revoked_at=NOW + 5)
    await refused(store, NotFound, Reason.NOT_FOUND, RemoveHost(ek=EK, at=NOW + 6))


async def test_removing_a_host_leaves_other_hosts_alone(store: Store) -> None:
    await with_binding(store)
    second = host(ek=EkId("ek-2"), spiffe_id=SpiffeId("spiffe://example.org/host/2"))
    await run(store, EnrolHost(host=second), RemoveHost(ek=second.ek, at=NOW))
    assert await store.hosts() == (host(),)
    assert await store.entries(parent=HOST_ID) == (entry(),)
    assert await store.binding(JKT) == bound_key()


OTHER_KIND = {"id": "entry-snp", "kind": EvidenceKind.SEV_SNP, "ek": None, "parent": None}


async def bound_without_host(store: Store) -> BoundKey:
    """A binding by evidence that names no EK."""
    made = entry(**OTHER_KIND, selectors={"chip_id": ("00",)})
    key = bound_key(ek=None, entry=made.id)
    await run(store, PutEntry(entry=made), BindKey(key=key))
    return key


async def test_an_entry_without_a_host_is_found_and_binds(store: Store) -> None:
    key = await bound_without_host(store)
    assert await store.binding(key.jkt) == key
    (found,) = await store.entries_without_host()
    assert (found.id, found.selectors) == ("entry-snp", {"chip_id": ("00",)})
    pinned = BindKey(key=replace(key, ek=EkId("ek-1")))
    await refused(store, Refused, Reason.NO_REGISTRATION_ENTRY, pinned)


async def test_evidence_is_kept_with_its_binding_and_replaced(store: Store) -> None:
    key = await bound_without_host(store)
    assert await store.evidence(key.jkt) is None
    for envelope in (b"first", b"second"):
        keep = KeepEvidence(jkt=key.jkt, evidence=kept(envelope=envelope), until=NOW + 60)
        await run(store, keep)
        assert await store.evidence(key.jkt) == keep.evidence
    await run(store, KeepEvidence(jkt=key.jkt, evidence=None, until=NOW + 60))
    assert await store.evidence(key.jkt) is None


async def test_an_ended_binding_takes_evidence_and_grants_along(store: Store) -> None:
    key = await bound_without_host(store)
    mine, others = grant(), grant(id="grant-2", handle_hash=b"2" * 32, jkt=Jkt("z" * 43))
    keep = KeepEvidence(jkt=key.jkt, evidence=kept(), until=NOW + 60)
    await run(store, keep, PutGrant(grant=mine), PutGrant(grant=others))
    for _ in range(2):
        await run(store, EndBinding(jkt=key.jkt, at=NOW + 5))
        assert await store.binding(key.jkt) is None
        assert await store.evidence(key.jkt) is None
    revoked = {each.id: each.revoked_at for each in await store.grants()}
    assert revoked == {mine.id: NOW + 5, others.id: None}


async def test_a_removed_entry_takes_evidence_along(store: Store) -> None:
    key = await bound_without_host(store)
    await run(store, KeepEvidence(jkt=key.jkt, evidence=kept(), until=NOW + 60))
    await run(store, RemoveEntry(id="entry-snp", at=NOW))
    assert await store.evidence(key.jkt) is None


async def test_evidence_is_forgotten_after_its_binding_but_devices_are_not(
    store: Store,
) -> None:
    key = await bound_without_host(store)
    keep = KeepEvidence(jkt=key.jkt, evidence=kept(), until=NOW + 60)
    device = KeepDevice(device="00ff", evidence=kept(kind=EvidenceKind.APP_ATTEST))
    await run(store, keep, device)
    await store.apply([], events=[event(at=NOW + 100_000)])
    assert await store.evidence(key.jkt) is None
    assert await store.device("00ff") == device.evidence
    assert await store.device("ff00") is None
    assert await store.binding(key.jkt) == key


async def test_a_key_is_nobodys_again_a_month_after_its_binding_ended(store: Store) -> None:
    key = await bound_without_host(store)
    await store.apply([], events=[event(at=key.expires_at + 29 * 86_400)])
    assert await store.binding(key.jkt) == key
    await store.apply([], events=[event(at=key.expires_at + 31 * 86_400)])
    assert await store.binding(key.jkt) is None


async def test_live_bindings_are_paged_by_key(store: Store) -> None:
    first = await bound_without_host(store)
    second = replace(first, jkt=Jkt("b" * 43))
    ended = replace(first, jkt=Jkt("c" * 43), expires_at=NOW)
    await run(store, BindKey(key=second), BindKey(key=ended))
    assert await store.bindings(live_at=NOW) == (first, second)
    assert await store.bindings(live_at=NOW, limit=1) == (first,)
    assert await store.bindings(live_at=NOW, after=first.jkt) == (second,)


async def test_results_are_kept_until_after_their_end(store: Store) -> None:
    put = PutResult(
        id=ResultId("r"), jwt="e30.e30.cw", spiffe_id=AGENT, issued_at=NOW, expires_at=NOW + 100
    )
    await run(store, put, put)
    assert await store.result(ResultId("r")) == "e30.e30.cw"
    assert await store.result(ResultId("other")) is None
    await store.apply((), events=[event(at=NOW + 5_000)])
    assert await store.result(ResultId("r")) is None


# --- grants -------------------------------------------------------------------------------------


async def test_a_grant_is_found_by_id_and_by_handle(store: Store) -> None:
    await run(store, PutGrant(grant=grant()))
    assert await store.grant(grant().id) == grant()
    assert await store.grant_by_handle(b"h" * 32) == grant()
    assert await store.grant(GrantId("other")) is None
    assert await store.grant_by_handle(b"x" * 32) is None


async def test_grants_are_listed_newest_first_and_narrowed(store: Store) -> None:
    other_agent = SpiffeId("spiffe://example.org/agent/2")
    newer = grant(id=GrantId("new"), handle_hash=b"n" * 32, created_at=NOW + 1, agent=other_agent)
    await run(store, PutGrant(grant=grant()), PutGrant(grant=newer))
    assert await store.grants() == (newer, grant())
    assert await store.grants(limit=1) == (newer,)
    assert await store.grants(agent=AGENT) == (grant(),)
    assert await store.grants(sub="user-1", agent=other_agent) == (newer,)
    assert await store.grants(sub="user-2") == ()


@pytest.mark.parametrize("changed", [{"id": GrantId("other")}, {"handle_hash": b"o" * 32}])
async def test_a_grant_id_and_a_handle_are_used_once(
    store: Store, changed: dict[str, object]
) -> None:
    await run(store, PutGrant(grant=grant()))
    await refused(store, Conflict, Reason.CONFLICT, PutGrant(grant=grant(**changed)))


async def test_revocation_cascades_down_and_not_up(store: Store) -> None:
    family = [
        grant(id=GrantId("top"), handle_hash=b"0" * 32),
        grant(id=GrantId("middle"), handle_hash=b"1" * 32, parent=GrantId("top")),
        grant(id=GrantId("leaf"), handle_hash=b"2" * 32, parent=GrantId("middle")),
        grant(id=GrantId("leaf-2"), handle_hash=b"3" * 32, parent=GrantId("middle")),
        grant(id=GrantId("sibling"), handle_hash=b"4" * 32, parent=GrantId("top")),
    ]
    await run(store, *(PutGrant(grant=member) for member in family))
    await run(store, RevokeGrant(id=GrantId("middle"), at=NOW + 7))
    revoked = {found.id: found.revoked_at for found in await store.grants()}
    assert revoked == {
        "top": None,
        "middle": NOW + 7,
        "leaf": NOW + 7,
        "leaf-2": NOW + 7,
        "sibling": None,
    }


async def test_revoking_twice_changes_nothing(store: Store) -> None:
    await run(store, PutGrant(grant=grant()), RevokeGrant(id=grant().id, at=NOW + 1))
    await run(store, RevokeGrant(id=grant().id, at=NOW + 2))
    assert await store.grant(grant().id) == grant(revoked_at=NOW + 1)


async def test_a_revoked_delegation_takes_later_subjects_only(store: Store) -> None:
    delegation = Delegation(
        subject_issuer="https://idp.example",
        sub="user-1",
        agent=AGENT,
        audience="https://api.example",
    )
    await store.apply([RefuseEarlierSubjects(delegation=delegation, at=NOW)], events=())
    await store.apply([RefuseEarlierSubjects(delegation=delegation, at=NOW - 60)], events=())
    for issued_at in (NOW - 60, NOW):
        with pytest.raises(Refused) as caught:
            await store.apply(
                [RequireLaterSubject(delegation=delegation, issued_at=issued_at)], events=()
            )
        assert caught.value.reason is Reason.GRANT_REVOKED
    await store.apply([RequireLaterSubject(delegation=delegation, issued_at=NOW + 1)], events=())
    for field in ("subject_issuer", "sub", "agent", "audience"):
        other = replace(delegation, **{field: "spiffe://example.org/other"})
        await store.apply([RequireLaterSubject(delegation=other, issued_at=NOW)], events=())


async def test_one_key_holds_so_many_grants_of_one_user(store: Store) -> None:
    def numbered(number: int, **fields: Any) -> PutGrant:
        made = grant(id=GrantId(f"g-{number}"), handle_hash=number.to_bytes(32, "big"), **fields)
        return PutGrant(grant=made)

    await store.apply([numbered(number) for number in range(MAX_LIVE_GRANTS)], events=())
    with pytest.raises(Refused) as caught:
        await store.apply([numbered(MAX_LIVE_GRANTS)], events=())
    assert caught.value.reason is Reason.LIMIT_EXCEEDED
    await store.apply([numbered(MAX_LIVE_GRANTS, jkt=Jkt("another"))], events=())
    await store.apply([RevokeGrant(id=GrantId("g-0"), at=NOW)], events=())
    await store.apply([numbered(MAX_LIVE_GRANTS + 1)], events=())


async def test_an_unknown_grant_cannot_be_revoked(store: Store) -> None:
    await refused(store, NotFound, Reason.NOT_FOUND, RevokeGrant(id=GrantId("x"), at=NOW))


@pytest.mark.parametrize(
    ("parent", "reason"),
    [
        ({"revoked_at": NOW}, Reason.GRANT_REVOKED),
        ({"expires_at": NOW}, Reason.GRANT_EXPIRED),
        ({"id": GrantId("elsewhere")}, Reason.GRANT_UNKNOWN),
    ],
)
async def test_no_grant_starts_below_one_that_is_not_live(
    store: Store, parent: dict[str, object], reason: Reason
) -> None:
    await run(store, PutGrant(grant=grant(**({"id": GrantId("parent")} | parent))))
    child = grant(id=GrantId("child"), handle_hash=b"c" * 32, parent=GrantId("parent"))
    await refused(store, Refused, reason, PutGrant(grant=child))


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        ({"id": GrantId("elsewhere")}, Reason.GRANT_UNKNOWN),
        ({"revoked_at": NOW}, Reason.GRANT_REVOKED),
        ({"expires_at": NOW + 10}, Reason.GRANT_EXPIRED),
    ],
)
async def test_only_a_live_grant_passes(
    store: Store, stored: dict[str, object], reason: Reason
) -> None:
    await run(store, PutGrant(grant=grant(**stored)))
    require = RequireLiveGrant(id=grant().id, now=NOW + 10)
    await refused(store, Refused, reason, require)


async def test_a_grant_is_live_until_its_last_second(store: Store) -> None:
    await run(store, PutGrant(grant=grant(expires_at=NOW + 10)))
    await run(store, RequireLiveGrant(id=grant().id, now=NOW + 9))


async def test_a_renewal_after_a_revocation_never_passes(store: Store) -> None:
    await run(store, PutGrant(grant=grant()))
    renew = [RequireLiveGrant(id=grant().id, now=NOW)]
    before, revoke, after = await asyncio.gather(
        store.apply(renew, events=[event(object="before")]),
        store.apply([RevokeGrant(id=grant().id, at=NOW)], events=[event(object="revoked")]),
        store.apply(renew, events=[event(object="after")]),
        return_exceptions=True,
    )
    assert isinstance(before, tuple)
    assert isinstance(revoke, tuple)
    assert isinstance(after, Refused)
    assert [link.event.object for link in await store.events()] == ["before", "revoked"]


# --- keys, checkpoints, facts -------------------------------------------------------------------


async def test_keys_are_found_listed_and_narrowed(store: Store) -> None:
    audit = signing_key(kid=Kid("a"), purpose=KeyPurpose.AUDIT, created_at=NOW + 1)
    await run(store, PutKey(key=audit), PutKey(key=signing_key()))
    assert await store.key(Kid("a")) == audit
    assert await store.key(Kid("none")) is None
    assert await store.keys() == (signing_key(), audit)
    assert await store.keys(purpose=KeyPurpose.AUDIT) == (audit,)
    assert await store.keys(state=KeyState.ACTIVE) == ()
    assert await store.keys(purpose=KeyPurpose.TOKEN, state=KeyState.PENDING) == (signing_key(),)


async def test_a_kid_is_used_once(store: Store) -> None:
    await run(store, PutKey(key=signing_key()))
    await refused(store, Conflict, Reason.CONFLICT, PutKey(key=signing_key(owner="other")))


def move(state: KeyState, at: int = NOW) -> SetKeyState:
    return SetKeyState(kid=Kid("kid-1"), state=state, at=at)


async def test_a_key_goes_forward_and_keeps_the_times(store: Store) -> None:
    await run(store, PutKey(key=signing_key()), move(KeyState.ACTIVE, NOW + 5))
    active = signing_key(state=KeyState.ACTIVE, activates_at=NOW + 5)
    assert await store.keys(state=KeyState.ACTIVE) == (active,)
    await run(store, move(KeyState.RETIRED, NOW + 9))
    retired = signing_key(state=KeyState.RETIRED, activates_at=NOW + 5, retired_at=NOW + 9)
    assert await store.key(Kid("kid-1")) == retired
    assert await store.keys(state=KeyState.ACTIVE) == ()


@pytest.mark.parametrize(
    ("stored", "wanted"),
    [
        (KeyState.PENDING, KeyState.PENDING),
        (KeyState.ACTIVE, KeyState.PENDING),
        (KeyState.ACTIVE, KeyState.ACTIVE),
        (KeyState.RETIRED, KeyState.PENDING),
        (KeyState.RETIRED, KeyState.ACTIVE),
        (KeyState.RETIRED, KeyState.RETIRED),
    ],
)
async def test_a_key_never_goes_back(store: Store, stored: KeyState, wanted: KeyState) -> None:
    await run(store, PutKey(key=signing_key(state=stored)))
    await refused(store, Conflict, Reason.CONFLICT, move(wanted))


async def test_an_unknown_key_has_no_state(store: Store) -> None:
    await refused(store, NotFound, Reason.NOT_FOUND, move(KeyState.ACTIVE))


async def test_checkpoints_only_go_forward(store: Store) -> None:
    assert await store.last_checkpoint() is None
    second = checkpoint(sequence=20, counter=2)
    await run(store, PutCheckpoint(checkpoint=checkpoint()), PutCheckpoint(checkpoint=second))
    for behind in (
        checkpoint(sequence=20, counter=3),
        checkpoint(sequence=19, counter=3),
        checkpoint(sequence=21, counter=2),
    ):
        await refused(store, Conflict, Reason.CONFLICT, PutCheckpoint(checkpoint=behind))
    assert await store.last_checkpoint() == second
    assert await store.checkpoints() == (checkpoint(), second)


async def test_the_newest_fact_stays(store: Store) -> None:
    assert await store.fact("policy") is None
    await run(store, PutFact(name="policy", value=b"1"), PutFact(name="policy", value=b"2"))
    assert await store.fact("policy") == b"2"


async def test_an_unknown_space_is_a_mistake_of_the_caller(store: Store) -> None:
    with pytest.raises(KeyError):
        await run(store, UseOnce(space="other", key=b"k", until=NOW))
    await run(store, once(b"k"))


# --- counters -----------------------------------------------------------------------------------


def raised(value: int, key: bytes = b"device") -> RaiseCounter:
    return RaiseCounter(key=key, value=value)


async def test_a_counter_starts_anywhere_and_rises(store: Store) -> None:
    assert await store.counter(b"device") is None
    for value in (0, 1, 7, 2**32 - 1):
        await run(store, raised(value))
        assert await store.counter(b"device") == value


@pytest.mark.parametrize("value", [0, 6, 7])
async def test_a_counter_that_does_not_rise_is_a_replay(store: Store, value: int) -> None:
    await run(store, raised(7))
    await refused(store, Replayed, Reason.COUNTER_NOT_RISING, raised(value))
    assert await store.counter(b"device") == 7


async def test_a_device_key_is_attested_once(store: Store) -> None:
    await run(store, raised(0))
    await refused(store, Replayed, Reason.COUNTER_NOT_RISING, raised(0))


async def test_each_key_has_a_counter_of_its_own(store: Store) -> None:
    await run(store, raised(7), raised(1, key=b"other"))
    assert (await store.counter(b"device"), await store.counter(b"other")) == (7, 1)


async def test_a_counter_survives_a_restart(open_again: OpenStore) -> None:
    store = await open_again()
    await run(store, raised(7))
    await store.close()
    store = await open_again()
    try:
        assert await store.counter(b"device") == 7
        await refused(store, Replayed, Reason.COUNTER_NOT_RISING, raised(7))
        await run(store, raised(8))
    finally:
        await store.close()


async def test_a_refused_unit_raises_no_counter(store: Store) -> None:
    await run(store, once(b"k"))
    await refused(store, Replayed, Reason.PROOF_REPLAYED, raised(7), once(b"k"))
    assert await store.counter(b"device") is None


async def test_of_many_callers_with_one_value_one_wins(store: Store) -> None:
    outcomes = await asyncio.gather(
        *(store.apply([raised(value % 8)], events=[event()]) for value in range(256)),
        return_exceptions=True,
    )
    wins = [outcome for outcome in outcomes if isinstance(outcome, tuple)]
    assert 1 <= len(wins) <= 8 and len(await store.events()) == len(wins)
    assert await store.counter(b"device") == 7
