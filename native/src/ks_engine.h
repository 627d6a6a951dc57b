/*
 * What one way of verifying provides. An engine sees runs of items, not single ones, so that a
 * kernel with several lanes can fill them.
 */
#ifndef KS_ENGINE_H
#define KS_ENGINE_H

#include "ks_verify.h"

typedef struct ks_engine {
    const char *path; /* what ks_verify_path says */

    /* The key ready for use, immutable and shared by all threads; NULL if it is unsuitable. */
    void *(*key_open)(ks_algorithm algorithm, const ks_public_key *parameters);
    void (*key_close)(void *key); /* accepts NULL */

    /* One thread's scratch; NULL if there is no memory. */
    void *(*worker_open)(ks_algorithm algorithm);
    void (*worker_close)(void *worker); /* accepts NULL */

    /* `keys` is the whole table; `verdicts` come in as 0, and only a valid item's becomes 1. */
    void (*verify)(void *worker, void *const *keys, const ks_verify_item *items, size_t count,
                   uint8_t *verdicts);
} ks_engine;

extern const ks_engine ks_ecdsa_openssl;   /* ES256, ES384, ES512 */
extern const ks_engine ks_ed25519_openssl; /* Ed25519 */
extern const ks_engine ks_rsa_openssl;     /* RS256, PS256 */

#endif
