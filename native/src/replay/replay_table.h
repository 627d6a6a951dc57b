/*
 * Proofs lie in places, numbered in the order in which they were first taken, in segments that are
 * allocated as they are needed and never move: no place is copied, and nothing pauses, when the table
 * grows. A place is in two lists.
 *
 * Its bucket. There are as many buckets as places: with each new place one bucket is split in two,
 * which is linear hashing (Litwin 1980, Larson 1988). Bucket b, when it is made, gets its share of the
 * bucket whose number is b without its highest bit.
 *
 * Its second. All proofs of one `last` are a list, and the seconds are a heap with the soonest on top.
 * Below the horizon a second is dead, and with it every proof in it; the horizon never moves back. A
 * search passes the dead by. Their places are the first that new proofs get: a second is taken off
 * the heap and its list joined to that of the dead, and each new proof takes one dead place. So
 * moving the horizon costs nothing, however far it moves, and no place is unused while the table is
 * full.
 */
#ifndef REPLAY_TABLE_H
#define REPLAY_TABLE_H

#include <openssl/evp.h>

#include "ks_replay.h"
#include "replay_siphash.h"

#define REPLAY_NONE UINT32_MAX
#define PLACES_PER_SEGMENT 1024u
/* Seconds that are found without a search: more than there are in the windows of proofs. */
#define RECENT_SECONDS 256u

_Static_assert(KS_MAX_REPLAY < REPLAY_NONE, "a number of 32 bits is a place");

typedef struct replay_proof {
    uint8_t key[REPLAY_KEY_BYTES];
    int64_t last;
    uint32_t next;    /* in its bucket */
    uint32_t sibling; /* in its second, or among the dead */
} replay_proof;

/* Proofs with one last second. There may be two of one second: it costs a place in the heap. */
typedef struct replay_second {
    int64_t last;
    uint32_t head, tail; /* proofs */
    uint32_t count;      /* of them; 0 where this is not in the heap */
    uint32_t rank;       /* of the heap below, see seconds_merge */
    uint32_t left, right;
} replay_second;

/* As many of each as there are places. Seconds are seldom more than a few hundred. */
typedef struct replay_segment {
    replay_second *seconds; /* NULL until the first is needed */
    uint32_t buckets[PLACES_PER_SEGMENT];
    replay_proof proofs[PLACES_PER_SEGMENT];
} replay_segment;

struct ks_replay {
    EVP_MD *sha256;
    replay_secret secret;
    uint32_t capacity;

    /* What follows belongs to the lock. */
    int64_t not_before;
    int64_t horizon; /* the latest second seen */
    uint32_t used;   /* places, and buckets */
    uint32_t dead;   /* the list of places that may be taken again */
    uint32_t dead_count;
    uint32_t soonest; /* the top of the heap of seconds */
    uint32_t seconds_used;
    uint32_t seconds_free; /* a list by `left` */
    uint32_t recent[RECENT_SECONDS];
    replay_segment *segments[];
};

static inline replay_segment **replay_segment_of(ks_replay *self, uint32_t number) {
    return &self->segments[number / PLACES_PER_SEGMENT];
}

static inline replay_proof *replay_proof_at(ks_replay *self, uint32_t place) {
    return &(*replay_segment_of(self, place))->proofs[place % PLACES_PER_SEGMENT];
}

static inline uint32_t *replay_bucket_at(ks_replay *self, uint32_t number) {
    return &(*replay_segment_of(self, number))->buckets[number % PLACES_PER_SEGMENT];
}

static inline replay_second *replay_second_at(ks_replay *self, uint32_t number) {
    return &(*replay_segment_of(self, number))->seconds[number % PLACES_PER_SEGMENT];
}

/* --- replay_buckets.c: what is in which bucket --------------------------------------------------- */

/* A proof as it is looked for; made without the lock. */
typedef struct replay_sought {
    uint8_t key[REPLAY_KEY_BYTES];
    uint64_t hash;
} replay_sought;

/* The bucket of a hash. There must be a place, and so a bucket. */
uint32_t *ks_replay_bucket_of(ks_replay *self, uint64_t hash);
void ks_replay_bucket_push(ks_replay *self, uint32_t *bucket, uint32_t place);
void ks_replay_bucket_remove(ks_replay *self, uint32_t place);
/* Gives the newest bucket its share; `used` counts it already. */
void ks_replay_bucket_split(ks_replay *self);
/* Whether a proof is remembered, the dead apart. */
int ks_replay_is_known(ks_replay *self, const replay_sought *wanted);

/* --- replay_seconds.c: what ends when ------------------------------------------------------------ */

int ks_replay_is_a_second_dead(ks_replay *self);
/* Takes the soonest second, which must be there, off the heap, and lays its proofs to the dead. */
void ks_replay_second_bury(ks_replay *self);
/* Puts a proof into its second. Returns 0, and does nothing, without memory. */
KS_MUST_CHECK int ks_replay_second_join(ks_replay *self, uint32_t place);

#endif
