/* An Ed25519 key of one batch, and the table that it may have. */
#ifndef ED25519_KEY_H
#define ED25519_KEY_H

#include <stdatomic.h>

#include "ed25519_kernel.h"
#include "kernel/kernel_key.h"

typedef struct ed25519_key {
    const ed25519_kernel *kernel;
    ks_kernel_key known;
    ed25519_number octets;
    int on_curve; /* and `point` is there; 0 as well where it was not decoded */
    ed25519_point point; /* -A */
    _Atomic(void *) openssl; /* OpenSSL's form, made when it is first wanted */
} ed25519_key;

/* NULL if the size is wrong; KS_KEY_NO_MEMORY. */
void *ks_ed25519_key_open(const ed25519_kernel *kernel, const ks_public_key *parameters, size_t uses);
void ks_ed25519_key_close(void *key); /* accepts NULL */

/*
 * Decodes the keys that have no table, several at a time, and builds the tables that are wanted; unless
 * there is no credit, for then nobody will use them, and each key that is passed over earns a little as
 * a signature would. A comb takes half a verification to build, so each of them wants a proof.
 */
void ks_ed25519_keys_ready(void *const *keys, size_t count);

/* ks_scheme's. */
void ks_ed25519_key_proved(void *key);

/* OpenSSL's form, owned by the key; NULL if OpenSSL does not take it or has no memory. */
void *ks_ed25519_key_openssl(void *key);

/* Of the algorithm, as ks_scheme has it. */
extern ks_credit ks_ed25519_credit;

#endif
