/* The batch: checks the bounds, builds every key once, and lets an engine verify runs of items. */
#include "ks_verify.h"

#include <openssl/err.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "ks_engine.h"
#include "ks_fan_out.h"

/* Items a thread takes at a time: eight fillings of eight lanes, yet little to wait for at the end. */
#define ITEMS_PER_RUN 64u
/* Keys a thread takes at a time: opening one costs little, and a kernel builds tables of eight at once. */
#define KEYS_PER_RUN 64u

typedef struct batch {
    const ks_engine *engine;
    ks_algorithm algorithm;
    const ks_public_key *parameters;
    uint32_t *uses; /* of each key, by the items of this batch */
    void **keys;
    const ks_verify_item *items;
    uint8_t *verdicts;
    atomic_int out_of_memory;
} batch;

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

static void build_keys(void *context, ks_runs *runs) {
    batch *self = context;
    size_t from, to;
    while (ks_runs_take(runs, &from, &to)) {
        for (size_t i = from; i < to; i++) {
            self->keys[i] = self->engine->key_open(self->algorithm, &self->parameters[i],
                                                   self->uses[i]);
        }
        if (self->engine->keys_ready != NULL) {
            self->engine->keys_ready(self->keys + from, to - from);
        }
    }
    /* OpenSSL's queue belongs to the thread: whoever uses it next must not find our failures. */
    ERR_clear_error();
}

static void verify_items(void *context, ks_runs *runs) {
    batch *self = context;
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

static ks_status check_arguments(const batch *self, size_t key_count, size_t count,
                                 unsigned threads) {
    if (key_count > KS_MAX_BATCH || threads > KS_MAX_THREADS) {
        return KS_E_TOO_LARGE;
    }
    if (self->engine == NULL || threads == 0) {
        return KS_E_ARGUMENT;
    }
    for (size_t i = 0; i < count; i++) {
        if (self->items[i].key >= key_count) {
            return KS_E_ARGUMENT;
        }
    }
    return KS_OK;
}

static ks_status run_batch(batch *self, size_t key_count, size_t count, unsigned threads) {
    self->keys = calloc(key_count, sizeof *self->keys);
    self->uses = calloc(key_count, sizeof *self->uses);
    if (self->keys == NULL || self->uses == NULL) {
        free(self->uses);
        free(self->keys);
        return KS_E_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        self->uses[self->items[i].key]++;
    }
    ks_fan_out(threads, key_count, KEYS_PER_RUN, build_keys, self);
    ks_fan_out(threads, count, ITEMS_PER_RUN, verify_items, self);
    for (size_t i = 0; i < key_count; i++) {
        self->engine->key_close(self->keys[i]);
    }
    free(self->uses);
    free(self->keys);
    return atomic_load(&self->out_of_memory) ? KS_E_MEMORY : KS_OK;
}

ks_status ks_verify_batch(ks_algorithm algorithm, const ks_public_key *keys, size_t key_count,
                          const ks_verify_item *items, size_t count, unsigned threads,
                          uint8_t *verdicts) {
    if (count > KS_MAX_BATCH) {
        return KS_E_TOO_LARGE;
    }
    if (count > 0) {
        memset(verdicts, 0, count);
    }
    batch self = {
        .engine = ks_engine_choose(algorithm).engine,
        .algorithm = algorithm,
        .parameters = keys,
        .items = items,
        .verdicts = verdicts,
    };
    atomic_init(&self.out_of_memory, 0);
    ks_status status = check_arguments(&self, key_count, count, threads);
    if (status != KS_OK || count == 0) {
        return status;
    }
    status = run_batch(&self, key_count, count, threads);
    if (status != KS_OK) {
        memset(verdicts, 0, count);
    }
    return status;
}
