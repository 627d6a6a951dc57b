"""The C core's tokens and requests; native/include/ks_token.h is the contract."""

from libc.stdint cimport int64_t, uint8_t

from keystead._native.batch cimport ks_public_key, ks_status, ks_view
from keystead._native.replay cimport ks_replay
from keystead._native.rules cimport ks_token_rules


cdef extern from "ks_refusal.h" nogil:
    ctypedef struct ks_refusal:
        uint8_t refused_as "as"
        uint8_t reason
        uint8_t step

    # The numbers of ks_refused_as, ks_reason and ks_step.
    const int KS_AS_MALFORMED, KS_AS_TOKEN_REJECTED, KS_AS_PROOF_REJECTED
    const int KS_AS_REPLAYED, KS_AS_UNAVAILABLE
    const int KS_R_MALFORMED, KS_R_TOO_LARGE, KS_R_DUPLICATE_MEMBER
    const int KS_R_ALGORITHM_NOT_ALLOWED, KS_R_KEY_UNKNOWN, KS_R_KEY_UNSUITABLE
    const int KS_R_PRIVATE_KEY_MEMBER, KS_R_CRITICAL_HEADER_UNKNOWN, KS_R_SIGNATURE_INVALID
    const int KS_R_TYPE_MISMATCH, KS_R_CLAIM_MISSING, KS_R_CLAIM_INVALID, KS_R_ISSUER_MISMATCH
    const int KS_R_AUDIENCE_MISMATCH, KS_R_EXPIRED, KS_R_NOT_YET_VALID, KS_R_LIFETIME_TOO_LONG
    const int KS_R_BINDING_MISSING, KS_R_KEY_BINDING_MISMATCH, KS_R_SCOPE_INSUFFICIENT
    const int KS_R_RESIDENCY_INSUFFICIENT, KS_R_AUTHENTICATION_INSUFFICIENT
    const int KS_R_PROOF_MISSING, KS_R_PROOF_NOT_SINGLE, KS_R_METHOD_MISMATCH, KS_R_URL_MISMATCH
    const int KS_R_PROOF_TOO_OLD, KS_R_PROOF_IN_FUTURE, KS_R_TOKEN_HASH_MISMATCH
    const int KS_R_PROOF_REPLAYED, KS_R_REPLAY_MEMORY_FULL
    const int KS_R_TOKEN_REVOKED, KS_R_TOKEN_SUSPENDED, KS_R_STATUS_UNKNOWN
    const int KS_R_STATUS_UNAVAILABLE
    const int KS_STEP_KEY, KS_STEP_STATUS, KS_STEP_PROOF, KS_STEP_REPLAY


cdef extern from "ks_token.h" nogil:
    const unsigned KS_MAX_TOKENS

    ctypedef struct ks_tokens:
        pass

    ctypedef struct ks_key_wanted:
        unsigned algorithm
        ks_view kid

    ctypedef struct ks_named_key:
        ks_public_key key
        ks_refusal refusal

    ctypedef struct ks_status_list:
        ks_view statuses
        unsigned bits
        ks_refusal refusal

    ctypedef enum ks_proof_count:
        KS_PROOF_NONE
        KS_PROOF_ONE
        KS_PROOF_MANY

    ctypedef struct ks_request:
        ks_proof_count proofs
        int presented
        ks_view proof
        ks_view method
        ks_view url

    ctypedef struct ks_proven:
        ks_view jkt
        ks_view jti
        int64_t issued_at

    ks_status ks_tokens_open(const ks_view *texts, size_t count, const ks_token_rules *rules,
                             unsigned threads, ks_tokens **out) noexcept
    void ks_tokens_close(ks_tokens *batch) noexcept
    size_t ks_tokens_names(const ks_tokens *batch) noexcept
    ks_key_wanted ks_tokens_name(const ks_tokens *batch, size_t index) noexcept
    ks_status ks_tokens_verify(ks_tokens *batch, const ks_named_key *keys, size_t first,
                               size_t last, unsigned threads) noexcept
    ks_status ks_tokens_find_lists(ks_tokens *batch) noexcept
    size_t ks_tokens_lists(const ks_tokens *batch) noexcept
    ks_view ks_tokens_list(const ks_tokens *batch, size_t index) noexcept
    ks_status ks_tokens_check_status(ks_tokens *batch, const ks_status_list *lists) noexcept
    ks_status ks_tokens_prove(ks_tokens *batch, const ks_request *requests, size_t first,
                              size_t last, unsigned threads) noexcept
    ks_status ks_tokens_remember(ks_tokens *batch, ks_replay *seen, size_t first,
                                 size_t last) noexcept
    ks_refusal ks_tokens_refusal(const ks_tokens *batch, size_t index) noexcept
    size_t ks_tokens_name_of(const ks_tokens *batch, size_t index) noexcept
    size_t ks_tokens_list_of(const ks_tokens *batch, size_t index) noexcept
    ks_view ks_tokens_payload(const ks_tokens *batch, size_t index) noexcept
    ks_proven ks_tokens_proven(const ks_tokens *batch, size_t index) noexcept
