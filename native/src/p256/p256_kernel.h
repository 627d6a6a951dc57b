/*
 * Tables of points, and what a kernel does with them.
 *
 * A kernel settles only one answer, "valid". Whatever else it finds (another x, or an exception in the
 * formulas) leaves the verdict at 0, and whoever called it asks OpenSSL.
 */
#ifndef P256_KERNEL_H
#define P256_KERNEL_H

#include "kernel/kernel_run.h"
#include "p256_limbs.h"
#include "p256_scalar.h"

/* An affine point of kernel_formulas.h, in memory. */
typedef struct p256_entry {
    uint64_t x[P256_LIMBS];
    uint64_t y[P256_LIMBS];
} p256_entry;

/*
 * For a point that recurs much, G or an issuer's key: window i holds P, 3P, … 1023P times 2^(10 i), so
 * that u · P is 26 additions and no doubling. 1.04 MB: one step wider is 3.5 MB, and then two tables
 * leave the second-level cache of every CPU that has IFMA.
 */
#define P256_WIDE_BITS 10u
#define P256_WIDE_WINDOWS (P256_DIGIT_BITS / P256_WIDE_BITS)
#define P256_WIDE_ENTRIES (1u << (P256_WIDE_BITS - 1))

typedef struct p256_wide {
    p256_entry window[P256_WIDE_WINDOWS][P256_WIDE_ENTRIES];
} p256_wide;

/*
 * For a key that was seen before: block i holds the first odd multiples of 2^(65 i) · P, so that u · P
 * is 52 additions and 60 doublings instead of 255. 5 KB.
 */
#define P256_COMB_BITS 5u
#define P256_COMB_BLOCKS 4u
#define P256_COMB_WINDOWS (P256_DIGIT_BITS / P256_COMB_BITS / P256_COMB_BLOCKS)
#define P256_COMB_ENTRIES (1u << (P256_COMB_BITS - 1))

typedef struct p256_comb {
    p256_entry block[P256_COMB_BLOCKS][P256_COMB_ENTRIES];
} p256_comb;

/* A signature and its key, the key in the form that the function called for wants. */
typedef struct p256_job {
    p256_signature *signature;
    union {
        const p256_entry *point; /* on the curve */
        const p256_comb *comb;
        const p256_wide *wide;
        const p256_entry *entries; /* of either table */
    } key;
    uint8_t *verdict; /* becomes 1 if the signature is valid */
} p256_job;

#define P256_MOST_JOBS KS_MOST_JOBS

typedef struct p256_kernel {
    const char *path; /* what ks_verify_path says */
    unsigned lanes;
    ks_costs costs;

    /* One thread's scratch, aligned to 64 bytes; 0 if none is needed. */
    size_t scratch_bytes;

    /* 1, or 0 if there is no memory, or `point` is not on the curve. */
    int (*build_wide)(p256_wide *table, const p256_entry *point);

    /* FIPS 186-5 §6.4.2 steps 5 to 8. `g` is the table of the base point. */
    void (*verify_wide)(const p256_wide *g, const p256_job *jobs, size_t count);

    /* NULL where OpenSSL is as fast. */
    void (*verify_point)(const p256_wide *g, const p256_job *jobs, size_t count, void *scratch);
    void (*verify_comb)(const p256_wide *g, const p256_job *jobs, size_t count);
    void (*build_combs)(p256_comb *const *combs, const p256_entry *const *points, size_t count,
                        void *scratch);
} p256_kernel;

extern const p256_kernel ks_p256_kernel_portable;
#if defined(__x86_64__)
extern const p256_kernel ks_p256_kernel_ifma; /* only where ks_p256_has_ifma() */
#endif

/* --- what p256_kernel_portable.c has for all kernels -------------------------------------------- */

/* The base point (SP 800-186 §3.2.1.3). */
extern const p256_entry ks_p256_base;

/* 1 and the point's entry if x and y are below p and on the curve, else 0. */
int ks_p256_point_read(p256_entry *point, const uint8_t x[P256_OCTETS],
                       const uint8_t y[P256_OCTETS]);

/* points[i] := 2^(spacing i) · point */
#define P256_MOST_POWERS 32u
void ks_p256_powers(p256_entry *points, size_t count, unsigned spacing, const p256_entry *point);

/* Each element becomes its inverse, with one inversion for all; one that is 0 stays 0. */
#define P256_MOST_FIELD_INVERTED 32u
void ks_p256_invert_all(uint64_t (*elements)[P256_LIMBS], size_t count);

#endif
