#include "p384_key.h"

#include <stdlib.h>
#include <string.h>

void ks_p384_key_close(void *closed) {
    p384_key *self = closed;
    if (self != NULL) {
        ks_kernel_key_close(&self->known);
        free(self);
    }
}

void *ks_p384_key_openssl(void *key) {
    const p384_key *self = key;
    return ks_ecdsa_key(&self->known.parameters);
}

/*
 * x, and the end of y: a name has no room for all of it. On the curve no more than two points have this
 * x, y and p - y, and one of the two is odd.
 */
static ks_key_name name_of(const p384_key *self) {
    ks_key_name name;
    const size_t rest = sizeof name.octets - P384_OCTETS;
    memcpy(name.octets, self->known.parameters.first.data, P384_OCTETS);
    memcpy(name.octets + P384_OCTETS, self->known.parameters.second.data + P384_OCTETS - rest, rest);
    return name;
}

static void wide_build(p384_key *self, const ks_key_name *name) {
    ks_table *table = ks_table_new(KS_CACHE_P384, KS_WIDE_TABLE, name, sizeof(p384_wide));
    if (table == NULL || !ks_p384_build_wide(table->points, &self->point)) {
        ks_table_release(table);
        return;
    }
    ks_kernel_key_keep(&self->known, table);
}

static void table_find(p384_key *self, size_t uses) {
    ks_key_name name = name_of(self);
    ks_kernel_key_find(&self->known, KS_CACHE_P384, &name, uses);
    atomic_store(&self->comb_wanted, self->known.wants_comb);
    if (self->known.wants_wide) {
        wide_build(self, &name);
    }
}

void *ks_p384_key_open(const ks_public_key *parameters, size_t uses) {
    p384_key *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return KS_KEY_NO_MEMORY;
    }
    self->known.parameters = *parameters;
    atomic_init(&self->comb_wanted, 0);
    self->on_curve =
        parameters->first.size == P384_OCTETS && parameters->second.size == P384_OCTETS &&
        ks_p384_point_read(&self->point, parameters->first.data, parameters->second.data);
    if (self->on_curve) {
        table_find(self, uses);
    } else if (ks_ecdsa_openssl.key_open(KS_ES384, parameters, uses) == NULL) {
        ks_p384_key_close(self);
        return NULL;
    }
    return self;
}

void ks_p384_key_proved(void *key) {
    p384_key *self = key;
    if (!atomic_exchange_explicit(&self->comb_wanted, 0, memory_order_relaxed)) {
        return;
    }
    ks_key_name name = name_of(self);
    ks_table *table = ks_table_new(KS_CACHE_P384, KS_COMB_TABLE, &name, sizeof(p384_comb));
    if (table == NULL) {
        return; /* the key does without */
    }
    ks_p384_build_comb(table->points, &self->point);
    ks_cache_add(table);
    ks_table_release(table);
}
