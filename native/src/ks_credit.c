#include "ks_credit.h"

size_t ks_credit_for(ks_credit *credit, unsigned cost, size_t wanted) {
    long have = atomic_load_explicit(&credit->balance, memory_order_relaxed);
    size_t affordable = have > 0 ? (size_t)have / cost : 0;
    return wanted < affordable ? wanted : affordable;
}

void ks_credit_settle(ks_credit *credit, long earned) {
    long have = atomic_load_explicit(&credit->balance, memory_order_relaxed), sum;
    do {
        sum = have + earned < KS_MOST_CREDIT ? have + earned : KS_MOST_CREDIT;
    } while (!atomic_compare_exchange_weak_explicit(&credit->balance, &have, sum,
                                                    memory_order_relaxed, memory_order_relaxed));
}
