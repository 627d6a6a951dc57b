/* The batch: checks the bounds, builds every key once, and lets an engine verify runs of items. */
#include "ks_verify.h"

#include <openssl/err.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "ks_engine.h"
#include "ks_fan_out.h"

/* Keys a thread takes at a time: at most 15 us each, and a kernel builds tables of eight at once. */
#define KEYS_PER_RUN 64u

/*
 * Items a thread takes at a time: below 10 ms where all of them go to OpenSSL, whose time for one is
 * beside them (3.0.19 on a Xeon, 2 GHz). Between two runs a batch can stop; and a kernel wants its
 * lanes filled, eight at a time.
 */
static size_t items_per_run(ks_algorithm algorithm) {
    switch (algorithm) {
    case KS_ES256:
        return 64; /* 98 us */
    case KS_ES384:
        return 8; /* 975 us */
    case KS_ES512:
        return 8; /* 990 us */
    case KS_ED25519:
        return 32; /* 172 us */
    case KS_RS256:
    case KS_PS256:
        return 32; /* 23 us, and 300 us with 8192 bits */
    }
    return 8;
}

typedef enum stage { OPENING_KEYS, VERIFYING, DONE } stage;

struct ks_batch {
    const ks_engine *engine;
    ks_algorithm algorithm;
    const ks_public_key *parameters;
    size_t key_count;
    const ks_verify_item *items;
    size_t count;
    unsigned threads;
    uint8_t *verdicts;

    uint32_t *uses; /* of each key, by the items of this batch */
    void **keys;
    stage stage;
    ks_fan fan;
    atomic_int out_of_memory;
};

const char *ks_verify_path(ks_algorithm algorithm) {
    ks_choice choice = ks_engine_choose(algorithm);
    return choice.engine == NULL ? NULL : choice.engine->path;
}

const char *ks_verify_path_reason(ks_algorithm algorithm) {
    return ks_engine_choose(algorithm).reason;
}

ks_forced ks_verify_path_forced(ks_algorithm algorithm) {
    return ks_engine_choose(algorithm).forced;
}

const char ks_key_no_memory = 0;

static void build_keys(void *context, ks_runs *runs) {
    ks_batch *self = context;
    size_t from, to;
    while (ks_runs_take(runs, &from, &to)) {
        for (size_t i = from; i < to; i++) {
            void *key = self->engine->key_open(self->algorithm, &self->parameters[i], self->uses[i]);
            if (key == KS_KEY_NO_MEMORY) {
                atomic_store(&self->out_of_memory, 1);
                key = NULL;
            }
            self->keys[i] = key;
        }
        if (self->engine->keys_ready != NULL) {
            self->engine->keys_ready(self->keys + from, to - from);
        }
    }
    /* OpenSSL's queue belongs to the thread: whoever uses it next must not find our failures. */
    ERR_clear_error();
}

static void verify_items(void *context, ks_runs *runs) {
    ks_batch *self = context;
    void *worker = self->engine->worker_open(self->algorithm);
    if (worker == NULL) {
        atomic_store(&self->out_of_memory, 1);
        return;
    }
    size_t from, to;
    while (ks_runs_take(runs, &from, &to)) {
        if (self->engine->verify(worker, self->keys, self->items + from, to - from,
                                 self->verdicts + from) != KS_OK) {
            atomic_store(&self->out_of_memory, 1);
        }
    }
    self->engine->worker_close(worker);
    ERR_clear_error();
}

static ks_status check_arguments(ks_algorithm algorithm, size_t key_count,
                                 const ks_verify_item *items, size_t count, unsigned threads) {
    if (count > KS_MAX_BATCH || key_count > KS_MAX_BATCH || threads > KS_MAX_THREADS) {
        return KS_E_TOO_LARGE;
    }
    if (ks_engine_choose(algorithm).engine == NULL || threads == 0) {
        return KS_E_ARGUMENT;
    }
    for (size_t i = 0; i < count; i++) {
        if (items[i].key >= key_count) {
            return KS_E_ARGUMENT;
        }
    }
    return KS_OK;
}

