/*
 * Tables of points of P-384, and verification with them: one signature at a time, for every CPU.
 *
 * The kernel settles only one answer, "valid". Whatever else it finds (another x, or an exception in the
 * formulas) leaves the verdict at 0, and whoever called it asks OpenSSL.
 */
#ifndef P384_KERNEL_H
#define P384_KERNEL_H

#include "kernel/kernel_run.h"
#include "p384_limbs.h"
#include "p384_scalar.h"

/* An affine point of kernel_formulas.h, in memory. */
typedef struct p384_entry {
    uint64_t x[P384_LIMBS];
    uint64_t y[P384_LIMBS];
} p384_entry;

/*
 * For a point that recurs much, G or an issuer's key: window i holds P, 3P, … 255P times 2^(8 i), so
 * that u · P is 48 additions and no doubling. 688 KB: two bits more would be 2.2 MB for nine additions
 * less, and push others out of the caches.
 */
#define P384_WIDE_BITS 8u
#define P384_WIDE_WINDOWS (P384_DIGIT_BITS / P384_WIDE_BITS)
#define P384_WIDE_ENTRIES (1u << (P384_WIDE_BITS - 1))

typedef struct p384_wide {
    p384_entry window[P384_WIDE_WINDOWS][P384_WIDE_ENTRIES];
} p384_wide;

/*
 * For a key that was seen before: tooth i holds P, 3P, … 15P times 2^(48 i), so that u · P is 96
 * additions and 44 doublings instead of 380. 7 KB.
 */
#define P384_COMB_BITS 4u
#define P384_COMB_TEETH 8u
#define P384_COMB_WINDOWS (P384_DIGIT_BITS / P384_COMB_BITS / P384_COMB_TEETH)
#define P384_COMB_ENTRIES (1u << (P384_COMB_BITS - 1))

typedef struct p384_comb {
    p384_entry teeth[P384_COMB_TEETH][P384_COMB_ENTRIES];
} p384_comb;

/* A signature and its key, the key in the form that the function called for wants. */
typedef struct p384_job {
    p384_signature *signature;
    union {
        const p384_entry *point; /* on the curve */
        const p384_comb *comb;
        const p384_wide *wide;
    } key;
    uint8_t *verdict; /* becomes 1 if the signature is valid */
} p384_job;

#define P384_MOST_JOBS KS_MOST_JOBS

/* The base point (SP 800-186 §3.2.1.4). */
extern const p384_entry ks_p384_base;

/* 1 and the point's entry if x and y are below p and on the curve, else 0. */
int ks_p384_point_read(p384_entry *point, const uint8_t x[P384_OCTETS],
                       const uint8_t y[P384_OCTETS]);

/* 1, or 0 if `point` is not on the curve. */
int ks_p384_build_wide(p384_wide *table, const p384_entry *point);
void ks_p384_build_comb(p384_comb *comb, const p384_entry *point);

/* FIPS 186-5 §6.4.2 steps 5 to 8. `g` is the table of the base point. */
void ks_p384_verify_wide(const p384_wide *g, const p384_job *jobs, size_t count);
void ks_p384_verify_comb(const p384_wide *g, const p384_job *jobs, size_t count);
void ks_p384_verify_point(const p384_wide *g, const p384_job *jobs, size_t count);

#endif
