/*
 * Which proofs were seen (RFC 9449 §11.1): a bounded table that remembers each one through the last
 * second in which it could be accepted, and says so when it has no room.
 *
 * Any number of threads may use one table. Only public data passes here. All times are Unix seconds,
 * and any 64-bit number is one: they are compared, never added.
 */
#ifndef KS_REPLAY_H
#define KS_REPLAY_H

#include <stdint.h>

#include "ks_status.h"

/* Proofs of one table: above it, memory of one process is the wrong tool. */
#define KS_MAX_REPLAY 10000000u

/* The numbers are part of the contract. None is 0, so that memory without a verdict accepts nothing. */
typedef enum ks_replay_verdict {
    KS_REPLAY_NEW = 1,     /* remembered now: the only answer that accepts a proof */
    KS_REPLAY_SEEN = 2,    /* it is remembered already */
    KS_REPLAY_TOO_OLD = 3, /* it could have been used before the table started, or be forgotten */
    KS_REPLAY_FULL = 4,    /* as many as the capacity are inside their windows, or there is no memory */
} ks_replay_verdict;

typedef struct ks_replay ks_replay;

/*
 * An empty table for up to `capacity` proofs, 1 to KS_MAX_REPLAY, which refuses proofs that could
 * have been accepted before `not_before`. It takes about 53 bytes a proof, in steps as it fills, and
 * keeps what it took; empty it takes less than 100 KB. NULL if the capacity is another one, or where
 * there is no memory or OpenSSL has no random numbers. Those choose in which bucket a proof is looked
 * for, so that nobody can aim at one; no verdict depends on them.
 */
ks_replay *ks_replay_open(size_t capacity, int64_t not_before);
void ks_replay_close(ks_replay *self); /* accepts NULL */

/*
 * Accepts a proof now and never again. `jkt` and `jti` are its key's thumbprint and its identifier,
 * together at most what OpenSSL hashes; `first` and `last` are the earliest and the latest second in
 * which it can be accepted by its time. The checks, in this order:
 *   1. `now` moves the horizon on; it never moves back. What ended before it is forgotten.
 *   2. `first` before the start: KS_REPLAY_TOO_OLD
 *   3. `last` before the horizon, which a clock that went ahead may have moved: KS_REPLAY_TOO_OLD
 *   4. known: KS_REPLAY_SEEN
 *   5. no room: KS_REPLAY_FULL
 *   6. KS_REPLAY_NEW
 */
KS_MUST_CHECK ks_replay_verdict ks_replay_remember(ks_replay *self, ks_view jkt, ks_view jti,
                                                   int64_t first, int64_t last, int64_t now);

typedef struct ks_replay_use {
    ks_view jkt;
    ks_view jti;
    int64_t first;
    int64_t last;
    ks_replay_verdict verdict; /* written */
} ks_replay_use;

/*
 * The verdicts of many, as ks_replay_remember would give them one after the other: of two equal ones
 * the first is new. Other threads get their turn in between.
 */
void ks_replay_remember_all(ks_replay *self, ks_replay_use *uses, size_t count, int64_t now);

/* How many proofs it remembers; those that ended before the horizon are none. */
size_t ks_replay_count(ks_replay *self);

/* Moves the start forward to `time`; it never moves back. */
void ks_replay_refuse_before(ks_replay *self, int64_t time);

#endif