/* Sets up what the keys need and begins to open them. Returns 0 without memory. */
static int begin(ks_batch *self) {
    atomic_init(&self->out_of_memory, 0);
    if (self->count == 0) {
        self->stage = DONE; /* and a fan that never starts */
        return 1;
    }
    self->keys = calloc(self->key_count, sizeof *self->keys);
    self->uses = calloc(self->key_count, sizeof *self->uses);
    if (self->keys == NULL || self->uses == NULL) {
        free(self->uses);
        free(self->keys);
        return 0;
    }
    for (size_t i = 0; i < self->count; i++) {
        self->uses[self->items[i].key]++;
    }
    self->stage = OPENING_KEYS;
    ks_fan_start(&self->fan, self->threads, self->key_count, KEYS_PER_RUN, build_keys, self);
    return 1;
}

ks_status ks_batch_open(ks_algorithm algorithm, const ks_public_key *keys, size_t key_count,
                        const ks_verify_item *items, size_t count, unsigned threads,
                        uint8_t *verdicts, ks_batch **batch) {
    *batch = NULL;
    if (count > 0 && count <= KS_MAX_BATCH) {
        memset(verdicts, 0, count);
    }
    ks_status status = check_arguments(algorithm, key_count, items, count, threads);
    if (status != KS_OK) {
        return status;
    }
    ks_batch *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return KS_E_MEMORY;
    }
    self->engine = ks_engine_choose(algorithm).engine;
    self->algorithm = algorithm;
    self->parameters = keys;
    self->key_count = key_count;
    self->items = items;
    self->count = count;
    self->threads = threads;
    self->verdicts = verdicts;
    if (!begin(self)) {
        free(self);
        return KS_E_MEMORY;
    }
    *batch = self;
    return KS_OK;
}

/* Whether a stage is over. */
static int stage_step(ks_batch *self, uint64_t until_ns) {
    if (!ks_fan_step(&self->fan, until_ns)) {
        return 0;
    }
    if (self->stage == OPENING_KEYS) {
        self->stage = VERIFYING;
        ks_fan_start(&self->fan, self->threads, self->count, items_per_run(self->algorithm),
                     verify_items, self);
    } else {
        self->stage = DONE;
    }
    return 1;
}

ks_status ks_batch_step(ks_batch *self, unsigned most_ms, int *done) {
    uint64_t until_ns = KS_NEVER_NS;
    if (most_ms != KS_STEP_TO_THE_END) {
        until_ns = ks_clock_ns() + most_ms * UINT64_C(1000000);
    }
    while (self->stage != DONE && stage_step(self, until_ns)) {
    }
    *done = self->stage == DONE;
    return atomic_load(&self->out_of_memory) ? KS_E_MEMORY : KS_OK;
}

void ks_batch_close(ks_batch *self) {
    if (self == NULL) {
        return;
    }
    ks_fan_stop(&self->fan);
    if (self->count > 0 && (self->stage != DONE || atomic_load(&self->out_of_memory))) {
        memset(self->verdicts, 0, self->count);
    }
    for (size_t i = 0; self->keys != NULL && i < self->key_count; i++) {
        self->engine->key_close(self->keys[i]);
    }
    free(self->uses);
    free(self->keys);
    free(self);
}

ks_status ks_verify_batch(ks_algorithm algorithm, const ks_public_key *keys, size_t key_count,
                          const ks_verify_item *items, size_t count, unsigned threads,
                          uint8_t *verdicts) {
    ks_batch *self;
    int done;
    ks_status status =
        ks_batch_open(algorithm, keys, key_count, items, count, threads, verdicts, &self);
    if (status == KS_OK) {
        status = ks_batch_step(self, KS_STEP_TO_THE_END, &done);
    }
    ks_batch_close(self);
    return status;
}
