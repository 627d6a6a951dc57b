#include "p256_cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define XY_BYTES (2 * P256_OCTETS)

/* A set is what a key's hash chooses; its slots are searched one by one. */
typedef struct slot {
    p256_table *table;
    uint64_t used_at;
} slot;

#define WIDE_SETS 1u
#define WIDE_SLOTS P256_MOST_WIDE
#define COMB_SLOTS 4u
#define COMB_SETS (P256_MOST_COMBS / COMB_SLOTS)

/*
 * How often a key was used. Keys of one hash take the counter from each other, which costs them a
 * table and nothing else; so nobody gains by making hashes meet.
 */
typedef struct counter {
    uint64_t hash;
    uint64_t epoch; /* in which the uses are counted */
    uint64_t uses;
} counter;
#define COUNTERS 8192u

static struct {
    pthread_mutex_t lock;
    uint64_t clock; /* of looks */
    uint64_t epoch;
    uint64_t epoch_uses; /* of all keys */
    slot wide[WIDE_SETS * WIDE_SLOTS];
    slot combs[COMB_SETS * COMB_SLOTS];
    counter counters[COUNTERS];
} cache = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* A fork while another thread looks must not leave the child a lock that nobody opens. */
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static void lock_take(void) {
    (void)pthread_mutex_lock(&cache.lock);
}
static void lock_give(void) {
    (void)pthread_mutex_unlock(&cache.lock);
}
static void fork_prepare(void) {
    (void)pthread_atfork(lock_take, lock_give, lock_give);
}

/* --- tables ------------------------------------------------------------------------------------- */

p256_table *ks_p256_table_new(p256_table_kind kind, const uint8_t xy[XY_BYTES]) {
    p256_table *table = calloc(1, sizeof *table);
    if (table == NULL) {
        return NULL;
    }
    table->kind = kind;
    atomic_init(&table->references, 1);
    memcpy(table->xy, xy, XY_BYTES);
    if (kind == P256_WIDE_TABLE) {
        table->as.wide = malloc(sizeof *table->as.wide);
    } else {
        table->as.comb = malloc(sizeof *table->as.comb);
    }
    if (table->as.wide == NULL) {
        free(table);
        return NULL;
    }
    return table;
}

static p256_table *table_share(p256_table *table) {
    atomic_fetch_add_explicit(&table->references, 1, memory_order_relaxed);
    return table;
}

void ks_p256_table_release(p256_table *table) {
    if (table != NULL &&
        atomic_fetch_sub_explicit(&table->references, 1, memory_order_acq_rel) == 1) {
        if (table->kind == P256_WIDE_TABLE) {
            free(table->as.wide);
        } else {
            free(table->as.comb);
        }
        free(table);
    }
}

/* --- the cache ---------------------------------------------------------------------------------- */

static uint64_t hash_of(const uint8_t xy[XY_BYTES]) {
    uint64_t low, high;
    memcpy(&low, xy, sizeof low);
    memcpy(&high, xy + XY_BYTES - sizeof high, sizeof high);
    uint64_t mixed = (low ^ (high << 1)) * UINT64_C(0x9e3779b97f4a7c15); /* 2^64 by the golden ratio */
    return mixed ^ mixed >> 29;
}

/* The slots that may hold a key's table of one kind. */
static slot *set_of(p256_table_kind kind, uint64_t hash, size_t *slots) {
    if (kind == P256_WIDE_TABLE) {
        *slots = WIDE_SLOTS;
        return cache.wide;
    }
    *slots = COMB_SLOTS;
    return &cache.combs[hash % COMB_SETS * COMB_SLOTS];
}

static slot *slot_find(p256_table_kind kind, uint64_t hash, const uint8_t xy[XY_BYTES]) {
    size_t slots;
    slot *set = set_of(kind, hash, &slots);
    for (size_t i = 0; i < slots; i++) {
        if (set[i].table != NULL && memcmp(set[i].table->xy, xy, XY_BYTES) == 0) {
            return &set[i];
        }
    }
    return NULL;
}

static slot *slot_oldest(p256_table_kind kind, uint64_t hash) {
    size_t slots;
    slot *set = set_of(kind, hash, &slots), *oldest = set;
    for (size_t i = 1; i < slots; i++) {
        if (set[i].used_at < oldest->used_at) {
            oldest = &set[i];
        }
    }
    return oldest;
}

/* What the counters know of a key, the uses that are about to come included. */
typedef struct history {
    int seen; /* before */
    uint64_t uses; /* in this epoch */
} history;

static history uses_add(uint64_t hash, size_t uses) {
    counter *mine = &cache.counters[hash % COUNTERS];
    history out = {.seen = mine->hash == hash};
    if (cache.epoch_uses >= P256_EPOCH_USES) {
        cache.epoch++;
        cache.epoch_uses = 0;
    }
    if (!out.seen || mine->epoch != cache.epoch) {
        *mine = (counter){.hash = hash, .epoch = cache.epoch};
    }
    mine->uses += uses;
    cache.epoch_uses += uses;
    out.uses = mine->uses;
    return out;
}

static p256_found look(uint64_t hash, const uint8_t xy[XY_BYTES], size_t uses) {
    p256_found found = {.table = NULL};
    history of = uses_add(hash, uses);
    slot *at = slot_find(P256_WIDE_TABLE, hash, xy);
    if (at == NULL) {
        found.wants_wide =
            of.uses >= P256_WIDE_USES && of.uses * P256_MOST_WIDE >= cache.epoch_uses;
        at = slot_find(P256_COMB_TABLE, hash, xy);
        found.wants_comb = at == NULL && (of.seen || uses >= P256_COMB_USES);
    }
    if (at != NULL) {
        at->used_at = ++cache.clock;
        found.table = table_share(at->table);
    }
    return found;
}

p256_found ks_p256_cache_look(const uint8_t xy[XY_BYTES], size_t uses) {
    (void)pthread_once(&fork_once, fork_prepare);
    uint64_t hash = hash_of(xy);
    lock_take();
    p256_found found = look(hash, xy, uses);
    lock_give();
    return found;
}

void ks_p256_cache_add(p256_table *table) {
    (void)pthread_once(&fork_once, fork_prepare);
    uint64_t hash = hash_of(table->xy);
    p256_table *dropped = NULL;
    lock_take();
    if (slot_find(table->kind, hash, table->xy) == NULL) {
        slot *at = slot_oldest(table->kind, hash);
        dropped = at->table;
        *at = (slot){table_share(table), ++cache.clock};
        /* The next table of this key is earned again, so that tables cannot be built in circles. */
        cache.counters[hash % COUNTERS] = (counter){.hash = hash, .epoch = cache.epoch};
    }
    lock_give();
    ks_p256_table_release(dropped);
}
