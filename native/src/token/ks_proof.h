/*
 * A DPoP proof, step 20 of relying/verifier.py: the twelve checks of RFC 9449 §4.3, by the rules and with
 * the numbers of src/keystead/jose/dpop.py.
 *
 * A proof is opened first, which is all but its signature. What steps 8 to 12 found stays aside until the
 * signature was verified, because the readable path makes them after it.
 */
#ifndef KS_PROOF_H
#define KS_PROOF_H

#include "codec/ks_htu.h"
#include "ks_jwk.h"
#include "ks_jws.h"

/* The bounds of jose/dpop.py. */
#define KS_MAX_PROOF_JTI_CHARS 256u
#define KS_MAX_NONCE_CHARS 256u
#define KS_MAX_METHOD_CHARS 32u

/* What a proof of `size` characters may decode to, its key's parameters included. */
#define KS_PROOF_BYTES(size) (KS_JWS_BYTES(size) + KS_JWK_BYTES((size) / 4u * 3u + 3u))

/* One thread's memory for opening proofs. */
typedef struct ks_proof_scratch {
    ks_json header, claims;
    ks_digest sha256;
    uint8_t proof_url[KS_MAX_URL_CHARS + 1];
    uint8_t request_url[KS_MAX_URL_CHARS + 1];
} ks_proof_scratch;

typedef struct ks_proof {
    unsigned algorithm; /* index of the name of the one that is to verify it */
    ks_jwk jwk;
    ks_view signing_input, signature;
    ks_view jti;
    int64_t issued_at;
    ks_refusal after_signature; /* what steps 8 to 12 found */
} ks_proof;

/* What a proof is held against. */
typedef struct ks_proof_wanted {
    const ks_request *request;
    ks_view token;
    const uint8_t *jkt; /* KS_SHA256_CHARS of them: the key that the token is bound to */
    const ks_token_rules *rules;
} ks_proof_wanted;

/* All steps but 6, the signature, and 10, the nonce; `memory` has room for KS_PROOF_BYTES of its size. */
KS_MUST_CHECK ks_refusal ks_proof_open(const ks_proof_wanted *wanted, ks_proof_scratch *scratch,
                                       uint8_t *memory, ks_proof *proof);

/* What a proof is refused for whose signature is not valid. */
ks_refusal ks_proof_unsigned(const ks_proof *proof);

#endif
