/*
 * Dividing a range of work among threads, which live as long as the work does.
 *
 * Why not a pool that stays: docs/native.md.
 */
#ifndef KS_FAN_OUT_H
#define KS_FAN_OUT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "ks_verify.h"

/* A time that never comes. */
#define KS_NEVER_NS UINT64_MAX

/* Of the monotonic clock. It says when to stop for a moment, and decides nothing. */
uint64_t ks_clock_ns(void);

/* Where one thread takes its next run from. */
typedef struct ks_runs {
    struct ks_fan *of;
    uint64_t until_ns; /* no run is taken after that, but the first */
    int took;
} ks_runs;

/* The work, and who does it. */
typedef struct ks_fan {
    void (*work)(void *context, ks_runs *runs);
    void *context;
    size_t count;
    size_t run;
    atomic_size_t next;
    size_t helpers_started;
    pthread_t helpers[KS_MAX_THREADS];
} ks_fan;

/* Takes the next run: [*from, *to). Returns 0 when nothing is left, or no time. */
int ks_runs_take(ks_runs *runs, size_t *from, size_t *to);

/*
 * Starts up to `threads` − 1 helpers, each of which calls `work(context, runs)` once. `work` must take
 * runs until it gets none; the runs cover 0..count, `run` at a time. A helper that cannot be started
 * costs speed only: the others take its runs. `fan` must not move until ks_fan_stop.
 */
void ks_fan_start(ks_fan *fan, unsigned threads, size_t count, size_t run,
                  void (*work)(void *, ks_runs *), void *context);

/*
 * Calls `work` on this thread, which gets runs until `until_ns` and at least one. Returns 1 when all
 * runs are done and the helpers have ended, 0 when this is to be called again.
 */
int ks_fan_step(ks_fan *fan, uint64_t until_ns);

/* Gives out no more runs, and waits for those that are being worked on. May be called at any time. */
void ks_fan_stop(ks_fan *fan);

/* All of that in one: returns when everything is done. */
void ks_fan_out(unsigned threads, size_t count, size_t run, void (*work)(void *, ks_runs *),
                void *context);

#endif
