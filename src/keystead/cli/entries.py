"""Registration entries: which workload of which host gets which SPIFFE ID."""

from __future__ import annotations

import argparse

from keystead.cli.connection import add_connection_arguments, call, connect, number
from keystead.cli.hosts import parse_label
from keystead.cli.output import print_fields, print_json, print_table
from keystead.errors import Malformed, Reason
from keystead.protocol import keystead_v1_pb2 as pb
from keystead.protocol.keystead_v1_pb2_grpc import IdentityServiceStub

MAX_INDEX_DIGITS = 2
"""PCRs are 0 to 23."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``list``, ``create``, ``remove``."""
    actions = parser.add_subparsers(dest="action", required=True)
    add_connection_arguments(actions.add_parser("list", help="the entries that you may see"))
    create = actions.add_parser("create", help="register a workload")
    add_connection_arguments(create)
    create.add_argument(
        "spiffe_id", help="the workload's SPIFFE ID; of kind oidc its path may have {claims}"
    )
    create.add_argument("--kind", default="tpm2", help="evidence kind (default: %(default)s)")
    create.add_argument(
        "--parent", default="", help="tpm2: the SPIFFE ID of the enrolled host that it is on"
    )
    create.add_argument(
        "--select",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="other kinds: a fact, as `keystead appraise` prints it; again with the same name for "
        "another allowed value",
    )
    create.add_argument(
        "--pcr",
        action="append",
        default=[],
        metavar="BANK:INDEX=HEX[,HEX…]",
        help="a PCR value that the evidence has to show, e.g. sha256:7=…",
    )
    create.add_argument("--label", action="append", default=[], metavar="NAME=VALUE")
    create.add_argument("--ttl", type=number, default=0, metavar="SECONDS", help="of a binding")
    remove = actions.add_parser("remove", help="an entry, its bindings and grants")
    add_connection_arguments(remove)
    remove.add_argument("id")


def run(options: argparse.Namespace) -> int:
    """One call."""
    with connect(options) as channel:
        stub = IdentityServiceStub(channel)
        if options.action == "list":
            _show_all(call(stub.ListEntries, pb.ListEntriesRequest(), options), options)
        elif options.action == "create":
            _show(call(stub.CreateEntry, _creation(options), options), options)
        else:
            call(stub.RemoveEntry, pb.RemoveEntryRequest(id=options.id), options)
            if options.json:
                print_json({"removed": options.id})
    return 0


def _creation(options: argparse.Namespace) -> pb.CreateEntryRequest:
    return pb.CreateEntryRequest(
        spiffe_id=options.spiffe_id,
        parent=options.parent,
        kind=options.kind,
        pcrs=[_pcr(text) for text in options.pcr],
        labels=dict(parse_label(text) for text in options.label),
        binding_ttl_s=options.ttl,
        selectors=_selectors(options.select),
    )


def _selectors(texts: list[str]) -> list[pb.Selector]:
    selectors: dict[str, pb.Selector] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise Malformed(Reason.PARAMETER_INVALID, f"{text!r} is not NAME=VALUE")
        selectors.setdefault(name, pb.Selector(name=name)).values.append(value)
    return list(selectors.values())


def _pcr(text: str) -> pb.PcrReference:
    where, equals, values = text.partition("=")
    bank, colon, index = where.partition(":")
    if not (equals and colon and index.isdecimal() and len(index) <= MAX_INDEX_DIGITS):
        raise Malformed(Reason.PARAMETER_INVALID, f"{text!r} is not BANK:INDEX=HEX")
    return pb.PcrReference(bank=bank, index=int(index), values=values.lower().split(","))


def _document(entry: pb.Entry) -> dict[str, object]:
    return {
        "id": entry.id,
        "spiffe_id": entry.spiffe_id,
        "parent": entry.parent,
        "kind": entry.kind,
        "ek": entry.ek,
        "pcrs": [
            {"bank": pcr.bank, "index": pcr.index, "values": list(pcr.values)} for pcr in entry.pcrs
        ],
        "labels": dict(entry.labels),
        "selectors": {each.name: list(each.values) for each in entry.selectors},
        "binding_ttl_s": entry.binding_ttl_s,
        "created_at": entry.created_at,
        "created_by": entry.created_by,
    }


def _show(entry: pb.Entry, options: argparse.Namespace) -> None:
    if options.json:
        print_json(_document(entry))
    else:
        print_fields(_document(entry))


def _show_all(response: pb.ListEntriesResponse, options: argparse.Namespace) -> None:
    if options.json:
        print_json({"entries": [_document(entry) for entry in response.entries]})
        return
    rows = [
        (e.id, e.spiffe_id, e.kind, e.parent or _pins(e), f"{e.binding_ttl_s} s")
        for e in response.entries
    ]
    print_table(("ENTRY", "WORKLOAD", "KIND", "HOST OR SELECTORS", "BINDING"), rows)


def _pins(entry: pb.Entry) -> str:
    return " ".join(f"{each.name}={'|'.join(each.values)}" for each in entry.selectors)
