/*
 * Tables of keys that come again: one cache a process, bounded, guarded by a lock that is held for a
 * look and never while anything is computed.
 *
 * A table is immutable from the moment it is added, and counted: what the cache drops lives on with
 * whoever still uses it.
 */
#ifndef P256_CACHE_H
#define P256_CACHE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "p256_kernel.h"

/* Issuers that are busy at once; a table of each is 1.04 MB. */
#define P256_MOST_WIDE 8u
/* Holders of DPoP keys that come again, at 5 KB each: 21 MB where all of them are taken. */
#define P256_MOST_COMBS 4096u

/*
 * A wide table is built for a key that was used this often in an epoch, and in an eighth of all uses:
 * no more keys than there are places can be so, and a crowd of keys that each come often does not push
 * each other's tables out. Building one takes as long as eleven of OpenSSL's verifications (48 without
 * IFMA), and however uses are arranged, an epoch sees few more than eight built.
 */
#define P256_WIDE_USES 256u
#define P256_EPOCH_USES 16384u
/* Uses in one batch that pay for a comb at once; a key that was seen in another batch has one too. */
#define P256_COMB_USES 4u

typedef enum p256_table_kind { P256_WIDE_TABLE, P256_COMB_TABLE } p256_table_kind;

typedef struct p256_table {
    p256_table_kind kind;
    atomic_uint references;
    uint8_t xy[2 * P256_OCTETS]; /* whose it is */
    union {
        p256_wide *wide;
        p256_comb *comb;
    } as;
} p256_table;

/* A table with one reference and nothing in it yet; NULL without memory. */
p256_table *ks_p256_table_new(p256_table_kind kind, const uint8_t xy[2 * P256_OCTETS]);
void ks_p256_table_release(p256_table *table); /* accepts NULL */

/* What the cache has for a key, and what it would like to have. */
typedef struct p256_found {
    p256_table *table; /* the caller's reference, or NULL */
    int wants_wide;
    int wants_comb;
} p256_found;

/* Looks a key up that is about to be used `uses` times. */
p256_found ks_p256_cache_look(const uint8_t xy[2 * P256_OCTETS], size_t uses);

/* Adds a table for others to find; the oldest one makes room. */
void ks_p256_cache_add(p256_table *table);

#endif
