/*
 * Tables of keys that come again: a cache for each form of table, one of each a process, bounded, guarded
 * by a lock that is held for a look and never while anything is computed.
 *
 * A table is immutable from the moment it is added, and counted: what the cache drops lives on with
 * whoever still uses it.
 */
#ifndef KERNEL_CACHE_H
#define KERNEL_CACHE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "ks_status.h"

/* Whose tables, in whose form: those of one cache never meet those of another. */
typedef enum ks_cache {
    KS_CACHE_P256_LIMBS, /* for lanes */
    KS_CACHE_P256_WORDS, /* for CPUs without */
    KS_CACHE_P384,
    KS_CACHE_ED25519,
    KS_CACHES,
} ks_cache;

/* Issuers that are busy at once; a table of each is 1.06 MB for P-256 (270 KB without lanes) and 688 KB for
 * P-384. */
#define KS_MOST_WIDE 8u
/* Holders of DPoP keys that come again, at 5 KB each for P-256 (5.6 KB without lanes) and 7 KB for P-384:
 * 21 (23) and 29 MB where all places are taken. */
#define KS_MOST_COMBS 4096u

/*
 * A wide table is built for a key that was used this often in an epoch, and in an eighth of all uses:
 * no more keys than there are places can be so, and a crowd of keys that each come often does not push
 * each other's tables out. Building one takes as long as eleven of OpenSSL's verifications of ES256 (15
 * without IFMA), or five of ES384, and however uses are arranged, an epoch sees few more than eight built.
 */
#define KS_WIDE_USES 256u
#define KS_EPOCH_USES 16384u
/* Uses in one batch that pay for a comb at once; a key that was seen in another batch has one too. */
#define KS_COMB_USES 4u

typedef enum ks_table_kind { KS_WIDE_TABLE, KS_COMB_TABLE } ks_table_kind;

/* A key's octets, with zeros behind those that are shorter. */
typedef struct ks_key_name {
    uint8_t octets[64];
} ks_key_name;

typedef struct ks_table {
    ks_cache cache;
    ks_table_kind kind;
    atomic_uint references;
    ks_key_name name; /* whose it is */
    void *points;     /* what the kernel makes of it */
} ks_table;

/* A table with one reference and room for `size` octets of points, aligned to 64; NULL without memory. */
KS_MUST_CHECK ks_table *ks_table_new(ks_cache cache, ks_table_kind kind, const ks_key_name *name,
                                     size_t size);
void ks_table_release(ks_table *table); /* accepts NULL */

/* What the cache has for a key, and what it would like to have. */
typedef struct ks_found {
    ks_table *table; /* the caller's reference, or NULL */
    int wants_wide;
    int wants_comb;
} ks_found;

/* Looks a key up that is about to be used `uses` times. */
ks_found ks_cache_look(ks_cache cache, const ks_key_name *name, size_t uses);

/* Adds a table to its cache, for others to find; the oldest one there makes room. */
void ks_cache_add(ks_table *table);

#endif
