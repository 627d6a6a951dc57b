#include "p256_credit.h"

#include <stdatomic.h>

/*
 * Shared by all threads, and no secret: it says how many of the last signatures were valid. Below 0
 * where several threads lost at once what each of them had seen to be there.
 */
static atomic_long credit = P256_MOST_CREDIT;

size_t ks_p256_credit_for(unsigned cost, size_t wanted) {
    long have = atomic_load_explicit(&credit, memory_order_relaxed);
    size_t affordable = have > 0 ? (size_t)have / cost : 0;
    return wanted < affordable ? wanted : affordable;
}

void ks_p256_credit_settle(long earned) {
    long have = atomic_load_explicit(&credit, memory_order_relaxed), sum;
    do {
        sum = have + earned < P256_MOST_CREDIT ? have + earned : P256_MOST_CREDIT;
    } while (!atomic_compare_exchange_weak_explicit(&credit, &have, sum, memory_order_relaxed,
                                                    memory_order_relaxed));
}
