#include "p256_credit.h"

#include <stdatomic.h>

/* Shared by all threads, and no secret: it says how many of the last signatures were valid. */
static atomic_int credit = P256_MOST_CREDIT;

size_t ks_p256_credit_take(unsigned cost, size_t wanted) {
    int have = atomic_load_explicit(&credit, memory_order_relaxed);
    for (;;) {
        size_t affordable = (size_t)have / cost;
        size_t taken = wanted < affordable ? wanted : affordable;
        int left = have - (int)(taken * cost);
        if (taken == 0 || atomic_compare_exchange_weak_explicit(
                              &credit, &have, left, memory_order_relaxed, memory_order_relaxed)) {
            return taken;
        }
    }
}

void ks_p256_credit_earn(size_t amount) {
    int have = atomic_load_explicit(&credit, memory_order_relaxed), more;
    do {
        size_t room = (size_t)(P256_MOST_CREDIT - have);
        more = have + (int)(amount < room ? amount : room);
    } while (!atomic_compare_exchange_weak_explicit(&credit, &have, more, memory_order_relaxed,
                                                    memory_order_relaxed));
}
