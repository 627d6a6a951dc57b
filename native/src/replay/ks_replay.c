/* The entries of ks_replay.h, and the lock. How the table is built is at the top of replay_table.h. */
#include "ks_replay.h"

#include <openssl/err.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "replay_table.h"

/* Proofs for which the lock is held at a time: some microseconds. */
#define PROOFS_PER_TURN 16u
#define SECONDS_PER_TURN 64u

/*
 * One lock for all tables: a process has one table as a rule, and a fork can take one lock, so that a
 * thread that is in here meanwhile leaves the child none that nobody opens.
 */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static void lock_take(void) {
    (void)pthread_mutex_lock(&lock);
}
static void lock_give(void) {
    (void)pthread_mutex_unlock(&lock);
}
static void fork_prepare(void) {
    (void)pthread_atfork(lock_take, lock_give, lock_give);
}

/* --- remembering -------------------------------------------------------------------------------- */

/* SHA-256 of the thumbprint, a zero byte and the identifier. */
static int sought_make(const ks_replay *self, EVP_MD_CTX *state, ks_view jkt, ks_view jti,
                       replay_sought *out) {
    static const uint8_t zero = 0;
    int made = state != NULL && EVP_DigestInit_ex(state, self->sha256, NULL) == 1 &&
               EVP_DigestUpdate(state, jkt.data, jkt.size) == 1 &&
               EVP_DigestUpdate(state, &zero, 1) == 1 &&
               EVP_DigestUpdate(state, jti.data, jti.size) == 1 &&
               EVP_DigestFinal_ex(state, out->key, NULL) == 1;
    if (!made) {
        ERR_clear_error();
        return 0;
    }
    out->hash = replay_siphash(self->secret, out->key);
    return 1;
}

/* A place that was never used, and the bucket that comes with it; REPLAY_NONE where there is none. */
static uint32_t place_new(ks_replay *self) {
    if (self->used == self->capacity) {
        return REPLAY_NONE;
    }
    replay_segment **in = replay_segment_of(self, self->used);
    if (*in == NULL) {
        *in = malloc(sizeof **in);
        if (*in == NULL) {
            return REPLAY_NONE;
        }
        (*in)->seconds = NULL;
    }
    self->used++;
    ks_replay_bucket_split(self);
    return self->used - 1;
}

/* A place for a proof, in no list; REPLAY_NONE where there is none. */
static uint32_t place_take(ks_replay *self) {
    if (self->dead == REPLAY_NONE && ks_replay_is_a_second_dead(self)) {
        ks_replay_second_bury(self);
    }
    uint32_t place = self->dead;
    if (place == REPLAY_NONE) {
        return place_new(self);
    }
    self->dead = replay_proof_at(self, place)->sibling;
    self->dead_count--;
    ks_replay_bucket_remove(self, place);
    return place;
}

static int proof_add(ks_replay *self, const replay_sought *wanted, int64_t last) {
    uint32_t place = place_take(self);
    if (place == REPLAY_NONE) {
        return 0;
    }
    replay_proof *at = replay_proof_at(self, place);
    memcpy(at->key, wanted->key, REPLAY_KEY_BYTES);
    at->last = last;
    ks_replay_bucket_push(self, ks_replay_bucket_of(self, wanted->hash), place);
    if (ks_replay_second_join(self, place)) {
        return 1;
    }
    /* Without memory it dies at once, before every horizon. */
    at->last = INT64_MIN;
    at->sibling = self->dead;
    self->dead = place;
    self->dead_count++;
    return 0;
}

static ks_replay_verdict remember(ks_replay *self, const replay_sought *wanted, int64_t first,
                                  int64_t last, int64_t now) {
    if (now > self->horizon) {
        self->horizon = now;
    }
    if (first < self->not_before || last < self->horizon) {
        return KS_REPLAY_TOO_OLD;
    }
    if (ks_replay_is_known(self, wanted)) {
        return KS_REPLAY_SEEN;
    }
    return proof_add(self, wanted, last) ? KS_REPLAY_NEW : KS_REPLAY_FULL;
}

