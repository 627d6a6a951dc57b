"""From an error to a gRPC status, an HTTP status and an OAuth error code: the one table.

The caller is told the reason and nothing else; ``docs/protocol.md`` prints this table and a test
compares the two. Where an RFC names the code, the row names the RFC:

- RFC 6749 §5.2 answers 400 unless the client used the ``Authorization`` header. Nobody
  authenticates to the token endpoint with that header here, so a key that is not bound is 400
  ``invalid_client``; 401 is for operator credentials, and always with ``WWW-Authenticate``.
- RFC 8693 §2.2.2 wants ``invalid_request`` for subject and actor tokens that are invalid, or not
  acceptable by policy: so for a delegation that the policy denies. An agent that may not act for
  anybody like this is ``unauthorized_client`` (RFC 6749 §5.2).
"""

from __future__ import annotations

from dataclasses import dataclass

from keystead.errors import (
    Conflict,
    KeysteadError,
    Malformed,
    NotFound,
    ProofRejected,
    Reason,
    Refused,
    Unavailable,
)

INTERNAL_REASON = "internal"
"""What a bug looks like from outside; the correlation id finds it in the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The three codes of an error, and who says so. ``grpc`` is a name of grpc.StatusCode."""

    grpc: str
    http: int
    oauth: str
    source: str


def _row(grpc: str, http: int, oauth: str, source: str) -> Status:
    return Status(grpc=grpc, http=http, oauth=oauth, source=source)


REQUEST = _row("INVALID_ARGUMENT", 400, "invalid_request", "RFC 6749 §5.2")
TOO_LARGE = _row("RESOURCE_EXHAUSTED", 413, "invalid_request", "RFC 9110 §15.5.14")
DEADLINE = _row("DEADLINE_EXCEEDED", 408, "invalid_request", "RFC 9110 §15.5.9")
METHOD = _row("UNIMPLEMENTED", 405, "invalid_request", "RFC 9110 §15.5.6")
MEDIA_TYPE = _row("INVALID_ARGUMENT", 415, "invalid_request", "RFC 9110 §15.5.16")
TOKEN = _row("UNAUTHENTICATED", 400, "invalid_request", "RFC 8693 §2.2.2")
PROOF = _row("UNAUTHENTICATED", 400, "invalid_dpop_proof", "RFC 9449 §5")
NONCE = _row("UNAUTHENTICATED", 400, "use_dpop_nonce", "RFC 9449 §8")
EVIDENCE = _row("PERMISSION_DENIED", 403, "invalid_request", "RFC 9334 §8.4")
NAME = _row("PERMISSION_DENIED", 403, "invalid_request", "Keystead")
CLIENT = _row("UNAUTHENTICATED", 400, "invalid_client", "RFC 6749 §5.2")
AGENT = _row("PERMISSION_DENIED", 400, "unauthorized_client", "RFC 6749 §5.2")
DELEGATION = _row("PERMISSION_DENIED", 400, "invalid_request", "RFC 8693 §2.2.2")
GRANT_TYPE = _row("INVALID_ARGUMENT", 400, "unsupported_grant_type", "RFC 6749 §5.2")
GRANT = _row("PERMISSION_DENIED", 400, "invalid_grant", "RFC 6749 §5.2")
TARGET = _row("PERMISSION_DENIED", 400, "invalid_target", "RFC 8693 §2.2.2")
SCOPE = _row("PERMISSION_DENIED", 400, "invalid_scope", "RFC 6749 §5.2")
CREDENTIAL = _row("UNAUTHENTICATED", 401, "invalid_client", "RFC 7662 §2.3")
ROLE = _row("PERMISSION_DENIED", 403, "unauthorized_client", "docs/authorization.md")
KEY_USE = _row("FAILED_PRECONDITION", 403, "invalid_request", "Keystead")
MISSING = _row("NOT_FOUND", 404, "invalid_request", "RFC 9110 §15.5.5")
CONFLICT = _row("ALREADY_EXISTS", 409, "invalid_request", "RFC 9110 §15.5.10")
RATE = _row("RESOURCE_EXHAUSTED", 429, "temporarily_unavailable", "RFC 6585 §4")
AWAY = _row("UNAVAILABLE", 503, "temporarily_unavailable", "RFC 9110 §15.6.4")
BROKEN = _row("DATA_LOSS", 500, "server_error", "Keystead")
START = _row("FAILED_PRECONDITION", 500, "server_error", "start-up only, never on the wire")

