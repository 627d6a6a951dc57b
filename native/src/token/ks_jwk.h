/*
 * The public key in a proof's header (RFC 7517, RFC 7518 §6, RFC 8037 §2), by the rules of
 * src/keystead/jose/jwk.py and algorithms.py.
 */
#ifndef KS_JWK_H
#define KS_JWK_H

#include "codec/ks_base64url.h"
#include "ks_digest.h"
#include "ks_members.h"
#include "ks_token.h"

/* The bounds of jose/jwk.py. */
#define KS_MAX_JWK_NAME_CHARS 64u

/* What the parameters of a key in a header of `size` bytes decode to. */
#define KS_JWK_BYTES(size) ((size) + 2u * KS_BASE64URL_SLACK)

typedef struct ks_jwk {
    ks_public_key key; /* views into the memory */
    unsigned verifies; /* a bit for each algorithm's name that the key is for */
    int on_curve;      /* whether it is a point of the curve of `curve`, a NIST one */
    ks_algorithm curve;
    uint8_t thumbprint[KS_SHA256_CHARS]; /* RFC 7638 */
} ks_jwk;

/*
 * Reads the object at `at` of a header; `memory` has room for KS_JWK_BYTES of the header's size. A
 * refusal's step is of RFC 9449 §4.3, or KS_STEP_PROOF for what is malformed. Whether a point is on its
 * curve is left to ks_jwk_is_point, which is dear: engines refuse what is not.
 */
KS_MUST_CHECK ks_refusal ks_jwk_read(const ks_json *header, size_t at, ks_digest *sha256,
                                     uint8_t *memory, ks_jwk *jwk);

/* 0 if the key is a point that is not on its curve. */
int ks_jwk_is_point(const ks_jwk *jwk);

#endif
