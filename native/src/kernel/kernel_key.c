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

void ks_kernel_key_close(ks_kernel_key *self) {
    ks_table_release(self->table);
}
