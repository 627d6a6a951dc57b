"""Enrolled hosts: machines whose endorsement key an administrator vouched for."""

from __future__ import annotations

import argparse
from pathlib import Path

from keystead.cli.connection import add_connection_arguments, call, connect
from keystead.cli.output import print_fields, print_json, print_table, time_text
from keystead.errors import Malformed, Reason
from keystead.protocol import keystead_v1_pb2 as pb
from keystead.protocol.keystead_v1_pb2_grpc import IdentityServiceStub

MAX_FILE_BYTES = 16_384
"""A TPM2B_PUBLIC has under 400 bytes, an EK certificate under 4 kB."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``list``, ``enrol``, ``remove``."""
    actions = parser.add_subparsers(dest="action", required=True)
    add_connection_arguments(actions.add_parser("list", help="every enrolled host"))
    enrol = actions.add_parser("enrol", help="vouch for a host's endorsement key")
    add_connection_arguments(enrol)
    enrol.add_argument("spiffe_id", help="the host's own SPIFFE ID")
    enrol.add_argument("--ek-public", type=Path, metavar="FILE", help="TPM2B_PUBLIC of the EK")
    enrol.add_argument("--ek-certificate", type=Path, metavar="FILE", help="the EK's certificate")
    enrol.add_argument(
        "--label", action="append", default=[], metavar="NAME=VALUE", help="operators only"
    )
    remove = actions.add_parser("remove", help="a host, its entries, bindings and grants")
    add_connection_arguments(remove)
    remove.add_argument("ek", help="the id that `hosts list` shows")


def run(options: argparse.Namespace) -> int:
    """One call."""
    with connect(options) as channel:
        stub = IdentityServiceStub(channel)
        if options.action == "list":
            _show_all(call(stub.ListHosts, pb.ListHostsRequest(), options), options)
        elif options.action == "enrol":
            _show(call(stub.EnrolHost, _enrolment(options), options), options)
        else:
            call(stub.RemoveHost, pb.RemoveHostRequest(ek=options.ek), options)
            if options.json:
                print_json({"removed": options.ek})
    return 0


def _enrolment(options: argparse.Namespace) -> pb.EnrolHostRequest:
    if options.ek_public is None and options.ek_certificate is None:
        raise Malformed(Reason.PARAMETER_MISSING, "give --ek-public or --ek-certificate")
    return pb.EnrolHostRequest(
        spiffe_id=options.spiffe_id,
        ek_public=_read(options.ek_public),
        ek_certificate=_read(options.ek_certificate),
        labels=dict(parse_label(text) for text in options.label),
    )


def parse_label(text: str) -> tuple[str, str]:
    """``NAME=VALUE``."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise Malformed(Reason.PARAMETER_INVALID, f"{text!r} is not NAME=VALUE")
    return name, value


def _read(path: Path | None) -> bytes:
    if path is None:
        return b""
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise Malformed(Reason.PARAMETER_INVALID, f"{path}: {error.strerror}") from None


def _document(host: pb.Host) -> dict[str, object]:
    return {
        "ek": host.ek,
        "ek_name": host.ek_name,
        "spiffe_id": host.spiffe_id,
        "labels": dict(host.labels),
        "enrolled_at": host.enrolled_at,
        "enrolled_by": host.enrolled_by,
    }


def _show(host: pb.Host, options: argparse.Namespace) -> None:
    if options.json:
        print_json(_document(host))
    else:
        print_fields(_document(host))


def _show_all(response: pb.ListHostsResponse, options: argparse.Namespace) -> None:
    if options.json:
        print_json({"hosts": [_document(host) for host in response.hosts]})
        return
    rows = [(h.spiffe_id, h.ek, time_text(h.enrolled_at), h.enrolled_by) for h in response.hosts]
    print_table(("HOST", "EK", "ENROLLED", "BY"), rows)
