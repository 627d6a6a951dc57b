/*
 * A run of items between a kernel and OpenSSL: which item goes which way, for every algorithm that has
 * kernels.
 *
 * The rule. A kernel answers "valid" and nothing else. Everything else is OpenSSL's: what a kernel did
 * not find valid, and what the algorithm did not like to show it. Kernels work on credit
 * (kernel_credit.h), so that this costs a bounded share of the time.
 */
#ifndef KERNEL_RUN_H
#define KERNEL_RUN_H

#include "kernel_credit.h"
#include "ks_engine.h"

/* Items that a kernel sees at once: eight fillings of eight lanes. */
#define KS_MOST_JOBS 64u

/* Which way an item goes: by its key's table, or past the kernel. */
typedef enum ks_way {
    KS_WIDE,
    KS_COMB,
    KS_POINT,
    KS_KERNEL_WAYS, /* so many are the kernel's */
    KS_OPENSSL,
    KS_REFUSED, /* not valid, whatever OpenSSL would say */
} ks_way;

/* What one filling of lanes costs each way, in the credit's units. */
typedef struct ks_costs {
    unsigned of[KS_KERNEL_WAYS];
} ks_costs;

/* What a run wants of an algorithm. `worker` is one thread's; keys are the engine's own. */
typedef struct ks_scheme {
    ks_algorithm algorithm;
    const ks_engine *openssl;
    ks_credit *credit;
    void *(*key_openssl)(void *key); /* in OpenSSL's form, or NULL if it has none */
    /* A signature was valid under this key, which has no table: its holder is no forger, and may come
     * again. Any thread may say so, and more than once. */
    void (*key_proved)(void *key);

    /* Makes the job of item `place` of the run, and says where it goes; `verdict` is the item's. */
    ks_way (*job_read)(void *worker, size_t place, void *key, const ks_verify_item *item,
                       uint8_t *verdict);
    /* Shows the kernel those jobs, all of one way; a valid one's verdict becomes 1. */
    void (*jobs_verify)(void *worker, ks_way way, const size_t *places, size_t count);
} ks_scheme;

typedef struct ks_runner {
    const ks_scheme *scheme;
    unsigned lanes;
    ks_costs costs;
    void *openssl; /* OpenSSL's worker, made when it is first wanted */
} ks_runner;

void ks_runner_close(ks_runner *runner);

/* ks_engine's `verify`, for the worker that the runner belongs to. */
KS_MUST_CHECK ks_status ks_runner_verify(ks_runner *runner, void *worker, void *const *keys,
                                         const ks_verify_item *items, size_t count,
                                         uint8_t *verdicts);

#endif
