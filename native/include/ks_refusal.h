/*
 * Why a token or a proof was refused: what src/keystead/errors.py says with a class, a `Reason` and a
 * step. The numbers are part of the contract, and the door hands them to Python by name.
 */
#ifndef KS_REFUSAL_H
#define KS_REFUSAL_H

#include <stdint.h>

/* The class of the error: who must act. */
typedef enum ks_refused_as {
    KS_ACCEPTED = 0,
    KS_AS_MALFORMED = 1,
    KS_AS_TOKEN_REJECTED = 2,
    KS_AS_PROOF_REJECTED = 3,
    KS_AS_REPLAYED = 4,
    KS_AS_UNAVAILABLE = 5,
} ks_refused_as;

typedef enum ks_reason {
    KS_R_NONE = 0,
    KS_R_MALFORMED = 1,
    KS_R_TOO_LARGE = 2,
    KS_R_DUPLICATE_MEMBER = 3,
    KS_R_ALGORITHM_NOT_ALLOWED = 4,
    KS_R_KEY_UNKNOWN = 5,
    KS_R_KEY_UNSUITABLE = 6,
    KS_R_PRIVATE_KEY_MEMBER = 7,
    KS_R_CRITICAL_HEADER_UNKNOWN = 8,
    KS_R_SIGNATURE_INVALID = 9,
    KS_R_TYPE_MISMATCH = 10,
    KS_R_CLAIM_MISSING = 11,
    KS_R_CLAIM_INVALID = 12,
    KS_R_ISSUER_MISMATCH = 13,
    KS_R_AUDIENCE_MISMATCH = 14,
    KS_R_EXPIRED = 15,
    KS_R_NOT_YET_VALID = 16,
    KS_R_LIFETIME_TOO_LONG = 17,
    KS_R_BINDING_MISSING = 18,
    KS_R_KEY_BINDING_MISMATCH = 19,
    KS_R_SCOPE_INSUFFICIENT = 20,
    KS_R_RESIDENCY_INSUFFICIENT = 21,
    KS_R_AUTHENTICATION_INSUFFICIENT = 22,
    KS_R_PROOF_MISSING = 23,
    KS_R_PROOF_NOT_SINGLE = 24,
    KS_R_METHOD_MISMATCH = 25,
    KS_R_URL_MISMATCH = 26,
    KS_R_PROOF_TOO_OLD = 27,
    KS_R_PROOF_IN_FUTURE = 28,
    KS_R_TOKEN_HASH_MISMATCH = 29,
    KS_R_PROOF_REPLAYED = 30,
    KS_R_REPLAY_MEMORY_FULL = 31,
    KS_R_TOKEN_REVOKED = 32,
    KS_R_TOKEN_SUSPENDED = 33,
    KS_R_STATUS_UNKNOWN = 34,
    KS_R_STATUS_UNAVAILABLE = 35,
} ks_reason;

/* The steps of src/keystead/relying/steps.py, in the order in which they are made. */
typedef enum ks_step {
    KS_STEP_DECODE = 1,
    KS_STEP_TYPE = 2,
    KS_STEP_ALGORITHM = 3,
    KS_STEP_KEY = 4,
    KS_STEP_SIGNATURE = 5,
    KS_STEP_ISSUER = 6,
    KS_STEP_AUDIENCE = 7,
    KS_STEP_TIMES = 8,
    KS_STEP_LIFETIME = 9,
    KS_STEP_IDENTITIES = 10,
    KS_STEP_ACTOR = 11,
    KS_STEP_SCOPE = 12,
    KS_STEP_AUTHENTICATION = 13,
    KS_STEP_CONFIRMATION = 14,
    KS_STEP_RESIDENCY = 15,
    KS_STEP_SCOPES_REQUIRED = 16,
    KS_STEP_AUTHENTICATION_REQUIRED = 17,
    KS_STEP_RESIDENCY_REQUIRED = 18,
    KS_STEP_STATUS = 19,
    KS_STEP_PROOF = 20,
    KS_STEP_REPLAY = 21,
} ks_step;

/*
 * All zero: nothing was found wrong. `step` is a ks_step, but with KS_AS_PROOF_REJECTED a number of
 * RFC 9449 §4.3, or KS_STEP_REPLAY.
 */
typedef struct ks_refusal {
    uint8_t as;     /* ks_refused_as */
    uint8_t reason; /* ks_reason */
    uint8_t step;
} ks_refusal;

static const ks_refusal ks_accepted = {0, 0, 0};

static inline int ks_is_refused(ks_refusal of) {
    return of.as != KS_ACCEPTED;
}

static inline ks_refusal ks_malformed(ks_reason reason, unsigned step) {
    return (ks_refusal){KS_AS_MALFORMED, (uint8_t)reason, (uint8_t)step};
}

static inline ks_refusal ks_token_rejected(ks_reason reason, unsigned step) {
    return (ks_refusal){KS_AS_TOKEN_REJECTED, (uint8_t)reason, (uint8_t)step};
}

static inline ks_refusal ks_proof_rejected(ks_reason reason, unsigned step) {
    return (ks_refusal){KS_AS_PROOF_REJECTED, (uint8_t)reason, (uint8_t)step};
}

#endif
