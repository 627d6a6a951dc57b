/*
 * What the engines on crypto_mb share: signatures that want the same of the library, and when their lanes
 * are filled.
 */
#ifndef MB_LANES_H
#define MB_LANES_H

#include "kernel/kernel_credit.h"
#include "ks_verify.h"
#include "mb_library.h"

/* Jobs of one group: eight fillings of eight lanes. */
#define MB_MOST_JOBS 64u

typedef struct mb_job {
    const void *key; /* the engine's own, of a kind that the library takes */
    const ks_verify_item *item;
    uint8_t *verdict; /* becomes 1 if the signature is valid */
} mb_job;

typedef struct mb_group {
    mb_job jobs[MB_MOST_JOBS];
    size_t count;
} mb_group;

/* Verifies 1 to MB_LANES jobs in one call of the library. */
typedef void mb_filling(void *worker, const mb_job *jobs, size_t count);

/*
 * Verifies what pays: fillings of `cost` each (128ths of OpenSSL's verification) while there is credit.
 * A verdict that is 0 afterwards says nothing: OpenSSL is to be asked.
 */
void ks_mb_group_verify(const mb_group *group, ks_credit *credit, unsigned cost, mb_filling *fill,
                        void *worker);

#endif
