"""The trail: read, followed, sealed, and found out when an older copy was put back."""

import asyncio
import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest

from keystead.audit import verify_log
from keystead.audit.checkpoints import ANNOUNCED_CHECKPOINT, COUNTER_BASELINE, verify_checkpoint
from keystead.errors import (
    EvidenceRejected,
    KeysteadError,
    NotFound,
    Reason,
    Rejected,
    Unavailable,
)
from keystead.jose.jwk import parse_set
from keystead.model import AuditAction, KeyPurpose
from keystead.service import trail as trails
from keystead.service.roles import ANYONE
from tests.exchange_parts import ISSUER
from tests.service_parts import (
    ADAM,
    API_CALLER,
    DELEGATE,
    HOST_CALLER,
    OLGA,
    SOCKET,
    Installation,
    installation,
)
from tests.software_hardware import SoftwareTpm


async def verified(it: Installation, **changes: Any) -> Any:
    """What an auditor does with the answers of ``List`` and ``ListCheckpoints``."""
    seals = await it.trail.seals(OLGA)
    wanted: dict[str, Any] = {
        "checkpoints": seals.checkpoints,
        "keys": parse_set(seals.jwks),
        "issuer": seals.issuer,
        "counter": seals.counter,
        "announced": seals.announced,
        **changes,
    }
    return verify_log(await it.trail.page(OLGA, after=0, limit=0), **wanted)


async def refusal(coroutine: Any) -> KeysteadError:
    with pytest.raises(KeysteadError) as caught:
        await coroutine
    return caught.value


async def test_a_checkpoint_pins_the_chain_as_it_stands(it: Installation) -> None:
    last = await it.store.last_event()
    sealed = await it.trail.checkpoint(OLGA)
    assert (sealed.sequence, sealed.hash) == (last.sequence, last.hash)
    assert sealed.counter == it.tpm.counter
    keys = it.keyring.key_set(KeyPurpose.AUDIT)
    assert verify_checkpoint(sealed.jws, keys=keys, issuer=ISSUER) == sealed
    told = (await it.events())[-1]
    assert (told.action, told.caller) == (AuditAction.CHECKPOINT_SIGNED, "olga")
    assert (told.object, told.detail["counter"]) == (str(sealed.sequence), sealed.counter)


async def test_the_whole_trail_verifies(it: Installation) -> None:
    agent = await it.agent()
    await it.trail.checkpoint(OLGA)
    await it.exchange(agent)
    await it.trail.checkpoint(SOCKET)
    report = await verified(it)
    assert report.checkpoints == 3
    assert report.events == len(await it.events())


async def test_each_checkpoint_counts_once_more(it: Installation) -> None:
    sealed = [await it.trail.checkpoint(OLGA) for _ in range(4)]
    counters = [each.counter for each in sealed]
    assert counters == list(range(counters[0], counters[0] + 4))
    assert it.tpm.counter == counters[-1]


async def test_checkpoints_asked_for_at_once_are_signed_in_order(it: Installation) -> None:
    sealed = await asyncio.gather(*(it.trail.checkpoint(OLGA) for _ in range(5)))
    assert len({each.counter for each in sealed}) == 5
    assert (await verified(it)).checkpoints == 6


async def test_the_background_seals_only_what_grew(it: Installation) -> None:
    await it.trail.seal_if_grown()
    assert len(await it.store.checkpoints()) == 1, "its own event is no reason for the next"
    await it.agent()
    await it.trail.seal_if_grown()
    assert len(await it.store.checkpoints()) == 2


async def test_an_empty_trail_is_not_sealed(tmp_path: Path) -> None:
    async with installation(tmp_path / "s", opened=False) as it:
        await it.trail.open()
        await it.trail.seal_if_grown()
        assert isinstance(await refusal(it.trail.checkpoint(OLGA)), NotFound)
        assert it.tpm.counter == 1, "what the first start takes"


def not_sealed(it: Installation) -> None:
    """From here on the store refuses a checkpoint's event."""
    it.store.fails = lambda events: any(
        event.action is AuditAction.CHECKPOINT_SIGNED for event in events
    )


async def away() -> int:
    raise Unavailable(Reason.HARDWARE_UNAVAILABLE)


