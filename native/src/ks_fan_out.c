#include "ks_fan_out.h"

#include <time.h>

uint64_t ks_clock_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

int ks_runs_take(ks_runs *runs, size_t *from, size_t *to) {
    ks_fan *of = runs->of;
    if (runs->until_ns != KS_NEVER_NS && runs->took && ks_clock_ns() >= runs->until_ns) {
        return 0;
    }
    size_t start = atomic_fetch_add_explicit(&of->next, of->run, memory_order_relaxed);
    if (start >= of->count) {
        return 0;
    }
    *from = start;
    *to = of->count - start < of->run ? of->count : start + of->run;
    runs->took = 1;
    return 1;
}

static void *work_elsewhere(void *argument) {
    ks_fan *fan = argument;
    ks_runs mine = {.of = fan, .until_ns = KS_NEVER_NS};
    fan->work(fan->context, &mine);
    return NULL;
}

void ks_fan_start(ks_fan *fan, unsigned threads, size_t count, size_t run,
                  void (*work)(void *, ks_runs *), void *context) {
    fan->work = work;
    fan->context = context;
    fan->count = count;
    fan->run = run;
    atomic_init(&fan->next, 0);
    fan->helpers_started = 0;
    size_t run_count = count / run + (count % run != 0);
    size_t wanted = threads < run_count ? threads : run_count;
    while (fan->helpers_started + 1 < wanted && fan->helpers_started < KS_MAX_THREADS &&
           pthread_create(&fan->helpers[fan->helpers_started], NULL, work_elsewhere, fan) == 0) {
        fan->helpers_started++;
    }
}

static void helpers_join(ks_fan *fan) {
    while (fan->helpers_started > 0) {
        (void)pthread_join(fan->helpers[--fan->helpers_started], NULL);
    }
}

int ks_fan_step(ks_fan *fan, uint64_t until_ns) {
    ks_runs mine = {.of = fan, .until_ns = until_ns};
    fan->work(fan->context, &mine);
    if (atomic_load_explicit(&fan->next, memory_order_relaxed) < fan->count) {
        return 0;
    }
    helpers_join(fan);
    return 1;
}

void ks_fan_stop(ks_fan *fan) {
    atomic_store_explicit(&fan->next, fan->count, memory_order_relaxed);
    helpers_join(fan);
}

void ks_fan_out(unsigned threads, size_t count, size_t run, void (*work)(void *, ks_runs *),
                void *context) {
    ks_fan fan;
    ks_fan_start(&fan, threads, count, run, work, context);
    work(context, &(ks_runs){.of = &fan, .until_ns = KS_NEVER_NS});
    helpers_join(&fan);
}
