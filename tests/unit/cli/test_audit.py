"""``keystead audit`` on a real trail: read, kept, and found out when it was changed."""

import dataclasses
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from keystead.audit import encode_event
from keystead.codec import json as strict_json
from keystead.model import ChainedEvent
from keystead.protocol import keystead_v1_pb2 as pb
from keystead.service.trail import Seals
from tests.service_parts import OLGA, Installation, installation
from tests.software_hardware import SoftwareTpm
from tests.unit.cli.conftest import Service

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[Installation]:
    async with installation(tmp_path / "installation") as made:
        await made.exchange(await made.agent())
        await made.trail.checkpoint(OLGA)
        await made.agent(
            "spiffe://example.org/agent/b", name="b", parent="spiffe://example.org/host/2"
        )
        yield made


def event(chained: ChainedEvent) -> pb.Event:
    return pb.Event(
        sequence=chained.sequence,
        event=encode_event(chained.event),
        previous=chained.previous,
        hash=chained.hash,
    )


def sealed(checkpoint: Any) -> pb.SignedCheckpoint:
    return pb.SignedCheckpoint(
        jws=checkpoint.jws, sequence=checkpoint.sequence, counter=checkpoint.counter
    )


async def serve(service: Service, it: Installation, **changes: Any) -> Any:
    """Answer as AuditService does; ``changes`` replace the events or fields of the seals."""
    events = changes.pop("events", None) or await it.trail.page(OLGA, after=0, limit=0)
    seals: Seals = dataclasses.replace(await it.trail.seals(OLGA), **changes)

    def page(request: pb.ListEventsRequest) -> pb.ListEventsResponse:
        later = [each for each in events if each.sequence > request.after]
        most = min(request.limit or 3, 3)  # small pages: the command asks again
        return pb.ListEventsResponse(events=[event(each) for each in later[:most]])

    service.answers.update(
        List=page,
        Tail=lambda request: iter(event(each) for each in events if each.sequence > request.after),
        Checkpoint=sealed(seals.checkpoints[-1]),
        ListCheckpoints=pb.ListCheckpointsResponse(
            checkpoints=[sealed(each) for each in seals.checkpoints],
            jwks=strict_json.encode(seals.jwks),
            counter=seals.counter,
            announced_jws=seals.announced.jws if seals.announced else "",
            issuer=seals.issuer,
        ),
    )
    return events


async def test_a_whole_trail_verifies(service: Service, it: Installation, run: Run) -> None:
    events = await serve(service, it)
    status, out, _ = run("audit", "verify", "--json")
    assert status == 0
    assert json.loads(out) == {
        "verified": True,
        "events": len(events),
        "pinned": (await it.store.last_checkpoint()).sequence,
        "checkpoints": 2,
        "counter": it.tpm.counter,
    }
    status, out, _ = run("audit", "verify")
    assert status == 0 and out.startswith(f"whole: {len(events)} events, ")


async def test_a_changed_event_is_a_clean_no(service: Service, it: Installation, run: Run) -> None:
    events = list(await it.trail.page(OLGA, after=0, limit=0))
    events[4] = dataclasses.replace(
        events[4], event=dataclasses.replace(events[4].event, caller="nobody")
    )
    await serve(service, it, events=events)
    status, out, err = run("audit", "verify")
    assert (status, out) == (1, "") and "audit_chain_broken (step 5)" in err


async def test_a_missing_end_is_a_clean_no(service: Service, it: Installation, run: Run) -> None:
    events = (await it.trail.page(OLGA, after=0, limit=0))[:4]
    await serve(service, it, events=events)
    status, out, _ = run("audit", "verify", "--json")
    assert status == 1 and json.loads(out)["error"] == "audit_rolled_back"


async def test_a_kept_checkpoint_finds_a_rollback(
    service: Service, it: Installation, run: Run, tmp_path: Path
) -> None:
    await serve(service, it)
    witness = tmp_path / "witness.jws"
    older = await it.trail.seals(OLGA)
    events = await it.trail.page(OLGA, after=0, limit=0)
    newer = await it.trail.checkpoint(OLGA)
    witness.write_text(newer.jws + "\n")
    await serve(service, it)
    assert run("audit", "verify", "--checkpoint", str(witness))[0] == 0
    await serve(
        service,
        it,
        events=events,
        checkpoints=older.checkpoints,
        counter=older.counter,
        announced=older.announced,
    )
    status, _, err = run("audit", "verify", "--checkpoint", str(witness))
    assert status == 1 and "audit_rolled_back" in err


async def test_a_crash_in_between_is_no_rollback_and_a_number_no_announcement(
    service: Service, it: Installation, run: Run
) -> None:
    newer = await it.trail.checkpoint(OLGA)
    seals = await it.trail.seals(OLGA)
    stored = seals.checkpoints[:-1]
    await serve(service, it, checkpoints=stored)
    status, out, _ = run("audit", "verify", "--json")
    assert (status, json.loads(out)["pinned"]) == (0, newer.sequence)
    await serve(service, it, checkpoints=stored, announced=None)
    status, _, err = run("audit", "verify")
    assert status == 1 and "audit_rolled_back (step 4)" in err
    forged = dataclasses.replace(newer, jws=str(newer.counter))
    await serve(service, it, checkpoints=stored, announced=forged)
    assert run("audit", "verify")[:2] == (2, "")


