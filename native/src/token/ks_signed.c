#include <stdlib.h>

#include "ks_tokens.h"

/* One call's arrays, as long as all the signatures that there are. */
typedef struct call {
    ks_public_key *keys;
    ks_verify_item *items;
    size_t *owners;
    uint8_t *verdicts;
    uint32_t *key_of_name; /* index into `keys` and one more; 0 where it has none yet */
    size_t key_count, count;
} call;

static void call_close(call *self) {
    free(self->keys);
    free(self->items);
    free(self->owners);
    free(self->verdicts);
    free(self->key_of_name);
}

static int call_open(call *self, size_t room, size_t names) {
    *self = (call){
        .keys = calloc(room, sizeof *self->keys),
        .items = calloc(room, sizeof *self->items),
        .owners = calloc(room, sizeof *self->owners),
        .verdicts = calloc(room, 1),
        .key_of_name = calloc(names + 1, sizeof *self->key_of_name),
    };
    if (self->keys != NULL && self->items != NULL && self->owners != NULL &&
        self->verdicts != NULL && self->key_of_name != NULL) {
        return 1;
    }
    call_close(self);
    return 0;
}

static uint32_t key_index(call *self, const ks_signed *of) {
    uint32_t *known = of->key_name == UINT32_MAX ? NULL : &self->key_of_name[of->key_name];
    if (known != NULL && *known != 0) {
        return *known - 1;
    }
    self->keys[self->key_count++] = of->key;
    if (known != NULL) {
        *known = (uint32_t)self->key_count;
    }
    return (uint32_t)self->key_count - 1;
}

static void gather(call *self, const ks_signed *all, size_t count, ks_algorithm algorithm) {
    self->key_count = self->count = 0;
    for (size_t i = 0; i < count; i++) {
        if (all[i].algorithm == algorithm) {
            self->items[self->count] = all[i].item;
            self->items[self->count].key = key_index(self, &all[i]);
            self->owners[self->count++] = all[i].owner;
        }
    }
}

static unsigned algorithms_of(const ks_signed *all, size_t count) {
    unsigned met = 0;
    for (size_t i = 0; i < count; i++) {
        met |= 1u << all[i].algorithm;
    }
    return met;
}

static uint32_t names_of(const ks_signed *all, size_t count) {
    uint32_t most = 0;
    for (size_t i = 0; i < count; i++) {
        if (all[i].key_name != UINT32_MAX && all[i].key_name >= most) {
            most = all[i].key_name + 1;
        }
    }
    return most;
}

ks_status ks_signed_verify(const ks_signed *all, size_t count, unsigned threads,
                           void (*invalid)(ks_tokens *, size_t owner), ks_tokens *batch) {
    call self;
    if (count == 0) {
        return KS_OK;
    }
    if (!call_open(&self, count, names_of(all, count))) {
        return KS_E_MEMORY;
    }
    unsigned met = algorithms_of(all, count);
    ks_status status = KS_OK;
    for (unsigned algorithm = 0; met >> algorithm != 0 && status == KS_OK; algorithm++) {
        if ((met >> algorithm & 1u) == 0) {
            continue;
        }
        gather(&self, all, count, (ks_algorithm)algorithm);
        status = ks_verify_batch((ks_algorithm)algorithm, self.keys, self.key_count, self.items,
                                 self.count, threads, self.verdicts);
        for (size_t i = 0; i < self.count; i++) {
            if (status != KS_OK || self.verdicts[i] == 0) {
                invalid(batch, self.owners[i]);
            }
        }
    }
    call_close(&self);
    return status;
}