async def announced(it: Installation) -> str:
    fact = await it.store.fact(ANNOUNCED_CHECKPOINT)
    assert fact is not None
    return fact.decode()


async def test_a_checkpoint_that_was_counted_and_not_stored_is_stored_next(
    it: Installation,
) -> None:
    await it.trail.checkpoint(OLGA)
    reached = it.tpm.counter
    not_sealed(it)
    assert isinstance(await refusal(it.trail.checkpoint(OLGA)), Unavailable)
    assert it.tpm.counter == reached + 1
    left_out = await announced(it)
    await verified(it)  # a crash in between is no rollback
    it.store.fails = lambda events: False
    assert (await it.trail.checkpoint(OLGA)).counter == reached + 2
    assert (await it.store.checkpoints())[-2].jws == left_out
    await verified(it)


async def test_a_crash_after_counting_is_made_good_by_the_next_start(tmp_path: Path) -> None:
    tpm = SoftwareTpm()
    async with installation(tmp_path / "s", tpm=tpm) as it:
        await it.agent()
        not_sealed(it)
        assert isinstance(await refusal(it.trail.checkpoint(OLGA)), Unavailable)
        left_out = await announced(it)
    async with installation(tmp_path / "s", tpm=tpm) as it:
        stored = await it.store.last_checkpoint()
        assert stored is not None
        assert (stored.jws, stored.counter) == (left_out, tpm.counter)
        told = (await it.events(AuditAction.CHECKPOINT_SIGNED))[-1]
        assert (told.caller, told.object) == ("keystead", str(stored.sequence))
        await verified(it)
        assert (await it.trail.checkpoint(OLGA)).counter == stored.counter + 1
    async with installation(tmp_path / "s", tpm=tpm) as it:
        await verified(it)


async def test_a_crash_before_counting_leaves_an_announcement_that_the_next_replaces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tpm = SoftwareTpm()
    async with installation(tmp_path / "s", tpm=tpm) as it:
        reached = tpm.counter
        with monkeypatch.context() as patch:
            patch.setattr(tpm, "increment_counter", away)
            assert isinstance(await refusal(it.trail.checkpoint(OLGA)), Unavailable)
        left_behind = await announced(it)
        await verified(it)
        await it.agent()
    async with installation(tmp_path / "s", tpm=tpm) as it:
        assert (await it.trail.checkpoint(OLGA)).counter == reached + 1
        assert await announced(it) != left_behind
        await verified(it)


