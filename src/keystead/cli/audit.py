"""The audit trail: read it, follow it, seal it with a checkpoint, verify it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import grpc

from keystead.audit import decode_event, parse_checkpoint, verify_log
from keystead.cli.connection import (
    add_connection_arguments,
    call,
    connect,
    from_rpc,
    metadata,
    number,
)
from keystead.cli.output import print_json, print_table, printable, time_text
from keystead.codec import json
from keystead.errors import Malformed, Reason
from keystead.jose.jwk import MAX_SET_BYTES, JwkSet, parse_set
from keystead.model import ChainedEvent, Checkpoint
from keystead.protocol import keystead_v1_pb2 as pb
from keystead.protocol.keystead_v1_pb2_grpc import AuditServiceStub

MAX_CHECKPOINT_FILE_BYTES = 8192


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``list``, ``tail``, ``checkpoint``, ``verify``."""
    actions = parser.add_subparsers(dest="action", required=True)
    for name, what in (("list", "events, oldest first"), ("tail", "events as they come")):
        reading = actions.add_parser(name, help=what)
        add_connection_arguments(reading)
        reading.add_argument(
            "--after", type=number, default=0, metavar="N", help="a sequence number"
        )
        if name == "list":
            reading.add_argument("--limit", type=number, default=0, metavar="N")
    seal = actions.add_parser("checkpoint", help="sign a checkpoint now, to keep elsewhere")
    add_connection_arguments(seal)
    seal.add_argument("--out", type=Path, metavar="FILE", help="write it there")
    verify = actions.add_parser("verify", help="find changes, gaps and rollback")
    add_connection_arguments(verify)
    verify.add_argument(
        "--checkpoint", type=Path, metavar="FILE", help="one that you kept elsewhere"
    )
    verify.add_argument(
        "--jwks",
        type=Path,
        metavar="FILE",
        help="audit keys that you kept elsewhere, instead of those that the service names",
    )


def run(options: argparse.Namespace) -> int:
    """One of the four."""
    with connect(options) as channel:
        stub = AuditServiceStub(channel)
        if options.action == "list":
            _list(stub, options)
        elif options.action == "tail":
            _tail(stub, options)
        elif options.action == "checkpoint":
            _checkpoint(stub, options)
        else:
            _verify(stub, options)
    return 0


def _list(stub: AuditServiceStub, options: argparse.Namespace) -> None:
    request = pb.ListEventsRequest(after=options.after, limit=options.limit)
    events = [_chained(event) for event in call(stub.List, request, options).events]
    if options.json:
        print_json({"events": [_document(event) for event in events]})
        return
    print_table(("SEQ", "TIME", "ACTION", "USER", "ACTORS", "REASON", "WHAT"), map(_row, events))


def _tail(stub: AuditServiceStub, options: argparse.Namespace) -> None:
    try:
        for event in stub.Tail(pb.TailRequest(after=options.after), metadata=metadata(options)):
            chained = _chained(event)
            if options.json:
                print_json(_document(chained))
            else:
                cells = (printable(str(cell)) for cell in _row(chained) if cell != "")
                print("  ".join(cells), flush=True)
    except grpc.RpcError as error:
        raise from_rpc(error) from None


def _checkpoint(stub: AuditServiceStub, options: argparse.Namespace) -> None:
    sealed = call(stub.Checkpoint, pb.CheckpointRequest(), options)
    if options.out is not None:
        _keep(options.out, sealed.jws)
    if options.json:
        print_json(
            {"checkpoint": sealed.jws, "sequence": sealed.sequence, "counter": sealed.counter}
        )
    elif options.out is None:
        print(sealed.jws)
    else:
        print(f"{options.out}: {sealed.sequence} events, counter {sealed.counter}")


def _keep(path: Path, jws: str) -> None:
    try:
        path.write_text(jws + "\n")
    except OSError as error:
        raise Malformed(Reason.PARAMETER_INVALID, f"{path}: {error.strerror}") from None


def _verify(stub: AuditServiceStub, options: argparse.Namespace) -> None:
    seals = call(stub.ListCheckpoints, pb.ListCheckpointsRequest(), options)
    report = verify_log(
        _every_event(stub, options),
        checkpoints=[parse_checkpoint(sealed.jws) for sealed in seals.checkpoints],
        keys=parse_set(seals.jwks) if options.jwks is None else _kept_keys(options.jwks),
        issuer=seals.issuer,
        counter=seals.counter,
        announced=parse_checkpoint(seals.announced_jws) if seals.announced_jws else None,
        witness=_witness(options.checkpoint),
    )
    document = {
        "verified": True,
        "events": report.events,
        "pinned": report.pinned,
        "checkpoints": report.checkpoints,
        "counter": seals.counter,
    }
    if options.json:
        print_json(document)
    else:
        print(
            f"whole: {report.events} events, {report.pinned} of them pinned by "
            f"{report.checkpoints} checkpoints, TPM counter {seals.counter}"
        )


def _witness(path: Path | None) -> Checkpoint | None:
    if path is None:
        return None
    try:
        with path.open() as file:
            return parse_checkpoint(file.read(MAX_CHECKPOINT_FILE_BYTES).strip())
    except (OSError, UnicodeDecodeError) as error:
        raise Malformed(Reason.CHECKPOINT_INVALID, f"{path}: {error}") from None


def _kept_keys(path: Path) -> JwkSet:
    try:
        with path.open("rb") as file:
            return parse_set(file.read(MAX_SET_BYTES + 1))
    except OSError as error:
        raise Malformed(Reason.PARAMETER_INVALID, f"{path}: {error.strerror}") from None


def _every_event(stub: AuditServiceStub, options: argparse.Namespace) -> Iterator[ChainedEvent]:
    """Page by page, so that memory does not grow with the trail."""
    after = 0
    while True:
        page = call(stub.List, pb.ListEventsRequest(after=after), options).events
        for event in page:
            yield _chained(event)
            after = event.sequence
        if not page:
            return


def _chained(event: pb.Event) -> ChainedEvent:
    return ChainedEvent(
        sequence=event.sequence,
        event=decode_event(event.event),
        previous=event.previous,
        hash=event.hash,
    )


def _document(chained: ChainedEvent) -> dict[str, object]:
    event = chained.event
    return {
        "sequence": chained.sequence,
        "hash": chained.hash.hex(),
        "action": event.action.value,
        "at": event.at,
        "caller": event.caller,
        "sub": event.sub,
        "actors": list(event.actors),
        "jkt": event.jkt,
        "kind": event.kind,
        "reason": event.reason,
        "step": event.step,
        "object": event.object,
        "detail": dict(event.detail),
    }


def _row(chained: ChainedEvent) -> tuple[object, ...]:
    event = chained.event
    what = " ".join(f"{name}={json.encode(value).decode()}" for name, value in event.detail.items())
    return (
        chained.sequence,
        time_text(event.at),
        event.action.value,
        event.sub,
        " < ".join(event.actors),
        event.reason,
        f"{event.object} {what}".strip(),
    )
