"""What can go wrong, by who must act, and the closed list of reasons.

The class of an error says who must act; its :class:`Reason` says what happened; ``step`` is the
number of the check in that stage's list. ``docs/errors.md`` has one row for each reason, and
``server/status.py`` is the only place that maps these classes to gRPC, HTTP and OAuth codes.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why something was refused: the value is what callers, logs and the audit trail see."""

    # Bytes that do not decode.
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    DUPLICATE_MEMBER = "duplicate_member"

    # Keys and signatures, of any JOSE object.
    ALGORITHM_NOT_ALLOWED = "algorithm_not_allowed"
    KEY_UNKNOWN = "key_unknown"
    KEY_UNSUITABLE = "key_unsuitable"
    PRIVATE_KEY_MEMBER = "private_key_member"
    CRITICAL_HEADER_UNKNOWN = "critical_header_unknown"
    SIGNATURE_INVALID = "signature_invalid"
    TYPE_MISMATCH = "type_mismatch"

    # Token claims.
    CLAIM_MISSING = "claim_missing"
    CLAIM_INVALID = "claim_invalid"
    ISSUER_MISMATCH = "issuer_mismatch"
    AUDIENCE_MISMATCH = "audience_mismatch"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    LIFETIME_TOO_LONG = "lifetime_too_long"
    BINDING_MISSING = "binding_missing"
    KEY_BINDING_MISMATCH = "key_binding_mismatch"
    SCOPE_INSUFFICIENT = "scope_insufficient"
    RESIDENCY_INSUFFICIENT = "residency_insufficient"
    AUTHENTICATION_INSUFFICIENT = "authentication_insufficient"
    TOKEN_REVOKED = "token_revoked"
    TOKEN_SUSPENDED = "token_suspended"
    STATUS_UNKNOWN = "status_unknown"

    # DPoP proofs (RFC 9449 §4.3).
    PROOF_MISSING = "proof_missing"
    PROOF_NOT_SINGLE = "proof_not_single"
    METHOD_MISMATCH = "method_mismatch"
    URL_MISMATCH = "url_mismatch"
    PROOF_TOO_OLD = "proof_too_old"
    PROOF_IN_FUTURE = "proof_in_future"
    TOKEN_HASH_MISMATCH = "token_hash_mismatch"
    NONCE_REQUIRED = "nonce_required"
    NONCE_INVALID = "nonce_invalid"
    PROOF_REPLAYED = "proof_replayed"
    REPLAY_MEMORY_FULL = "replay_memory_full"

    # Evidence and its appraisal.
    KIND_UNSUPPORTED = "kind_unsupported"
    EVIDENCE_MEMBER_MISSING = "evidence_member_missing"
    CHALLENGE_EXPIRED = "challenge_expired"
    CHALLENGE_REPLAYED = "challenge_replayed"
    NONCE_MISMATCH = "nonce_mismatch"
    EK_CHAIN_UNTRUSTED = "ek_chain_untrusted"
    EK_CERTIFICATE_PROFILE = "ek_certificate_profile"
    EK_MISMATCH = "ek_mismatch"
    EK_ATTRIBUTES = "ek_attributes"
    EK_NOT_ENROLLED = "ek_not_enrolled"
    AK_CHAIN_UNTRUSTED = "ak_chain_untrusted"
    AK_MISMATCH = "ak_mismatch"
    AK_ATTRIBUTES = "ak_attributes"
    AK_NOT_BOUND_TO_EK = "ak_not_bound_to_ek"
    ACTIVATION_FAILED = "activation_failed"
    WEAK_KEY = "weak_key"
    QUOTE_TYPE = "quote_type"
    QUOTE_SIGNATURE = "quote_signature"
    PCR_SELECTION = "pcr_selection"
    PCR_BANK_WEAK = "pcr_bank_weak"
    PCR_DIGEST_MISMATCH = "pcr_digest_mismatch"
    PCR_VALUE_MISMATCH = "pcr_value_mismatch"
    EVENT_LOG_MISSING = "event_log_missing"
    EVENT_LOG_MISMATCH = "event_log_mismatch"
    EVENT_LOG_REFUSED = "event_log_refused"
    CERTIFY_TYPE = "certify_type"
    CERTIFY_SIGNATURE = "certify_signature"
    CERTIFY_NAME_MISMATCH = "certify_name_mismatch"
    KEY_ATTRIBUTES = "key_attributes"
    KEY_POLICY_REQUIRED = "key_policy_required"
    KEY_MISMATCH = "key_mismatch"
    KEY_PROOF_INVALID = "key_proof_invalid"
    EVIDENCE_TOO_OLD = "evidence_too_old"
    ANCHOR_CLASS_REFUSED = "anchor_class_refused"
    CHAIN_UNTRUSTED = "chain_untrusted"
    EVIDENCE_TYPE = "evidence_type"
    EVIDENCE_SIGNATURE = "evidence_signature"
    EVIDENCE_IN_FUTURE = "evidence_in_future"
    EVIDENCE_MISMATCH = "evidence_mismatch"
    DEBUG_MODE = "debug_mode"
    APP_MISMATCH = "app_mismatch"
    ENVIRONMENT_MISMATCH = "environment_mismatch"
    COUNTER_NOT_RISING = "counter_not_rising"
    CLAIM_NOT_ALLOWED = "claim_not_allowed"
    EVIDENCE_REPLAYED = "evidence_replayed"
    CERTIFICATE_REVOKED = "certificate_revoked"
    ENDORSEMENT_MISMATCH = "endorsement_mismatch"
    TCB_REFUSED = "tcb_refused"
    MIGRATION_ALLOWED = "migration_allowed"
    VMPL_REFUSED = "vmpl_refused"
    MEASUREMENT_MISMATCH = "measurement_mismatch"
    RUNTIME_DATA_MISMATCH = "runtime_data_mismatch"
    COLLATERAL_UNTRUSTED = "collateral_untrusted"
    COLLATERAL_EXPIRED = "collateral_expired"

    # Binding and identity.
    NO_REGISTRATION_ENTRY = "no_registration_entry"
    SPIFFE_ID_INVALID = "spiffe_id_invalid"
    KEY_BOUND_TO_ANOTHER_ID = "key_bound_to_another_id"
    KEY_NOT_BOUND = "key_not_bound"
    BINDING_EXPIRED = "binding_expired"
    STANDING_CHANGED = "standing_changed"

    # Token exchange (RFC 8693) and delegation.
    GRANT_TYPE_UNSUPPORTED = "grant_type_unsupported"
    PARAMETER_MISSING = "parameter_missing"
    PARAMETER_REPEATED = "parameter_repeated"
    PARAMETER_INVALID = "parameter_invalid"
    TOKEN_TYPE_UNSUPPORTED = "token_type_unsupported"
    SUBJECT_TOKEN_INVALID = "subject_token_invalid"
    SUBJECT_ISSUER_UNKNOWN = "subject_issuer_unknown"
    SUBJECT_CLIENT_REFUSED = "subject_client_refused"
    SUBJECT_TOKEN_BOUND_TO_ANOTHER_KEY = "subject_token_bound_to_another_key"
    SUBJECT_TOKEN_REPLAYED = "subject_token_replayed"
    ACTOR_TOKEN_INVALID = "actor_token_invalid"
    ACTOR_NOT_ALLOWED = "actor_not_allowed"
    CLIENT_MISMATCH = "client_mismatch"
    AUDIENCE_NOT_ALLOWED = "audience_not_allowed"
    SCOPE_NOT_ALLOWED = "scope_not_allowed"
    DELEGATION_DENIED = "delegation_denied"
    GRANT_UNKNOWN = "grant_unknown"
    GRANT_REVOKED = "grant_revoked"
    GRANT_EXPIRED = "grant_expired"

    # Keys, callers and administration.
    ROLE_REQUIRED = "role_required"
    CREDENTIAL_INVALID = "credential_invalid"
    KEY_PURPOSE = "key_purpose"
    KEY_STATE = "key_state"
    PAYLOAD_NAMES_THIS_ISSUER = "payload_names_this_issuer"
    DIGEST_NOT_ALLOWED = "digest_not_allowed"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    RATE_LIMITED = "rate_limited"
    LIMIT_EXCEEDED = "limit_exceeded"
    DEADLINE_EXCEEDED = "deadline_exceeded"

    # Requests that a door turns away before any use case sees them.
    TLS_REQUIRED = "tls_required"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    CONTENT_TYPE_UNSUPPORTED = "content_type_unsupported"

    # Parts that are away.
    HARDWARE_UNAVAILABLE = "hardware_unavailable"
    HARDWARE_BUSY = "hardware_busy"
    HARDWARE_REFUSED = "hardware_refused"
    STORE_UNAVAILABLE = "store_unavailable"
    AUDIT_UNAVAILABLE = "audit_unavailable"
    KEYS_UNAVAILABLE = "keys_unavailable"
    STATUS_UNAVAILABLE = "status_unavailable"
    SHUTTING_DOWN = "shutting_down"
    SERVER_UNAVAILABLE = "server_unavailable"
    KEYS_OF_ANOTHER_TPM = "keys_of_another_tpm"

    # The audit trail.
    AUDIT_CHAIN_BROKEN = "audit_chain_broken"
    AUDIT_ROLLED_BACK = "audit_rolled_back"
    CHECKPOINT_INVALID = "checkpoint_invalid"

    # Start-up.
    CONFIGURATION_INVALID = "configuration_invalid"
    POLICY_EMPTY = "policy_empty"
    PERMISSIONS_TOO_OPEN = "permissions_too_open"


