#include "p256_key.h"

#include <stdlib.h>
#include <string.h>

#include "kernel/kernel_proofs.h"

#define COORDINATE_BYTES P256_OCTETS
#define SCRATCH_ALIGNMENT 64u

static ks_proofs proofs;

/* --- keys --------------------------------------------------------------------------------------- */

void ks_p256_key_close(void *closed) {
    p256_key *self = closed;
    if (self != NULL) {
        ks_kernel_key_close(&self->known);
        free(self);
    }
}

void *ks_p256_key_openssl(void *key) {
    const p256_key *self = key;
    return ks_ecdsa_key(&self->known.parameters);
}

/* What proofs know it by. */
static uint64_t word_of(const p256_key *self) {
    return self->point.x[0] | self->point.x[1] << P256_LIMB_BITS;
}

void ks_p256_key_proved(void *key) {
    const p256_key *self = key;
    if (self->on_curve) {
        ks_proof_give(&proofs, word_of(self));
    }
}

static ks_key_name name_of(const ks_public_key *parameters) {
    ks_key_name name;
    _Static_assert(sizeof name.octets == 2 * COORDINATE_BYTES, "x and y");
    memcpy(name.octets, parameters->first.data, COORDINATE_BYTES);
    memcpy(name.octets + COORDINATE_BYTES, parameters->second.data, COORDINATE_BYTES);
    return name;
}

static void wide_build(p256_key *self, const ks_key_name *name) {
    ks_table *table = ks_table_new(self->kernel->cache, KS_WIDE_TABLE, name,
                                   self->kernel->wide_bytes);
    if (table == NULL || !self->kernel->build_wide(table->points, &self->point)) {
        ks_table_release(table);
        return;
    }
    ks_kernel_key_keep(&self->known, table);
}

static void table_find(p256_key *self, size_t uses) {
    ks_key_name name = name_of(&self->known.parameters);
    ks_kernel_key_find(&self->known, self->kernel->cache, &name, uses);
    if (self->known.wants_wide) {
        wide_build(self, &name);
    }
}

void *ks_p256_key_open(const p256_kernel *kernel, const ks_public_key *parameters, size_t uses) {
    p256_key *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return KS_KEY_NO_MEMORY;
    }
    self->kernel = kernel;
    self->known.parameters = *parameters;
    self->on_curve =
        parameters->first.size == COORDINATE_BYTES && parameters->second.size == COORDINATE_BYTES &&
        ks_p256_point_read(&self->point, parameters->first.data, parameters->second.data);
    if (self->on_curve) {
        table_find(self, uses);
    } else if (ks_ecdsa_openssl.key_open(KS_ES256, parameters, uses) == NULL) {
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
    void *combs[COMBS_AT_ONCE];
    const p256_entry *points[COMBS_AT_ONCE];
    void *scratch = NULL;
    if (kernel->scratch_bytes > 0) {
        scratch = aligned_alloc(SCRATCH_ALIGNMENT, kernel->scratch_bytes);
        count = scratch != NULL ? count : 0;
    }
    size_t made = 0;
    for (; made < count; made++) {
        ks_key_name name = name_of(&wanting[made]->known.parameters);
        tables[made] = ks_table_new(kernel->cache, KS_COMB_TABLE, &name, kernel->comb_bytes);
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
        ks_kernel_key_keep(&wanting[i]->known, tables[i]);
    }
    free(scratch);
}

void ks_p256_keys_ready(void *const *keys, size_t count) {
    p256_key *wanting[COMBS_AT_ONCE];
    size_t waiting = 0;
    for (size_t i = 0; i < count; i++) {
        p256_key *self = keys[i];
        if (self != NULL && self->known.wants_comb && ks_proof_take(&proofs, word_of(self))) {
            wanting[waiting++] = self;
        }
        if (waiting == COMBS_AT_ONCE || (waiting > 0 && i + 1 == count)) {
            combs_build(wanting, waiting);
            waiting = 0;
        }
    }
}

