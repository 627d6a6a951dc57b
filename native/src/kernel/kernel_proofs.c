#include "kernel_proofs.h"

static _Atomic(uint64_t) *set_of(ks_proofs *proofs, uint64_t key) {
    return proofs->keys[key % KS_PROOF_SETS];
}

static int slot_change(_Atomic(uint64_t) *slot, uint64_t from, uint64_t to) {
    return atomic_compare_exchange_strong_explicit(slot, &from, to, memory_order_relaxed,
                                                   memory_order_relaxed);
}

void ks_proof_give(ks_proofs *proofs, uint64_t key) {
    _Atomic(uint64_t) *set = set_of(proofs, key);
    for (unsigned i = 0; i < KS_PROOF_SLOTS; i++) {
        if (slot_change(&set[i], key, key) || slot_change(&set[i], 0, key)) {
            return;
        }
    }
    atomic_store_explicit(&set[key / KS_PROOF_SETS % KS_PROOF_SLOTS], key, memory_order_relaxed);
}

int ks_proof_take(ks_proofs *proofs, uint64_t key) {
    _Atomic(uint64_t) *set = set_of(proofs, key);
    for (unsigned i = 0; key != 0 && i < KS_PROOF_SLOTS; i++) {
        if (slot_change(&set[i], key, 0)) {
            return 1;
        }
    }
    return 0;
}
