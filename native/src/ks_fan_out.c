#include "ks_fan_out.h"

#include <pthread.h>

#include "ks_verify.h"

typedef struct job {
    void (*work)(void *, ks_runs *);
    void *context;
    ks_runs *runs;
} job;

int ks_runs_take(ks_runs *runs, size_t *from, size_t *to) {
    size_t start = atomic_fetch_add_explicit(&runs->next, runs->run, memory_order_relaxed);
    if (start >= runs->count) {
        return 0;
    }
    *from = start;
    *to = runs->count - start < runs->run ? runs->count : start + runs->run;
    return 1;
}

static void *work_elsewhere(void *argument) {
    const job *mine = argument;
    mine->work(mine->context, mine->runs);
    return NULL;
}

void ks_fan_out(unsigned threads, size_t count, size_t run, void (*work)(void *, ks_runs *),
                void *context) {
    ks_runs runs = {.count = count, .run = run};
    atomic_init(&runs.next, 0);
    job shared = {.work = work, .context = context, .runs = &runs};
    size_t run_count = count / run + (count % run != 0);
    size_t wanted = threads < run_count ? threads : run_count;

    pthread_t helpers[KS_MAX_THREADS];
    size_t started = 0;
    while (started + 1 < wanted && started < KS_MAX_THREADS &&
           pthread_create(&helpers[started], NULL, work_elsewhere, &shared) == 0) {
        started++;
    }
    work(context, &runs);
    for (size_t i = 0; i < started; i++) {
        (void)pthread_join(helpers[i], NULL);
    }
}