class KeysteadError(Exception):
    """Base of every error that Keystead raises on purpose.

    ``reason`` and ``step`` may be shown to the caller. ``detail`` is for the log and the audit
    trail of this installation; it never holds a token or a secret, and no server sends it out.
    """

    default_reason = Reason.MALFORMED

    def __init__(
        self, reason: Reason | None = None, detail: str = "", *, step: int | None = None
    ) -> None:
        self.reason = reason if reason is not None else self.default_reason
        self.detail = detail
        self.step = step
        super().__init__(reason, detail)

    def __str__(self) -> str:
        where = f" (step {self.step})" if self.step is not None else ""
        what = f": {self.detail}" if self.detail else ""
        return f"{self.reason.value}{where}{what}"


class Malformed(KeysteadError):
    """The bytes do not decode; nothing in them was believed."""


class Rejected(KeysteadError):
    """The bytes decode, but a check failed."""

    default_reason = Reason.SIGNATURE_INVALID


class EvidenceRejected(Rejected):
    """A numbered check of the appraisal failed."""


class BindingRejected(Rejected):
    """The key is not, or not provably, in the hardware that was appraised."""

    default_reason = Reason.KEY_MISMATCH


class TokenRejected(Rejected):
    """A token's signature, type or claims failed a check."""


class ProofRejected(Rejected):
    """A DPoP proof failed a check (RFC 9449 §4.3)."""

    default_reason = Reason.PROOF_MISSING


class Refused(KeysteadError):
    """Everything is true, but a policy, a role or a grant says no."""

    default_reason = Reason.DELEGATION_DENIED


class Replayed(KeysteadError):
    """A nonce, ``jti`` or proof that was seen before."""

    default_reason = Reason.PROOF_REPLAYED


class NotFound(KeysteadError):
    """No such object, or none that this caller may see."""

    default_reason = Reason.NOT_FOUND


class Conflict(KeysteadError):
    """The change contradicts what is stored."""

    default_reason = Reason.CONFLICT


class Unavailable(KeysteadError):
    """Hardware, store or audit is away; ask again after ``retry_after_s`` seconds."""

    default_reason = Reason.HARDWARE_UNAVAILABLE

    def __init__(
        self,
        reason: Reason | None = None,
        detail: str = "",
        *,
        step: int | None = None,
        retry_after_s: int = 1,
    ) -> None:
        super().__init__(reason, detail, step=step)
        self.retry_after_s = retry_after_s


class ConfigurationError(KeysteadError):
    """At start-up only: names the entry and what was expected."""

    default_reason = Reason.CONFIGURATION_INVALID
