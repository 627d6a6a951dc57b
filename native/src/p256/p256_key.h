/* A key of one batch, and the table that it may have. */
#ifndef P256_KEY_H
#define P256_KEY_H

#include "kernel/kernel_key.h"
#include "p256_kernel.h"

typedef struct p256_key {
    const p256_kernel *kernel;
    ks_kernel_key known;
    int on_curve; /* and x and y below p: else it is for OpenSSL alone */
    p256_entry point;
} p256_key;

/* NULL if OpenSSL does not take the key either; KS_KEY_NO_MEMORY. */
void *ks_p256_key_open(const p256_kernel *kernel, const ks_public_key *parameters, size_t uses);
void ks_p256_key_close(void *key); /* accepts NULL */

/*
 * Builds the combs that are wanted, eight keys at a time. Without lanes one takes as long as a
 * verification to build, so each of them wants a proof.
 */
void ks_p256_keys_ready(void *const *keys, size_t count);

/* ks_scheme's. */
void ks_p256_key_proved(void *key);

/* OpenSSL's form, which is the parameters. */
void *ks_p256_key_openssl(void *key);

#endif