INTERNAL = _row("INTERNAL", 500, "server_error", "a bug")

BY_REASON: dict[Reason, Status] = {
    Reason.MALFORMED: REQUEST,
    Reason.TOO_LARGE: TOO_LARGE,
    Reason.DUPLICATE_MEMBER: REQUEST,
    Reason.ALGORITHM_NOT_ALLOWED: TOKEN,
    Reason.KEY_UNKNOWN: TOKEN,
    Reason.KEY_UNSUITABLE: TOKEN,
    Reason.PRIVATE_KEY_MEMBER: TOKEN,
    Reason.CRITICAL_HEADER_UNKNOWN: TOKEN,
    Reason.SIGNATURE_INVALID: TOKEN,
    Reason.TYPE_MISMATCH: TOKEN,
    Reason.CLAIM_MISSING: TOKEN,
    Reason.CLAIM_INVALID: TOKEN,
    Reason.ISSUER_MISMATCH: TOKEN,
    Reason.AUDIENCE_MISMATCH: TOKEN,
    Reason.EXPIRED: TOKEN,
    Reason.NOT_YET_VALID: TOKEN,
    Reason.LIFETIME_TOO_LONG: TOKEN,
    Reason.BINDING_MISSING: TOKEN,
    Reason.KEY_BINDING_MISMATCH: TOKEN,
    Reason.SCOPE_INSUFFICIENT: SCOPE,
    Reason.RESIDENCY_INSUFFICIENT: DELEGATION,
    Reason.AUTHENTICATION_INSUFFICIENT: DELEGATION,
    Reason.TOKEN_REVOKED: TOKEN,
    Reason.TOKEN_SUSPENDED: TOKEN,
    Reason.STATUS_UNKNOWN: TOKEN,
    Reason.PROOF_MISSING: PROOF,
    Reason.PROOF_NOT_SINGLE: PROOF,
    Reason.METHOD_MISMATCH: PROOF,
    Reason.URL_MISMATCH: PROOF,
    Reason.PROOF_TOO_OLD: PROOF,
    Reason.PROOF_IN_FUTURE: PROOF,
    Reason.TOKEN_HASH_MISMATCH: PROOF,
    Reason.NONCE_REQUIRED: NONCE,
    Reason.NONCE_INVALID: NONCE,
    Reason.PROOF_REPLAYED: PROOF,
    Reason.REPLAY_MEMORY_FULL: AWAY,
    Reason.KIND_UNSUPPORTED: REQUEST,
    Reason.EVIDENCE_MEMBER_MISSING: REQUEST,
    Reason.CHALLENGE_EXPIRED: EVIDENCE,
    Reason.CHALLENGE_REPLAYED: EVIDENCE,
    Reason.NONCE_MISMATCH: EVIDENCE,
    Reason.EK_CHAIN_UNTRUSTED: EVIDENCE,
    Reason.EK_CERTIFICATE_PROFILE: EVIDENCE,
    Reason.EK_MISMATCH: EVIDENCE,
    Reason.EK_ATTRIBUTES: EVIDENCE,
    Reason.EK_NOT_ENROLLED: EVIDENCE,
    Reason.AK_CHAIN_UNTRUSTED: EVIDENCE,
    Reason.AK_MISMATCH: EVIDENCE,
    Reason.AK_ATTRIBUTES: EVIDENCE,
    Reason.AK_NOT_BOUND_TO_EK: EVIDENCE,
    Reason.ACTIVATION_FAILED: EVIDENCE,
    Reason.WEAK_KEY: EVIDENCE,
    Reason.QUOTE_TYPE: EVIDENCE,
    Reason.QUOTE_SIGNATURE: EVIDENCE,
    Reason.PCR_SELECTION: EVIDENCE,
    Reason.PCR_BANK_WEAK: EVIDENCE,
    Reason.PCR_DIGEST_MISMATCH: EVIDENCE,
    Reason.PCR_VALUE_MISMATCH: EVIDENCE,
    Reason.EVENT_LOG_MISSING: EVIDENCE,
    Reason.EVENT_LOG_MISMATCH: EVIDENCE,
    Reason.EVENT_LOG_REFUSED: EVIDENCE,
    Reason.CERTIFY_TYPE: EVIDENCE,
    Reason.CERTIFY_SIGNATURE: EVIDENCE,
    Reason.CERTIFY_NAME_MISMATCH: EVIDENCE,
    Reason.KEY_ATTRIBUTES: EVIDENCE,
    Reason.KEY_POLICY_REQUIRED: EVIDENCE,
    Reason.KEY_MISMATCH: EVIDENCE,
    Reason.KEY_PROOF_INVALID: EVIDENCE,
    Reason.EVIDENCE_TOO_OLD: EVIDENCE,
    Reason.ANCHOR_CLASS_REFUSED: EVIDENCE,
    Reason.CHAIN_UNTRUSTED: EVIDENCE,
    Reason.EVIDENCE_TYPE: EVIDENCE,
    Reason.EVIDENCE_SIGNATURE: EVIDENCE,
    Reason.EVIDENCE_IN_FUTURE: EVIDENCE,
    Reason.EVIDENCE_MISMATCH: EVIDENCE,
    Reason.DEBUG_MODE: EVIDENCE,
    Reason.APP_MISMATCH: EVIDENCE,
    Reason.ENVIRONMENT_MISMATCH: EVIDENCE,
    Reason.COUNTER_NOT_RISING: EVIDENCE,
    Reason.CLAIM_NOT_ALLOWED: EVIDENCE,
    Reason.EVIDENCE_REPLAYED: EVIDENCE,
    Reason.CERTIFICATE_REVOKED: EVIDENCE,
    Reason.ENDORSEMENT_MISMATCH: EVIDENCE,
    Reason.TCB_REFUSED: EVIDENCE,
    Reason.MIGRATION_ALLOWED: EVIDENCE,
    Reason.VMPL_REFUSED: EVIDENCE,
    Reason.MEASUREMENT_MISMATCH: EVIDENCE,
    Reason.RUNTIME_DATA_MISMATCH: EVIDENCE,
    Reason.COLLATERAL_UNTRUSTED: EVIDENCE,
    Reason.COLLATERAL_EXPIRED: EVIDENCE,
    Reason.NO_REGISTRATION_ENTRY: NAME,
    Reason.SPIFFE_ID_INVALID: REQUEST,
    Reason.KEY_BOUND_TO_ANOTHER_ID: CONFLICT,
    Reason.KEY_NOT_BOUND: CLIENT,
    Reason.BINDING_EXPIRED: CLIENT,
    Reason.STANDING_CHANGED: EVIDENCE,
    Reason.GRANT_TYPE_UNSUPPORTED: GRANT_TYPE,
    Reason.PARAMETER_MISSING: REQUEST,
    Reason.PARAMETER_REPEATED: REQUEST,
    Reason.PARAMETER_INVALID: REQUEST,
    Reason.TOKEN_TYPE_UNSUPPORTED: REQUEST,
    Reason.SUBJECT_TOKEN_INVALID: TOKEN,
    Reason.SUBJECT_ISSUER_UNKNOWN: TOKEN,
    Reason.SUBJECT_CLIENT_REFUSED: TOKEN,
    Reason.SUBJECT_TOKEN_BOUND_TO_ANOTHER_KEY: TOKEN,
    Reason.SUBJECT_TOKEN_REPLAYED: TOKEN,
    Reason.ACTOR_TOKEN_INVALID: TOKEN,
    Reason.ACTOR_NOT_ALLOWED: AGENT,
    Reason.CLIENT_MISMATCH: GRANT,
    Reason.AUDIENCE_NOT_ALLOWED: TARGET,
    Reason.SCOPE_NOT_ALLOWED: SCOPE,
    Reason.DELEGATION_DENIED: DELEGATION,
    Reason.GRANT_UNKNOWN: GRANT,
    Reason.GRANT_REVOKED: GRANT,
    Reason.GRANT_EXPIRED: GRANT,
    Reason.ROLE_REQUIRED: ROLE,
    Reason.CREDENTIAL_INVALID: CREDENTIAL,
    Reason.KEY_PURPOSE: KEY_USE,
    Reason.KEY_STATE: KEY_USE,
    Reason.PAYLOAD_NAMES_THIS_ISSUER: KEY_USE,
    Reason.DIGEST_NOT_ALLOWED: KEY_USE,
    Reason.NOT_FOUND: MISSING,
    Reason.CONFLICT: CONFLICT,
    Reason.RATE_LIMITED: RATE,
    Reason.LIMIT_EXCEEDED: TOO_LARGE,
    Reason.DEADLINE_EXCEEDED: DEADLINE,
    Reason.TLS_REQUIRED: CREDENTIAL,
    Reason.METHOD_NOT_ALLOWED: METHOD,
    Reason.CONTENT_TYPE_UNSUPPORTED: MEDIA_TYPE,
    Reason.HARDWARE_UNAVAILABLE: AWAY,
    Reason.HARDWARE_BUSY: AWAY,
    Reason.HARDWARE_REFUSED: AWAY,
    Reason.STORE_UNAVAILABLE: AWAY,
    Reason.AUDIT_UNAVAILABLE: AWAY,
    Reason.KEYS_UNAVAILABLE: AWAY,
    Reason.STATUS_UNAVAILABLE: AWAY,
    Reason.SHUTTING_DOWN: AWAY,
    Reason.SERVER_UNAVAILABLE: AWAY,
    Reason.KEYS_OF_ANOTHER_TPM: START,
    Reason.AUDIT_CHAIN_BROKEN: BROKEN,
    Reason.AUDIT_ROLLED_BACK: BROKEN,
    Reason.CHECKPOINT_INVALID: BROKEN,
    Reason.CONFIGURATION_INVALID: START,
    Reason.POLICY_EMPTY: START,
    Reason.PERMISSIONS_TOO_OPEN: START,
}

_NOT_A_REFUSAL_OF_BYTES = {REQUEST, TOO_LARGE, MEDIA_TYPE, METHOD, GRANT_TYPE, DEADLINE}


def status_of(error: KeysteadError) -> Status:
    """The codes of an error: its reason's row, unless its class says more about who must act."""
    row = BY_REASON[error.reason]
    if isinstance(error, ProofRejected):
        return row if row in (NONCE, AWAY) else PROOF
    if isinstance(error, Malformed):
        return row if row in _NOT_A_REFUSAL_OF_BYTES else REQUEST
    if isinstance(error, NotFound):
        return MISSING
    if isinstance(error, Refused) and error.reason is Reason.KEY_BINDING_MISMATCH:
        return GRANT  # RFC 6749 §5.2: a grant that was issued to another client
    if isinstance(error, Conflict):
        return CONFLICT
    if isinstance(error, Unavailable):
        return row if row in (RATE, AWAY) else AWAY
    return row


def retry_after_s(error: KeysteadError) -> int | None:
    """When to ask again, where asking again may help."""
    return error.retry_after_s if isinstance(error, Unavailable) else None
