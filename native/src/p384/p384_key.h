/* A P-384 key of one batch, and the table that it may have. */
#ifndef P384_KEY_H
#define P384_KEY_H

#include <stdatomic.h>

#include "kernel/kernel_key.h"
#include "p384_kernel.h"

typedef struct p384_key {
    ks_kernel_key known;
    int on_curve; /* and x and y below p: else it is for OpenSSL alone */
    p384_entry point;
    atomic_int comb_wanted; /* 0 once somebody builds it */
} p384_key;

/* NULL if OpenSSL does not take the key either; KS_KEY_NO_MEMORY. */
void *ks_p384_key_open(const ks_public_key *parameters, size_t uses);
void ks_p384_key_close(void *key); /* accepts NULL */

/*
 * A signature under this key was valid: if a comb of it is wanted, builds one for later batches. A comb
 * takes most of a verification to build, so valid signatures pay for the combs of their own keys, and
 * forgeries have none built. Any thread may say so.
 */
void ks_p384_key_proved(void *key);

/* OpenSSL's form, which is the parameters. */
void *ks_p384_key_openssl(void *key);

#endif