async def test_a_count_that_the_tpm_made_and_did_not_answer_is_no_rollback(
    it: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = it.tpm.increment_counter

    async def silent() -> int:
        await count()
        return await away()

    reached = it.tpm.counter
    with monkeypatch.context() as patch:
        patch.setattr(it.tpm, "increment_counter", silent)
        assert isinstance(await refusal(it.trail.checkpoint(OLGA)), Unavailable)
    assert (await it.trail.checkpoint(OLGA)).counter == reached + 2
    await verified(it)


async def test_a_crash_before_announcing_changes_nothing(
    it: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, reached = await announced(it), it.tpm.counter
    with monkeypatch.context() as patch:
        patch.setattr(it.keyring, "sign_input", lambda *_: away())
        assert isinstance(await refusal(it.trail.checkpoint(OLGA)), Unavailable)
    assert (await announced(it), it.tpm.counter) == (before, reached)
    assert (await it.trail.checkpoint(OLGA)).counter == reached + 1


async def test_a_count_by_somebody_else_during_sealing_is_noticed(
    it: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = it.tpm.increment_counter

    async def twice() -> int:
        await count()
        return await count()

    monkeypatch.setattr(it.tpm, "increment_counter", twice)
    before = await it.store.checkpoints()
    assert (await refusal(it.trail.checkpoint(OLGA))).reason is Reason.AUDIT_ROLLED_BACK
    assert await it.store.checkpoints() == before


async def test_a_counter_that_somebody_else_moved_stops_sealing(it: Installation) -> None:
    await it.trail.checkpoint(OLGA)
    await it.tpm.increment_counter()
    refused = await refusal(it.trail.checkpoint(OLGA))
    assert refused.reason is Reason.AUDIT_ROLLED_BACK
    assert (await refusal(verified(it))).reason is Reason.AUDIT_ROLLED_BACK


@pytest.mark.parametrize("checkpoints_before", [0, 1])
async def test_an_older_copy_of_the_state_is_refused_at_the_start(
    tmp_path: Path, checkpoints_before: int
) -> None:
    tpm, state, copy = SoftwareTpm(), tmp_path / "state", tmp_path / "copy"
    async with installation(state, tpm=tpm) as it:
        for _ in range(checkpoints_before):
            await it.trail.checkpoint(OLGA)
    shutil.copytree(state, copy)
    async with installation(state, tpm=tpm) as it:
        await it.agent()
        for _ in range(2):
            await it.trail.checkpoint(OLGA)
    async with installation(copy, tpm=tpm, opened=False) as rolled_back:
        before = await rolled_back.events()
        refused = await refusal(rolled_back.trail.open())
        assert (type(refused), refused.reason) == (Rejected, Reason.AUDIT_ROLLED_BACK)
        assert await rolled_back.events() == before, "and nothing was written to it"
    async with installation(state, tpm=tpm) as it:
        await verified(it)


async def test_a_witness_finds_a_rollback_that_the_tpm_was_rolled_back_with(
    tmp_path: Path,
) -> None:
    """An emulated TPM's counter can be copied with the disk; a kept checkpoint cannot."""
    state, copy = tmp_path / "state", tmp_path / "copy"
    tpm = SoftwareTpm()
    async with installation(state, tpm=tpm) as it:
        await it.trail.checkpoint(OLGA)
        counter = tpm.counter
    shutil.copytree(state, copy)
    async with installation(state, tpm=tpm) as it:
        await it.agent()
        witness = await it.trail.checkpoint(OLGA)
        await verified(it, witness=witness)
    tpm.counter = counter
    async with installation(copy, tpm=tpm) as it:
        await verified(it)
        refused = await refusal(verified(it, witness=witness))
        assert refused.reason is Reason.AUDIT_ROLLED_BACK


async def test_the_first_start_takes_the_counter_as_it_is_and_seals(tmp_path: Path) -> None:
    """A TPM that counted for an earlier installation is no rollback of this one."""
    tpm = SoftwareTpm()
    tpm.counter = 41
    async with installation(tmp_path / "s", tpm=tpm) as it:
        (first,) = await it.store.checkpoints()
        assert first.counter == 43
        assert await it.store.fact(COUNTER_BASELINE) == b"42"
        await verified(it)
    async with installation(tmp_path / "s", tpm=tpm) as it:
        assert await it.store.checkpoints() == (first,), "later starts do not seal"
        assert (await it.trail.checkpoint(OLGA)).counter == 44


async def start(it: Installation) -> None:
    await it.trail.open()
    await it.keyring.open()
    await it.trail.resume()
    await it.trail.seal_first()


async def first_start_until_the_baseline(it: Installation, patch: pytest.MonkeyPatch) -> None:
    it.store.fails = lambda events: not events
    assert isinstance(await refusal(start(it)), Unavailable)


async def first_start_until_the_keys(it: Installation, patch: pytest.MonkeyPatch) -> None:
    it.store.fails = lambda events: len(events) > 0
    assert isinstance(await refusal(start(it)), Unavailable)


async def first_start_until_it_counts(it: Installation, patch: pytest.MonkeyPatch) -> None:
    await it.trail.open()
    await it.keyring.open()
    patch.setattr(it.tpm, "increment_counter", away)
    assert isinstance(await refusal(it.trail.seal_first()), Unavailable)


async def first_start_until_it_stores(it: Installation, patch: pytest.MonkeyPatch) -> None:
    not_sealed(it)
    assert isinstance(await refusal(start(it)), Unavailable)


@pytest.mark.parametrize(
    "crash",
    [
        first_start_until_the_baseline,
        first_start_until_the_keys,
        first_start_until_it_counts,
        first_start_until_it_stores,
    ],
)
async def test_a_crash_in_the_first_start_is_no_rollback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crash: Any
) -> None:
    tpm = SoftwareTpm()
    async with installation(tmp_path / "s", tpm=tpm, opened=False) as it:
        with monkeypatch.context() as patch:
            await crash(it, patch)
        assert await it.store.checkpoints() == ()
    for _ in range(2):
        async with installation(tmp_path / "s", tpm=tpm) as it:
            (first,) = await it.store.checkpoints()
            assert first.counter == tpm.counter
            await verified(it)


async def test_pages_are_read_in_order_and_bounded(
    it: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    await it.agent()
    whole = await it.trail.page(OLGA, after=0, limit=0)
    assert [event.sequence for event in whole] == list(range(1, len(whole) + 1))
    assert await it.trail.page(OLGA, after=2, limit=3) == whole[2:5]
    assert await it.trail.page(OLGA, after=-5, limit=-1) == whole
    assert await it.trail.page(OLGA, after=whole[-1].sequence, limit=10) == ()
    monkeypatch.setattr(trails, "MAX_EVENTS_A_PAGE", 2)
    for limit in (0, 2, 3, 1 << 40):
        assert await it.trail.page(OLGA, after=0, limit=limit) == whole[:2]


async def test_following_tells_what_is_there_and_what_comes(
    it: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trails, "TAIL_POLL_S", 0.005)
    seen: list[int] = []
    follower = it.trail.tail(OLGA, after=2)

    async def follow(count: int) -> None:
        while len(seen) < count:
            seen.append((await anext(follower)).sequence)

    await asyncio.wait_for(follow(3), 5)
    waiting = asyncio.create_task(follow(4))
    await it.trail.checkpoint(OLGA)
    await asyncio.wait_for(waiting, 5)
    assert seen == [3, 4, 5, 6]


@pytest.mark.parametrize("caller", [ANYONE, API_CALLER, DELEGATE, HOST_CALLER])
async def test_strangers_read_and_seal_nothing(it: Installation, caller: Any) -> None:
    for attempt in (
        it.trail.page(caller, after=0, limit=0),
        it.trail.checkpoint(caller),
        it.trail.seals(caller),
        anext(it.trail.tail(caller, after=0)),
    ):
        assert (await refusal(attempt)).reason is Reason.ROLE_REQUIRED


@pytest.mark.parametrize("caller", [SOCKET, OLGA, ADAM])
async def test_the_socket_and_operators_read_and_seal(it: Installation, caller: Any) -> None:
    assert await it.trail.page(caller, after=0, limit=1)
    sealed = await it.trail.checkpoint(caller)
    assert (await it.trail.seals(caller)).checkpoints[-1] == sealed


async def test_refusals_are_counted_and_written_once(it: Installation) -> None:
    for step in (1, 1, 2):
        it.trail.note_refusal(EvidenceRejected(Reason.QUOTE_TYPE, step=step))
    await it.trail.flush_refusals()
    await it.trail.flush_refusals()
    (told,) = await it.events(AuditAction.REFUSALS_AGGREGATED)
    assert told.detail == {"quote_type (step 1)": 2, "quote_type (step 2)": 1, "total": 3}


async def test_counts_that_could_not_be_written_are_not_lost(it: Installation) -> None:
    it.trail.note_refusal(EvidenceRejected(Reason.QUOTE_TYPE))
    it.store.fails = lambda events: True
    assert isinstance(await refusal(it.trail.flush_refusals()), Unavailable)
    it.store.fails = lambda events: False
    it.trail.note_refusal(EvidenceRejected(Reason.QUOTE_TYPE))
    await it.trail.flush_refusals()
    (told,) = await it.events(AuditAction.REFUSALS_AGGREGATED)
    assert told.detail == {"quote_type": 2, "total": 2}


async def test_a_changed_event_is_found(it: Installation) -> None:
    await it.agent()
    await it.trail.checkpoint(OLGA)
    events = list(await it.trail.page(OLGA, after=0, limit=0))
    seals = await it.trail.seals(OLGA)
    events[3] = dataclasses.replace(
        events[3], event=dataclasses.replace(events[3].event, caller="somebody else")
    )
    with pytest.raises(Rejected) as refused:
        verify_log(
            events,
            checkpoints=seals.checkpoints,
            keys=parse_set(seals.jwks),
            issuer=seals.issuer,
            counter=seals.counter,
            announced=seals.announced,
        )
    assert refused.value.reason is Reason.AUDIT_CHAIN_BROKEN
