#include "ed25519_key.h"

#include <stdlib.h>
#include <string.h>

#include "kernel/kernel_proofs.h"

/* Keys that are decoded, or given combs, at a time. */
#define KEYS_AT_ONCE 64u

ks_credit ks_ed25519_credit = KS_CREDIT_FULL;

static ks_proofs proofs;

/* --- keys --------------------------------------------------------------------------------------- */

void ks_ed25519_key_close(void *closed) {
    ed25519_key *self = closed;
    if (self != NULL) {
        ks_kernel_key_close(&self->known);
        ks_ed25519_openssl.key_close(atomic_load(&self->openssl));
        free(self);
    }
}

void ks_ed25519_key_proved(void *key) {
    const ed25519_key *self = key;
    ks_proof_give(&proofs, self->octets.word[0]);
}

void *ks_ed25519_key_openssl(void *key) {
    ed25519_key *self = key;
    void *made = atomic_load_explicit(&self->openssl, memory_order_acquire);
    if (made == NULL) {
        void *mine = ks_ed25519_openssl.key_open(KS_ED25519, &self->known.parameters, 1);
        if (atomic_compare_exchange_strong(&self->openssl, &made, mine)) {
            return mine;
        }
        ks_ed25519_openssl.key_close(mine); /* another thread was faster, and `made` is now its */
    }
    return made;
}

static ks_key_name name_of(const ed25519_key *self) {
    ks_key_name name = {{0}};
    memcpy(name.octets, self->known.parameters.first.data, ED25519_OCTETS);
    return name;
}

void *ks_ed25519_key_open(const ed25519_kernel *kernel, const ks_public_key *parameters,
                          size_t uses) {
    if (parameters->first.size != ED25519_OCTETS || parameters->second.size != 0) {
        return NULL;
    }
    ed25519_key *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return KS_KEY_NO_MEMORY;
    }
    self->kernel = kernel;
    self->octets = ed25519_number_read(parameters->first.data);
    self->known.parameters = *parameters;
    atomic_init(&self->openssl, NULL);
    ks_key_name name = name_of(self);
    ks_kernel_key_find(&self->known, KS_CACHE_ED25519, &name, uses);
    return self;
}

/* --- what is cheaper for several keys at once --------------------------------------------------- */

static void keys_decode(ed25519_key *const *keys, size_t count) {
    ed25519_number octets[KEYS_AT_ONCE] = {{{0}}};
    ed25519_point points[KEYS_AT_ONCE];
    uint8_t on_curve[KEYS_AT_ONCE];
    for (size_t i = 0; i < count; i++) {
        octets[i] = keys[i]->octets;
    }
    keys[0]->kernel->keys_decode(points, on_curve, octets, count);
    for (size_t i = 0; i < count; i++) {
        keys[i]->on_curve = on_curve[i];
        keys[i]->point = points[i];
    }
}

static ks_table *table_for(const ed25519_key *self, ks_table_kind kind, size_t size) {
    ks_key_name name = name_of(self);
    return ks_table_new(KS_CACHE_ED25519, kind, &name, size);
}

static void wide_build(ed25519_key *self) {
    ks_table *table = table_for(self, KS_WIDE_TABLE, sizeof(ed25519_wide));
    if (table == NULL || !self->kernel->build_wide(table->points, &self->point)) {
        ks_table_release(table);
        return;
    }
    ks_kernel_key_keep(&self->known, table);
}

static void combs_build(ed25519_key *const *keys, size_t count) {
    ks_table *tables[KEYS_AT_ONCE];
    ed25519_comb *combs[KEYS_AT_ONCE];
    const ed25519_point *points[KEYS_AT_ONCE];
    size_t made = 0;
    for (; made < count; made++) {
        tables[made] = table_for(keys[made], KS_COMB_TABLE, sizeof(ed25519_comb));
        if (tables[made] == NULL) {
            break; /* the keys from here on do without */
        }
        combs[made] = tables[made]->points;
        points[made] = &keys[made]->point;
    }
    if (made > 0) {
        keys[0]->kernel->build_combs(combs, points, made);
    }
    for (size_t i = 0; i < made; i++) {
        ks_kernel_key_keep(&keys[i]->known, tables[i]);
    }
}

static void some_ready(ed25519_key *const *keys, size_t count) {
    ed25519_key *wanting[KEYS_AT_ONCE];
    size_t combs = 0;
    keys_decode(keys, count);
    for (size_t i = 0; i < count; i++) {
        if (keys[i]->on_curve && keys[i]->known.wants_wide) {
            wide_build(keys[i]);
        } else if (keys[i]->on_curve && keys[i]->known.wants_comb &&
                   ks_proof_take(&proofs, keys[i]->octets.word[0])) {
            wanting[combs++] = keys[i];
        }
    }
    if (combs > 0) {
        combs_build(wanting, combs);
    }
}

void ks_ed25519_keys_ready(void *const *keys, size_t count) {
    ed25519_key *waiting[KEYS_AT_ONCE];
    size_t wait = 0;
    for (size_t i = 0; i < count; i++) {
        ed25519_key *self = keys[i];
        if (self == NULL || (self->known.table != NULL && !self->known.wants_wide)) {
            continue;
        }
        if (ks_credit_for(&ks_ed25519_credit, self->kernel->costs.of[KS_POINT], 1) == 0) {
            ks_credit_settle(&ks_ed25519_credit, 1);
            continue;
        }
        waiting[wait++] = self;
        if (wait == KEYS_AT_ONCE) {
            some_ready(waiting, wait);
            wait = 0;
        }
    }
    if (wait > 0) {
        some_ready(waiting, wait);
    }
}