async def test_kept_keys_are_asked_instead_of_those_that_the_service_names(
    service: Service, it: Installation, run: Run, tmp_path: Path
) -> None:
    kept = tmp_path / "audit-keys.json"
    kept.write_bytes(strict_json.encode((await it.trail.seals(OLGA)).jwks))
    await serve(service, it, jwks={"keys": []})
    status, _, err = run("audit", "verify")
    assert status == 1 and "checkpoint_invalid (step 1)" in err
    assert run("audit", "verify", "--jwks", str(kept))[0] == 0
    async with installation(tmp_path / "other", tpm=SoftwareTpm("other")) as other:
        await serve(service, other)
        status, _, err = run("audit", "verify", "--jwks", str(kept))
        assert status == 1 and "checkpoint_invalid (step 1)" in err


@pytest.mark.parametrize("content", [None, b"", b"x", b"\xff", b"[]", b" " * 300_000])
async def test_kept_keys_that_are_none_are_wrong_use(
    service: Service, it: Installation, run: Run, tmp_path: Path, content: bytes | None
) -> None:
    await serve(service, it)
    path = tmp_path / "keys"
    if content is not None:
        path.write_bytes(content)
    status, out, err = run("audit", "verify", "--jwks", str(path))
    assert (status, out) == (2, "") and err.startswith("keystead: ")


async def test_a_counter_that_ran_ahead_is_a_clean_no(
    service: Service, it: Installation, run: Run
) -> None:
    await serve(service, it, counter=it.tpm.counter + 2)
    status, _, err = run("audit", "verify")
    assert status == 1 and "audit_rolled_back (step 4)" in err


@pytest.mark.parametrize("content", [None, b"", b"x", b"\xff", b"a.b.c", b"x" * 10_000])
async def test_a_witness_that_is_none_is_wrong_use(
    service: Service, it: Installation, run: Run, tmp_path: Path, content: bytes | None
) -> None:
    await serve(service, it)
    path = tmp_path / "witness"
    if content is not None:
        path.write_bytes(content)
    status, out, err = run("audit", "verify", "--checkpoint", str(path))
    assert (status, out) == (2, "") and err.startswith("keystead: ")


async def test_a_checkpoint_is_kept_where_it_was_asked_for(
    service: Service, it: Installation, run: Run, tmp_path: Path
) -> None:
    await serve(service, it)
    checkpoint = await it.store.last_checkpoint()
    path = tmp_path / "kept.jws"
    status, out, _ = run("audit", "checkpoint", "--out", str(path), "--json")
    assert status == 0 and path.read_text() == checkpoint.jws + "\n"
    assert json.loads(out) == {
        "checkpoint": checkpoint.jws,
        "sequence": checkpoint.sequence,
        "counter": checkpoint.counter,
    }
    assert run("audit", "checkpoint")[1] == checkpoint.jws + "\n"
    status, _, err = run("audit", "checkpoint", "--out", str(tmp_path / "no" / "kept.jws"))
    assert status == 2 and "No such file or directory" in err


async def test_events_are_listed_whole(service: Service, it: Installation, run: Run) -> None:
    events = await serve(service, it)
    status, out, _ = run("audit", "list", "--after", "2", "--limit", "2", "--json")
    assert status == 0
    listed = json.loads(out)["events"]
    assert [each["sequence"] for each in listed] == [3, 4]
    assert listed[0].keys() == {
        *("sequence", "hash", "action", "at", "caller", "sub", "actors", "jkt", "kind"),
        *("reason", "step", "object", "detail"),
    }
    assert listed[0]["hash"] == events[2].hash.hex()
    status, out, _ = run("audit", "list")
    assert status == 0 and "key.created" in out and out.startswith("SEQ")


async def test_following_prints_a_line_each(service: Service, it: Installation, run: Run) -> None:
    events = await serve(service, it)
    status, out, _ = run("audit", "tail", "--json", "--after", "1")
    assert status == 0
    assert [json.loads(line)["sequence"] for line in out.splitlines()] == [
        each.sequence for each in events[1:]
    ]
    assert len(run("audit", "tail")[1].splitlines()) == len(events)


async def test_no_event_steers_a_terminal(service: Service, it: Installation, run: Run) -> None:
    """The trail spells such characters out; what has one is no event of ours."""
    events = list(await it.trail.page(OLGA, after=0, limit=1))
    evil = dataclasses.replace(events[0].event, sub="x\x1b[2J")
    await serve(service, it, events=[dataclasses.replace(events[0], event=evil)])
    for arguments in (("audit", "list"), ("audit", "tail"), ("audit", "verify")):
        status, out, err = run(*arguments)
        assert (status, out) == (2, "") and "\x1b" not in err
