"""The table from errors to status codes."""

import inspect
import re
from http import HTTPStatus
from pathlib import Path

import grpc
import pytest

from keystead import errors
from keystead.errors import (
    Conflict,
    EvidenceRejected,
    KeysteadError,
    Malformed,
    NotFound,
    ProofRejected,
    Reason,
    Refused,
    Replayed,
    TokenRejected,
    Unavailable,
)
from keystead.server.status import BY_REASON, retry_after_s, status_of

PROTOCOL = Path(__file__).resolve().parents[3] / "docs" / "protocol.md"
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| (\d+) \| `(\w+)` \| (.+) \|$", re.MULTILINE)
CLASSES = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, KeysteadError)
]

# RFC 6749 §5.2, RFC 8693 §2.2.2, RFC 9449 §5 and §8; RFC 6749 §4.1.2.1 for the last two.
OAUTH_CODES = {
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "invalid_target",
    "invalid_dpop_proof",
    "use_dpop_nonce",
    "temporarily_unavailable",
    "server_error",
}


def test_every_reason_stands_in_the_table() -> None:
    assert set(BY_REASON) == set(Reason)


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_has_codes_that_exist(kind: type[KeysteadError]) -> None:
    for reason in Reason:
        status = status_of(kind(reason))
        assert grpc.StatusCode[status.grpc] is not grpc.StatusCode.OK
        assert HTTPStatus(status.http) >= 400
        assert status.oauth in OAUTH_CODES


def test_the_documented_table_is_the_table() -> None:
    documented = {
        reason: (grpc_name, int(http), oauth, source)
        for reason, grpc_name, http, oauth, source in ROW.findall(PROTOCOL.read_text())
    }
    assert documented == {
        reason.value: (row.grpc, row.http, row.oauth, row.source)
        for reason, row in BY_REASON.items()
    }


@pytest.mark.parametrize(
    ("error", "grpc_name", "http", "oauth"),
    [
        (TokenRejected(Reason.SIGNATURE_INVALID), "UNAUTHENTICATED", 400, "invalid_request"),
        (ProofRejected(Reason.SIGNATURE_INVALID), "UNAUTHENTICATED", 400, "invalid_dpop_proof"),
        (ProofRejected(Reason.MALFORMED), "UNAUTHENTICATED", 400, "invalid_dpop_proof"),
        (ProofRejected(Reason.NONCE_REQUIRED), "UNAUTHENTICATED", 400, "use_dpop_nonce"),
        (ProofRejected(Reason.NONCE_INVALID), "UNAUTHENTICATED", 400, "use_dpop_nonce"),
        (ProofRejected(Reason.KEY_BINDING_MISMATCH), "UNAUTHENTICATED", 400, "invalid_dpop_proof"),
        (Replayed(), "UNAUTHENTICATED", 400, "invalid_dpop_proof"),
        (Replayed(Reason.SUBJECT_TOKEN_REPLAYED), "UNAUTHENTICATED", 400, "invalid_request"),
        (Replayed(Reason.CHALLENGE_REPLAYED), "PERMISSION_DENIED", 403, "invalid_request"),
        (EvidenceRejected(Reason.QUOTE_SIGNATURE), "PERMISSION_DENIED", 403, "invalid_request"),
        (Refused(Reason.AUDIENCE_NOT_ALLOWED), "PERMISSION_DENIED", 400, "invalid_target"),
        (Refused(Reason.SCOPE_NOT_ALLOWED), "PERMISSION_DENIED", 400, "invalid_scope"),
        (Refused(Reason.ACTOR_NOT_ALLOWED), "PERMISSION_DENIED", 400, "unauthorized_client"),
        (Refused(Reason.DELEGATION_DENIED), "PERMISSION_DENIED", 400, "invalid_request"),
        (Refused(Reason.KEY_NOT_BOUND), "UNAUTHENTICATED", 400, "invalid_client"),
        (Refused(Reason.GRANT_REVOKED), "PERMISSION_DENIED", 400, "invalid_grant"),
        (Refused(Reason.GRANT_UNKNOWN), "PERMISSION_DENIED", 400, "invalid_grant"),
        (NotFound(Reason.GRANT_UNKNOWN), "NOT_FOUND", 404, "invalid_request"),
        (Conflict(Reason.CONFLICT), "ALREADY_EXISTS", 409, "invalid_request"),
        (Malformed(Reason.KEY_PURPOSE), "INVALID_ARGUMENT", 400, "invalid_request"),
        (Malformed(Reason.TOO_LARGE), "RESOURCE_EXHAUSTED", 413, "invalid_request"),
        (
            Malformed(Reason.GRANT_TYPE_UNSUPPORTED),
            "INVALID_ARGUMENT",
            400,
            "unsupported_grant_type",
        ),
        (Refused(Reason.CREDENTIAL_INVALID), "UNAUTHENTICATED", 401, "invalid_client"),
        (Refused(Reason.ROLE_REQUIRED), "PERMISSION_DENIED", 403, "unauthorized_client"),
        (Unavailable(Reason.HARDWARE_BUSY), "UNAVAILABLE", 503, "temporarily_unavailable"),
        (Unavailable(Reason.DEADLINE_EXCEEDED), "UNAVAILABLE", 503, "temporarily_unavailable"),
        (Unavailable(Reason.RATE_LIMITED), "RESOURCE_EXHAUSTED", 429, "temporarily_unavailable"),
        (Refused(Reason.DEADLINE_EXCEEDED), "DEADLINE_EXCEEDED", 408, "invalid_request"),
    ],
    ids=str,
)
def test_the_class_says_who_must_act(
    error: KeysteadError, grpc_name: str, http: int, oauth: str
) -> None:
    status = status_of(error)
    assert (status.grpc, status.http, status.oauth) == (grpc_name, http, oauth)


def test_only_what_is_away_or_over_a_limit_says_when_to_ask_again() -> None:
    assert retry_after_s(Unavailable(retry_after_s=7)) == 7
    assert retry_after_s(Refused(Reason.GRANT_REVOKED)) is None


def test_a_grant_of_another_key_is_an_invalid_grant() -> None:
    status = status_of(Refused(Reason.KEY_BINDING_MISMATCH))
    assert (status.http, status.oauth) == (400, "invalid_grant")
