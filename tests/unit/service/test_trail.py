"""The trail: read, followed, sealed, and found out when an older copy was put back."""

import asyncio
import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest

from keystead.audit import verify_log
from keystead.audit.checkpoints import ANNOUNCED_COUNTER, verify_checkpoint
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
    assert report.checkpoints == 2
    assert report.events == len(await it.events())


async def test_each_checkpoint_counts_once_more(it: Installation) -> None:
    sealed = [await it.trail.checkpoint(OLGA) for _ in range(4)]
    counters = [each.counter for each in sealed]
    assert counters == list(range(counters[0], counters[0] + 4))
    assert it.tpm.counter == counters[-1]


async def test_checkpoints_asked_for_at_once_are_signed_in_order(it: Installation) -> None:
    sealed = await asyncio.gather(*(it.trail.checkpoint(OLGA) for _ in range(5)))
    assert len({each.counter for each in sealed}) == 5
    assert (await verified(it)).checkpoints == 5


async def test_the_background_seals_only_what_grew(it: Installation) -> None:
    await it.trail.seal_if_grown()
    await it.trail.seal_if_grown()
    assert len(await it.store.checkpoints()) == 1, "its own event is no reason for the next"
    await it.agent()
    await it.trail.seal_if_grown()
    assert len(await it.store.checkpoints()) == 2


async def test_an_empty_trail_is_not_sealed(tmp_path: Path) -> None:
    async with installation(tmp_path / "s", opened=False) as it:
        await it.trail.seal_if_grown()
        assert isinstance(await refusal(it.trail.checkpoint(OLGA)), NotFound)
        assert it.tpm.counter == 0


async def test_a_checkpoint_that_was_not_stored_is_signed_without_counting_again(
    it: Installation,
) -> None:
    await it.trail.checkpoint(OLGA)
    reached = it.tpm.counter
    it.store.fails = lambda events: any(
        event.action is AuditAction.CHECKPOINT_SIGNED for event in events
    )
    assert isinstance(await refusal(it.trail.checkpoint(OLGA)), Unavailable)
    assert it.tpm.counter == reached + 1
    await verified(it)  # a crash in between is no rollback
    it.store.fails = lambda events: False
    assert (await it.trail.checkpoint(OLGA)).counter == reached + 1
    await verified(it)


async def test_a_counter_that_was_announced_and_not_reached_is_reached_next(
    it: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    await it.trail.checkpoint(OLGA)
    reached = it.tpm.counter
    count = it.tpm.increment_counter

    async def away() -> int:
        raise Unavailable(Reason.HARDWARE_UNAVAILABLE)

    monkeypatch.setattr(it.tpm, "increment_counter", away)
    assert isinstance(await refusal(it.trail.checkpoint(OLGA)), Unavailable)
    assert await it.store.fact(ANNOUNCED_COUNTER) == str(reached + 1).encode()
    await verified(it)
    monkeypatch.setattr(it.tpm, "increment_counter", count)
    assert (await it.trail.checkpoint(OLGA)).counter == reached + 1
    await verified(it)


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


async def test_the_first_start_takes_the_counter_as_it_is(tmp_path: Path) -> None:
    """A TPM that counted for an earlier installation is no rollback of this one."""
    tpm = SoftwareTpm()
    tpm.counter = 41
    async with installation(tmp_path / "s", tpm=tpm) as it:
        assert (await it.trail.checkpoint(OLGA)).counter == 42
        await verified(it)
    async with installation(tmp_path / "s", tpm=tpm) as it:
        assert (await it.trail.checkpoint(OLGA)).counter == 43


async def test_a_crash_between_announcing_and_the_first_checkpoint_is_no_rollback(
    tmp_path: Path,
) -> None:
    tpm = SoftwareTpm()
    for _ in range(2):
        async with installation(tmp_path / "s", tpm=tpm, opened=False) as it:
            await it.trail.open()
    assert tpm.counter == 1
    async with installation(tmp_path / "s", tpm=tpm) as it:
        assert (await it.trail.checkpoint(OLGA)).counter == 1


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
    assert (await it.trail.seals(caller)).checkpoints == (sealed,)


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
