/* A digest that is looked up once and used for many messages. */
#ifndef KS_DIGEST_H
#define KS_DIGEST_H

#include <openssl/evp.h>

#include "ks_status.h"

typedef struct ks_digest {
    EVP_MD *kind;
    EVP_MD_CTX *state;
} ks_digest;

/* `name` as OpenSSL spells it ("SHA256"). Returns 1, or 0 with nothing to close. */
KS_MUST_CHECK int ks_digest_open(ks_digest *digest, const char *name);
void ks_digest_close(ks_digest *digest);

/* Writes the digest of `message` to `out` and its length to `*size`. Returns 1, or 0 on failure. */
KS_MUST_CHECK int ks_digest_compute(ks_digest *digest, ks_view message,
                                    uint8_t out[EVP_MAX_MD_SIZE], unsigned *size);
/* The same of several parts, one after the other. */
KS_MUST_CHECK int ks_digest_compute_parts(ks_digest *digest, const ks_view *parts, size_t count,
                                          uint8_t out[EVP_MAX_MD_SIZE], unsigned *size);

#endif
