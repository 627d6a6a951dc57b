/* What a key of one batch has whatever its curve: its octets, and its table. */
#ifndef KERNEL_KEY_H
#define KERNEL_KEY_H

#include "kernel_cache.h"
#include "ks_engine.h"

typedef struct ks_kernel_key {
    ks_public_key parameters; /* the caller's octets, which outlive the key */
    ks_table *table;          /* or NULL */
    int wants_wide;
    int wants_comb;
} ks_kernel_key;

/* Looks for a table of the key, which is about to be used `uses` times. */
void ks_kernel_key_find(ks_kernel_key *key, ks_cache cache, const ks_key_name *name, size_t uses);

/* Takes over a table that has been built, and lets the cache have it too. */
void ks_kernel_key_keep(ks_kernel_key *key, ks_table *table);

void ks_kernel_key_close(ks_kernel_key *key);

#endif
