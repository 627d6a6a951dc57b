/*
 * Tables of points, and what a kernel does with them.
 *
 * A kernel settles only one answer, "valid". Whatever else it finds (another x, or an exception in the
 * formulas) leaves the verdict at 0, and whoever called it asks OpenSSL.
 */
#ifndef P256_KERNEL_H
#define P256_KERNEL_H

#include "kernel/kernel_cache.h"
#include "kernel/kernel_run.h"
#include "p256_point.h"
#include "p256_scalar.h"

/*
 * For a point that recurs much, G or an issuer's key: window i holds P, 3P, … 1023P times 2^(10 i), so
 * that u · P is 26 additions and no doubling. About 1 MB: one step wider is 3.5 MB, and then two tables
 * leave the second-level cache of every CPU that has IFMA.
 */
#define P256_WIDE_BITS 10u
#define P256_WIDE_WINDOWS (P256_DIGIT_BITS / P256_WIDE_BITS)
#define P256_WIDE_ENTRIES (1u << (P256_WIDE_BITS - 1))

/* A signature and its key, the key in the form that the function called for wants. */
typedef struct p256_job {
    p256_signature *signature;
    union {
        const p256_entry *point; /* on the curve */
        const void *table;
    } key;
    uint8_t *verdict; /* becomes 1 if the signature is valid */
} p256_job;

#define P256_MOST_JOBS KS_MOST_JOBS

/* What its tables look like, each kernel knows alone: `void` here, aligned to 64 octets. */
typedef struct p256_kernel {
    const char *path; /* what ks_verify_path says */
    unsigned lanes;
    ks_costs costs;

    ks_cache cache; /* of its tables */
    size_t wide_bytes, comb_bytes;

    /* One thread's scratch, aligned to 64 bytes; 0 if none is needed. */
    size_t scratch_bytes;

    /* 1, or 0 if there is no memory, or `point` is not on the curve. */
    int (*build_wide)(void *table, const p256_entry *point);
    void (*build_combs)(void *const *combs, const p256_entry *const *points, size_t count,
                        void *scratch);

    /* FIPS 186-5 §6.4.2 steps 5 to 8. `g` is the wide table of the base point. */
    void (*verify_wide)(const void *g, const p256_job *jobs, size_t count);
    void (*verify_comb)(const void *g, const p256_job *jobs, size_t count);
    /* NULL where OpenSSL is as fast. */
    void (*verify_point)(const void *g, const p256_job *jobs, size_t count, void *scratch);
} p256_kernel;

extern const p256_kernel ks_p256_kernel_portable;
#if defined(__x86_64__)
extern const p256_kernel ks_p256_kernel_ifma; /* only where ks_cpu_has_ifma() */
#endif

#endif
