#include <stdatomic.h>

#include "check.h"
#include "ks_fan_out.h"

#define MOST 1000u

static atomic_uint visits[MOST];

static void visit(void *context, ks_runs *runs) {
    atomic_uint *seen = context;
    size_t from, to;
    while (ks_runs_take(runs, &from, &to)) {
        for (size_t i = from; i < to; i++) {
            atomic_fetch_add(&seen[i], 1);
        }
    }
}

static void check_each_visited_once(unsigned threads, size_t count, size_t run) {
    for (size_t i = 0; i < MOST; i++) {
        atomic_store(&visits[i], 0);
    }
    ks_fan_out(threads, count, run, visit, visits);
    for (size_t i = 0; i < MOST; i++) {
        CHECK(atomic_load(&visits[i]) == (i < count ? 1u : 0u));
    }
}

void test_fan_out(void) {
    const size_t counts[] = {0, 1, 31, 32, 33, 999, MOST};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        for (unsigned threads = 1; threads <= 5; threads++) {
            check_each_visited_once(threads, counts[i], 32);
            check_each_visited_once(threads, counts[i], 1);
        }
    }
}