/* Asks for what the proofs of one turn will read, so that they wait for memory together. */
static void prefetch(ks_replay *self, const replay_sought *wanted, size_t count) {
    if (self->used == 0) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        __builtin_prefetch(ks_replay_bucket_of(self, wanted[i].hash));
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t place = *ks_replay_bucket_of(self, wanted[i].hash);
        if (place != REPLAY_NONE) {
            __builtin_prefetch(replay_proof_at(self, place));
        }
    }
}

/* At most PROOFS_PER_TURN of them. */
static void remember_turn(ks_replay *self, EVP_MD_CTX *state, ks_replay_use *uses, size_t count,
                          int64_t now) {
    replay_sought wanted[PROOFS_PER_TURN];
    size_t made = 0;
    while (made < count &&
           sought_make(self, state, uses[made].jkt, uses[made].jti, &wanted[made])) {
        made++;
    }
    lock_take();
    prefetch(self, wanted, made);
    for (size_t i = 0; i < made; i++) {
        uses[i].verdict = remember(self, &wanted[i], uses[i].first, uses[i].last, now);
    }
    lock_give();
    for (size_t i = made; i < count; i++) {
        uses[i].verdict = KS_REPLAY_FULL;
    }
}

void ks_replay_remember_all(ks_replay *self, ks_replay_use *uses, size_t count, int64_t now) {
    EVP_MD_CTX *state = EVP_MD_CTX_new();
    for (size_t from = 0; from < count; from += PROOFS_PER_TURN) {
        size_t turn = count - from < PROOFS_PER_TURN ? count - from : PROOFS_PER_TURN;
        remember_turn(self, state, uses + from, turn, now);
    }
    EVP_MD_CTX_free(state);
}

ks_replay_verdict ks_replay_remember(ks_replay *self, ks_view jkt, ks_view jti, int64_t first,
                                     int64_t last, int64_t now) {
    ks_replay_use use = {.jkt = jkt, .jti = jti, .first = first, .last = last};
    ks_replay_remember_all(self, &use, 1, now);
    return use.verdict;
}

/* --- the table ---------------------------------------------------------------------------------- */

size_t ks_replay_count(ks_replay *self) {
    size_t count;
    int more;
    do {
        lock_take();
        for (unsigned i = 0; i < SECONDS_PER_TURN && ks_replay_is_a_second_dead(self); i++) {
            ks_replay_second_bury(self);
        }
        more = ks_replay_is_a_second_dead(self);
        count = self->used - self->dead_count;
        lock_give();
    } while (more);
    return count;
}

void ks_replay_refuse_before(ks_replay *self, int64_t time) {
    lock_take();
    if (time > self->not_before) {
        self->not_before = time;
    }
    lock_give();
}

static size_t segments_for(size_t capacity) {
    return (capacity + PLACES_PER_SEGMENT - 1) / PLACES_PER_SEGMENT;
}

ks_replay *ks_replay_open(size_t capacity, int64_t not_before) {
    if (capacity == 0 || capacity > KS_MAX_REPLAY ||
        pthread_once(&fork_once, fork_prepare) != 0) {
        return NULL;
    }
    ks_replay *self = calloc(1, sizeof *self + segments_for(capacity) * sizeof(replay_segment *));
    if (self == NULL) {
        return NULL;
    }
    self->capacity = (uint32_t)capacity;
    self->not_before = not_before;
    self->dead = self->soonest = self->seconds_free = REPLAY_NONE;
    memset(self->recent, 0xff, sizeof self->recent); /* REPLAY_NONE */
    self->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (self->sha256 == NULL ||
        RAND_bytes((unsigned char *)&self->secret, sizeof self->secret) != 1) {
        ERR_clear_error();
        ks_replay_close(self);
        return NULL;
    }
    return self;
}

void ks_replay_close(ks_replay *self) {
    if (self == NULL) {
        return;
    }
    size_t segments = segments_for(self->capacity);
    for (size_t i = 0; i < segments && self->segments[i] != NULL; i++) {
        free(self->segments[i]->seconds);
        free(self->segments[i]);
    }
    EVP_MD_free(self->sha256);
    free(self);
}
