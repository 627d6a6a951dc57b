#include "p256_key.h"

#include <stdlib.h>
#include <string.h>

#include "ks_engine.h"

#define COORDINATE_BYTES P256_OCTETS
#define SCRATCH_ALIGNMENT 64u

/* --- keys --------------------------------------------------------------------------------------- */

void ks_p256_key_close(void *closed) {
    p256_key *self = closed;
    if (self != NULL) {
        ks_table_release(self->table);
        ks_ecdsa_openssl.key_close(atomic_load(&self->openssl));
        free(self);
    }
}

void *ks_p256_key_openssl(p256_key *self) {
    void *made = atomic_load_explicit(&self->openssl, memory_order_acquire);
    if (made == NULL) {
        void *mine = ks_ecdsa_openssl.key_open(KS_ES256, &self->parameters, 1);
        if (atomic_compare_exchange_strong(&self->openssl, &made, mine)) {
            return mine;
        }
        ks_ecdsa_openssl.key_close(mine); /* another thread was faster, and `made` is now its */
    }
    return made;
}

static ks_key_name name_of(const ks_public_key *parameters) {
    ks_key_name name;
    _Static_assert(sizeof name.octets == 2 * COORDINATE_BYTES, "x and y");
    memcpy(name.octets, parameters->first.data, COORDINATE_BYTES);
    memcpy(name.octets + COORDINATE_BYTES, parameters->second.data, COORDINATE_BYTES);
    return name;
}

static void wide_build(p256_key *self, const ks_key_name *name) {
    ks_table *table = ks_table_new(KS_CACHE_P256, KS_WIDE_TABLE, name, sizeof(p256_wide));
    if (table == NULL || !self->kernel->build_wide(table->points, &self->point)) {
        ks_table_release(table);
        return;
    }
    ks_cache_add(table);
    ks_table_release(self->table);
    self->table = table;
}

static void table_find(p256_key *self, size_t uses) {
    ks_key_name name = name_of(&self->parameters);
    ks_found found = ks_cache_look(KS_CACHE_P256, &name, uses);
    self->table = found.table;
    self->wants_comb = found.wants_comb && !found.wants_wide && self->kernel->build_combs != NULL;
    if (found.wants_wide) {
        wide_build(self, &name);
    }
}

void *ks_p256_key_open(const p256_kernel *kernel, const ks_public_key *parameters, size_t uses) {
    p256_key *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    self->kernel = kernel;
    self->parameters = *parameters;
    atomic_init(&self->openssl, NULL);
    self->on_curve =
        parameters->first.size == COORDINATE_BYTES && parameters->second.size == COORDINATE_BYTES &&
        ks_p256_point_read(&self->point, parameters->first.data, parameters->second.data);
    if (self->on_curve) {
        table_find(self, uses);
    } else if (ks_p256_key_openssl(self) == NULL) {
        ks_p256_key_close(self);
        return NULL;
    }
    return self;
}

/* --- combs, eight keys at a time ---------------------------------------------------------------- */

#define COMBS_AT_ONCE 8u

static void combs_build(p256_key *const *wanting, size_t count) {
    const p256_kernel *kernel = wanting[0]->kernel;
    ks_table *tables[COMBS_AT_ONCE];
    p256_comb *combs[COMBS_AT_ONCE];
    const p256_entry *points[COMBS_AT_ONCE];
    void *scratch = aligned_alloc(SCRATCH_ALIGNMENT, kernel->scratch_bytes);
    size_t made = 0;
    for (; scratch != NULL && made < count; made++) {
        ks_key_name name = name_of(&wanting[made]->parameters);
        tables[made] = ks_table_new(KS_CACHE_P256, KS_COMB_TABLE, &name, sizeof(p256_comb));
        if (tables[made] == NULL) {
            break; /* the keys from here on do without */
        }
        combs[made] = tables[made]->points;
        points[made] = &wanting[made]->point;
    }
    if (made > 0) {
        kernel->build_combs(combs, points, made, scratch);
    }
    for (size_t i = 0; i < made; i++) {
        ks_cache_add(tables[i]);
        wanting[i]->table = tables[i];
    }
    free(scratch);
}

void ks_p256_keys_ready(void *const *keys, size_t count) {
    p256_key *wanting[COMBS_AT_ONCE];
    size_t waiting = 0;
    for (size_t i = 0; i < count; i++) {
        p256_key *self = keys[i];
        if (self != NULL && self->wants_comb) {
            wanting[waiting++] = self;
        }
        if (waiting == COMBS_AT_ONCE || (waiting > 0 && i + 1 == count)) {
            combs_build(wanting, waiting);
            waiting = 0;
        }
    }
}

