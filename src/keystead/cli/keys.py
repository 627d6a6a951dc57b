"""Issuer keys: each in the TPM, each with one purpose."""

from __future__ import annotations

import argparse

from keystead.cli.connection import add_connection_arguments, call, connect
from keystead.cli.output import print_fields, print_json, print_table, time_text
from keystead.codec import base64url, json
from keystead.protocol import keystead_v1_pb2 as pb
from keystead.protocol.keystead_v1_pb2_grpc import KeyServiceStub


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``list``, ``show``, ``create``, ``rotate``."""
    actions = parser.add_subparsers(dest="action", required=True)
    listing = actions.add_parser("list", help="the keys that you may see")
    add_connection_arguments(listing)
    listing.add_argument("--purpose", default="", help="token, svid, status, ear, audit, external")
    show = actions.add_parser("show", help="one key with its evidence")
    add_connection_arguments(show)
    show.add_argument("kid")
    create = actions.add_parser("create", help="make a key in the TPM")
    add_connection_arguments(create)
    create.add_argument("--purpose", default="external")
    create.add_argument("--algorithm", default="ES256", choices=("ES256", "RS256"))
    create.add_argument("--owner", default="", help="who may use an external key")
    create.add_argument("--allow-digest", action="store_true", help="let the owner sign digests")
    rotate = actions.add_parser("rotate", help="start the successor of an active key")
    add_connection_arguments(rotate)
    rotate.add_argument("purpose")
    rotate.add_argument("--owner", default="")


def run(options: argparse.Namespace) -> int:
    """One call."""
    with connect(options) as channel:
        stub = KeyServiceStub(channel)
        if options.action == "list":
            request = pb.ListKeysRequest(purpose=options.purpose)
            _show_all(call(stub.ListKeys, request, options), options)
        elif options.action == "show":
            _show(call(stub.GetKey, pb.GetKeyRequest(kid=options.kid), options), options)
        elif options.action == "create":
            creation = pb.CreateKeyRequest(
                purpose=options.purpose,
                algorithm=options.algorithm,
                owner=options.owner,
                allow_digest=options.allow_digest,
            )
            _show(call(stub.CreateKey, creation, options), options)
        else:
            rotation = pb.RotateRequest(purpose=options.purpose, owner=options.owner)
            _show(call(stub.Rotate, rotation, options), options)
    return 0


def _document(key: pb.Key) -> dict[str, object]:
    return {
        "kid": key.kid,
        "purpose": key.purpose,
        "algorithm": key.algorithm,
        "state": key.state,
        "tier": key.tier,
        "owner": key.owner,
        "allow_digest": key.allow_digest,
        "jwk": json.parse_object(key.jwk) if key.jwk else {},
        "created_at": key.created_at,
        "activates_at": key.activates_at,
        "retired_at": key.retired_at,
    }


def _evidence(evidence: pb.KeyEvidence) -> dict[str, object]:
    return {
        "ek_public": base64url.encode(evidence.ek_public),
        "ek_certificate": base64url.encode(evidence.ek_certificate),
        "ek_certificate_chain": [base64url.encode(c) for c in evidence.ek_certificate_chain],
        "ak_public": base64url.encode(evidence.ak_public),
        "key_public": base64url.encode(evidence.key_public),
        "qualifying_data": base64url.encode(evidence.qualifying_data),
        "certify_attest": base64url.encode(evidence.certify_attest),
        "certify_signature": base64url.encode(evidence.certify_signature),
    }


def _show(key: pb.Key, options: argparse.Namespace) -> None:
    document = _document(key)
    if options.json:
        print_json({**document, "evidence": _evidence(key.evidence)})
    else:
        print_fields(document)


def _show_all(response: pb.ListKeysResponse, options: argparse.Namespace) -> None:
    if options.json:
        print_json({"keys": [_document(key) for key in response.keys]})
        return
    rows = [
        (k.kid, k.purpose, k.algorithm, k.state, k.tier, k.owner, time_text(k.created_at))
        for k in response.keys
    ]
    print_table(("KID", "PURPOSE", "ALG", "STATE", "TIER", "OWNER", "CREATED"), rows)
