/* Dividing a range of work among threads. */
#ifndef KS_FAN_OUT_H
#define KS_FAN_OUT_H

#include <stdatomic.h>
#include <stddef.h>

/* Where the threads of one ks_fan_out call take their next run from. */
typedef struct ks_runs {
    atomic_size_t next;
    size_t count;
    size_t run;
} ks_runs;

/* Takes the next run: [*from, *to). Returns 0 when nothing is left. */
int ks_runs_take(ks_runs *runs, size_t *from, size_t *to);

/*
 * Calls `work(context, runs)` on up to `threads` threads, the calling one included, and returns when
 * all are done. `work` must take runs until none is left; the runs cover 0..count, `run` at a time.
 * A thread that cannot be started costs speed only: the others take its runs.
 */
void ks_fan_out(unsigned threads, size_t count, size_t run, void (*work)(void *, ks_runs *),
                void *context);

#endif
