#include "kernel_cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* A cache line's: an entry that spans two lines should not span three. */
#define POINTS_ALIGNMENT 64u

/* A set is what a key's hash chooses; its slots are searched one by one. */
typedef struct slot {
    ks_table *table;
    uint64_t used_at;
} slot;

#define WIDE_SETS 1u
#define WIDE_SLOTS KS_MOST_WIDE
#define COMB_SLOTS 4u
#define COMB_SETS (KS_MOST_COMBS / COMB_SLOTS)

/*
 * How often a key was used. Keys of one hash take the counter from each other, and keys of one set the one
 * that was not used for longest, which costs them a table and nothing else; so nobody gains by making
 * hashes meet.
 */
typedef struct counter {
    uint64_t hash;
    uint64_t epoch; /* in which the uses are counted */
    uint64_t uses;
    uint64_t used_at;
} counter;
/* With one to a set, two of 512 keys that come in turns would forget each other, and neither have a comb. */
#define COUNTER_SLOTS 4u
#define COUNTER_SETS 2048u

typedef struct cache {
    uint64_t clock; /* of looks */
    uint64_t epoch;
    uint64_t epoch_uses; /* of all keys */
    slot wide[WIDE_SETS * WIDE_SLOTS];
    slot combs[COMB_SETS * COMB_SLOTS];
    counter counters[COUNTER_SETS * COUNTER_SLOTS];
} cache;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all caches */
static cache caches[KS_CACHES];

/* A fork while another thread looks must not leave the child a lock that nobody opens. */
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

/* --- tables ------------------------------------------------------------------------------------- */

ks_table *ks_table_new(ks_cache of, ks_table_kind kind, const ks_key_name *name, size_t size) {
    ks_table *table = calloc(1, sizeof *table);
    if (table == NULL) {
        return NULL;
    }
    table->cache = of;
    table->kind = kind;
    atomic_init(&table->references, 1);
    table->name = *name;
    table->points = aligned_alloc(POINTS_ALIGNMENT, (size + POINTS_ALIGNMENT - 1) / POINTS_ALIGNMENT *
                                                     POINTS_ALIGNMENT);
    if (table->points == NULL) {
        free(table);
        return NULL;
    }
    return table;
}

static ks_table *table_share(ks_table *table) {
    atomic_fetch_add_explicit(&table->references, 1, memory_order_relaxed);
    return table;
}

void ks_table_release(ks_table *table) {
    if (table != NULL &&
        atomic_fetch_sub_explicit(&table->references, 1, memory_order_acq_rel) == 1) {
        free(table->points);
        free(table);
    }
}

/* --- the cache ---------------------------------------------------------------------------------- */

static uint64_t hash_of(const ks_key_name *name) {
    uint64_t low, high;
    memcpy(&low, name->octets, sizeof low);
    memcpy(&high, name->octets + sizeof name->octets - sizeof high, sizeof high);
    uint64_t mixed = (low ^ (high << 1)) * UINT64_C(0x9e3779b97f4a7c15); /* 2^64 by the golden ratio */
    return mixed ^ mixed >> 29;
}

/* The slots that may hold a key's table of one kind. */
static slot *set_of(cache *self, ks_table_kind kind, uint64_t hash, size_t *slots) {
    if (kind == KS_WIDE_TABLE) {
        *slots = WIDE_SLOTS;
        return self->wide;
    }
    *slots = COMB_SLOTS;
    return &self->combs[hash % COMB_SETS * COMB_SLOTS];
}

static slot *slot_find(cache *self, ks_table_kind kind, uint64_t hash, const ks_key_name *name) {
    size_t slots;
    slot *set = set_of(self, kind, hash, &slots);
    for (size_t i = 0; i < slots; i++) {
        if (set[i].table != NULL && memcmp(&set[i].table->name, name, sizeof *name) == 0) {
            return &set[i];
        }
    }
    return NULL;
}

static slot *slot_oldest(cache *self, ks_table_kind kind, uint64_t hash) {
    size_t slots;
    slot *set = set_of(self, kind, hash, &slots), *oldest = set;
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

/* The key's counter, or the one that it takes from another key. */
static counter *counter_of(cache *self, uint64_t hash) {
    counter *set = &self->counters[hash % COUNTER_SETS * COUNTER_SLOTS], *oldest = set;
    for (size_t i = 0; i < COUNTER_SLOTS; i++) {
        if (set[i].hash == hash) {
            return &set[i];
        }
        if (set[i].used_at < oldest->used_at) {
            oldest = &set[i];
        }
    }
    return oldest;
}

static history uses_add(cache *self, uint64_t hash, size_t uses) {
    counter *mine = counter_of(self, hash);
    history out = {.seen = mine->hash == hash};
    if (self->epoch_uses >= KS_EPOCH_USES) {
        self->epoch++;
        self->epoch_uses = 0;
    }
    if (!out.seen || mine->epoch != self->epoch) {
        *mine = (counter){.hash = hash, .epoch = self->epoch};
    }
    mine->used_at = ++self->clock;
    mine->uses += uses;
    self->epoch_uses += uses;
    out.uses = mine->uses;
    return out;
}

static ks_found look(cache *self, uint64_t hash, const ks_key_name *name, size_t uses) {
    ks_found found = {.table = NULL};
    history of = uses_add(self, hash, uses);
    slot *at = slot_find(self, KS_WIDE_TABLE, hash, name);
    if (at == NULL) {
        found.wants_wide =
            of.uses >= KS_WIDE_USES && of.uses * KS_MOST_WIDE >= self->epoch_uses;
        at = slot_find(self, KS_COMB_TABLE, hash, name);
        found.wants_comb = at == NULL && (of.seen || uses >= KS_COMB_USES);
    }
    if (at != NULL) {
        at->used_at = ++self->clock;
        found.table = table_share(at->table);
    }
    return found;
}

ks_found ks_cache_look(ks_cache in, const ks_key_name *name, size_t uses) {
    (void)pthread_once(&fork_once, fork_prepare);
    uint64_t hash = hash_of(name);
    lock_take();
    ks_found found = look(&caches[in], hash, name, uses);
    lock_give();
    return found;
}

void ks_cache_add(ks_table *table) {
    (void)pthread_once(&fork_once, fork_prepare);
    cache *self = &caches[table->cache];
    uint64_t hash = hash_of(&table->name);
    ks_table *dropped = NULL;
    lock_take();
    if (slot_find(self, table->kind, hash, &table->name) == NULL) {
        slot *at = slot_oldest(self, table->kind, hash);
        dropped = at->table;
        *at = (slot){table_share(table), ++self->clock};
        /* The next table of this key is earned again, so that tables cannot be built in circles. */
        counter *mine = counter_of(self, hash);
        *mine = (counter){.hash = hash, .epoch = self->epoch, .used_at = self->clock};
    }
    lock_give();
    ks_table_release(dropped);
}
