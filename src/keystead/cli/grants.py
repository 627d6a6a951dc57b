"""Grants: what users let agents do, until when; revoking one stops its next renewal."""

from __future__ import annotations

import argparse

from keystead.cli.connection import add_connection_arguments, call, connect
from keystead.cli.output import print_json, print_table, time_text
from keystead.protocol import keystead_v1_pb2 as pb
from keystead.protocol.keystead_v1_pb2_grpc import TokenServiceStub


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``list`` and ``revoke``."""
    actions = parser.add_subparsers(dest="action", required=True)
    listing = actions.add_parser("list", help="grants, newest first")
    add_connection_arguments(listing)
    listing.add_argument("--sub", default="", help="of this user only")
    listing.add_argument("--agent", default="", help="to this agent's SPIFFE ID only")
    revoke = actions.add_parser("revoke", help="a grant, and those that hang on it")
    add_connection_arguments(revoke)
    revoke.add_argument("id")


def run(options: argparse.Namespace) -> int:
    """One call."""
    with connect(options) as channel:
        stub = TokenServiceStub(channel)
        if options.action == "list":
            request = pb.ListGrantsRequest(sub=options.sub, agent=options.agent)
            _show_all(call(stub.ListGrants, request, options), options)
        else:
            call(stub.RevokeGrant, pb.RevokeGrantRequest(id=options.id), options)
            if options.json:
                print_json({"revoked": options.id})
    return 0


def _document(grant: pb.Grant) -> dict[str, object]:
    return {
        "id": grant.id,
        "sub": grant.sub,
        "subject_issuer": grant.subject_issuer,
        "agent": grant.agent,
        "jkt": grant.jkt,
        "audience": grant.audience,
        "scopes": list(grant.scopes),
        "created_at": grant.created_at,
        "expires_at": grant.expires_at,
        "revoked_at": grant.revoked_at,
        "parent": grant.parent,
    }


def _show_all(response: pb.ListGrantsResponse, options: argparse.Namespace) -> None:
    if options.json:
        print_json({"grants": [_document(grant) for grant in response.grants]})
        return
    rows = [
        (
            g.id,
            g.sub,
            g.agent,
            g.audience,
            " ".join(g.scopes),
            "revoked" if g.revoked_at else f"until {time_text(g.expires_at)}",
        )
        for g in response.grants
    ]
    print_table(("GRANT", "USER", "AGENT", "AUDIENCE", "SCOPES", "STATE"), rows)
