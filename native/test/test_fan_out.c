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

static void visits_forget(void) {
    for (size_t i = 0; i < MOST; i++) {
        atomic_store(&visits[i], 0);
    }
}

static void visits_check(size_t count) {
    for (size_t i = 0; i < MOST; i++) {
        CHECK(atomic_load(&visits[i]) == (i < count ? 1u : 0u));
    }
}

static void check_each_visited_once(unsigned threads, size_t count, size_t run) {
    visits_forget();
    ks_fan_out(threads, count, run, visit, visits);
    visits_check(count);
}

/* Steps whose time is over at once: one run each. */
static void check_each_visited_once_in_steps(unsigned threads) {
    visits_forget();
    ks_fan fan;
    ks_fan_start(&fan, threads, MOST, 2, visit, visits);
    size_t steps = 1;
    while (!ks_fan_step(&fan, 0)) {
        steps++;
    }
    ks_fan_stop(&fan);
    visits_check(MOST);
    CHECK(threads == 1 ? steps == MOST / 2 : steps <= MOST / 2);
}

static void check_nothing_is_visited_after_a_stop(unsigned threads) {
    visits_forget();
    ks_fan fan;
    ks_fan_start(&fan, threads, MOST, 1, visit, visits);
    (void)ks_fan_step(&fan, 0);
    ks_fan_stop(&fan);
    size_t visited = 0;
    for (size_t i = 0; i < MOST; i++) {
        CHECK(atomic_load(&visits[i]) <= 1);
        visited += atomic_load(&visits[i]);
    }
    CHECK(visited >= 1 && (threads > 1 || visited == 1));
    CHECK(fan.helpers_started == 0);
    (void)ks_fan_step(&fan, KS_NEVER_NS);
    for (size_t i = 0; i < MOST; i++) {
        visited -= atomic_load(&visits[i]);
    }
    CHECK(visited == 0);
}

void test_fan_out(void) {
    for (unsigned threads = 1; threads <= 5; threads++) {
        check_each_visited_once_in_steps(threads);
        check_nothing_is_visited_after_a_stop(threads);
    }
    const size_t counts[] = {0, 1, 31, 32, 33, 999, MOST};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        for (unsigned threads = 1; threads <= 5; threads++) {
            check_each_visited_once(threads, counts[i], 32);
            check_each_visited_once(threads, counts[i], 1);
        }
    }
}
