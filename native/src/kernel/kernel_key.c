#include "kernel_key.h"

void ks_kernel_key_find(ks_kernel_key *self, ks_cache cache, const ks_key_name *name, size_t uses) {
    ks_found found = ks_cache_look(cache, name, uses);
    self->table = found.table;
    self->wants_wide = found.wants_wide;
    self->wants_comb = found.wants_comb && !found.wants_wide;
}

void ks_kernel_key_keep(ks_kernel_key *self, ks_table *table) {
    ks_cache_add(table);
    ks_table_release(self->table);
    self->table = table;
}

void *ks_kernel_key_openssl(ks_kernel_key *self, const ks_engine *openssl, ks_algorithm algorithm) {
    void *made = atomic_load_explicit(&self->openssl, memory_order_acquire);
    if (made == NULL) {
        void *mine = openssl->key_open(algorithm, &self->parameters, 1);
        if (atomic_compare_exchange_strong(&self->openssl, &made, mine)) {
            return mine;
        }
        openssl->key_close(mine); /* another thread was faster, and `made` is now its */
    }
    return made;
}

void ks_kernel_key_close(ks_kernel_key *self, const ks_engine *openssl) {
    ks_table_release(self->table);
    openssl->key_close(atomic_load(&self->openssl));
}
