/*
 * Tables of points, and what a kernel does with them.
 *
 * A kernel settles only one answer, "valid". Whatever else it finds leaves the verdict at 0, and whoever
 * called it asks OpenSSL.
 *
 * Points and tables are words (ed25519_words.h), so that they are the same for all kernels.
 */
#ifndef ED25519_KERNEL_H
#define ED25519_KERNEL_H

#include <stddef.h>

#include "ed25519_scalar.h"
#include "kernel/kernel_run.h"

typedef struct ed25519_point {
    ed25519_number x, y;
} ed25519_point;

/* A point that is added to others: y + x, y - x and 2 d x y, canonical. */
typedef struct ed25519_entry {
    ed25519_number plus, minus, product;
} ed25519_entry;

/*
 * For a point that recurs much, B or an issuer's key: window i holds 0, P, 2P, … 512P times 2^(10 i), so
 * that u · P is 26 additions and no doubling. 1.28 MB.
 */
#define ED25519_WIDE_WINDOWS (ED25519_DIGIT_BITS / ED25519_WIDE_BITS)
#define ED25519_WIDE_ENTRIES ((1u << (ED25519_WIDE_BITS - 1)) + 1)

typedef struct ed25519_wide {
    ed25519_entry window[ED25519_WIDE_WINDOWS][ED25519_WIDE_ENTRIES];
} ed25519_wide;

/*
 * For a key that was seen before: tooth i holds 0 to 16 times 2^(65 i) · P, so that u · P is 51 additions
 * and 60 doublings instead of 250. 6.5 KB. The digit of window 51 is always 0, as u is below 2^253.
 */
#define ED25519_COMB_TEETH 4u
#define ED25519_COMB_WINDOWS (ED25519_DIGIT_BITS / ED25519_NARROW_BITS / ED25519_COMB_TEETH)
#define ED25519_NARROW_WINDOWS 51u
#define ED25519_NARROW_ENTRIES ((1u << (ED25519_NARROW_BITS - 1)) + 1)

typedef struct ed25519_comb {
    ed25519_entry teeth[ED25519_COMB_TEETH][ED25519_NARROW_ENTRIES];
} ed25519_comb;

/* One signature, R ‖ S. */
typedef struct ed25519_signature {
    ed25519_number r; /* R as it is encoded */
    ed25519_digits s; /* S, which is below L, in wide digits */
    ed25519_digits h; /* SHA-512(R ‖ A ‖ M) modulo L, in wide digits for a wide table, or narrow ones */
} ed25519_signature;

/* A signature and its key, negated, in the form that the function called for wants. */
typedef struct ed25519_job {
    const ed25519_signature *signature;
    union {
        const ed25519_point *point; /* on the curve */
        const ed25519_comb *comb;
        const ed25519_wide *wide;
        const ed25519_entry *entries; /* of either table */
    } key;
    uint8_t *verdict; /* becomes 1 if the signature is valid */
} ed25519_job;

#define ED25519_MOST_JOBS KS_MOST_JOBS

/* What is hashed: R ‖ A ‖ M (RFC 8032 §5.1.7 step 2). */
typedef struct ed25519_hashed {
    const uint8_t *r, *a; /* of 32 octets */
    ks_view message;
} ed25519_hashed;

/* Octets of a message that a kernel hashes: neighbours wait for the longest one, so that a longer one is
 * OpenSSL's. */
#define ED25519_MOST_HASHED 4096u

typedef struct ed25519_kernel {
    const char *path; /* what ks_verify_path says */
    unsigned lanes;
    ks_costs costs;

    /* One thread's scratch, aligned to 64 bytes. */
    size_t scratch_bytes;

    /*
     * Decodes keys as OpenSSL does, and negates them: points[i] := -A, and on_curve[i] whether there is
     * such a point; if not, points[i] is not meant.
     */
    void (*keys_decode)(ed25519_point *points, uint8_t *on_curve, const ed25519_number *keys,
                        size_t count);

    /* 1, or 0 if there is no memory. */
    int (*build_wide)(ed25519_wide *table, const ed25519_point *point);
    void (*build_combs)(ed25519_comb *const *combs, const ed25519_point *const *points,
                        size_t count);

    /* RFC 8032 §5.1.7 step 3, without the cofactor: R = S B - h A. `base` is the table of B. */
    void (*verify_wide)(const ed25519_wide *base, const ed25519_job *jobs, size_t count);
    void (*verify_comb)(const ed25519_wide *base, const ed25519_job *jobs, size_t count);
    void (*verify_point)(const ed25519_wide *base, const ed25519_job *jobs, size_t count,
                         void *scratch);

    /* SHA-512 of each, of messages up to ED25519_MOST_HASHED; NULL where OpenSSL's is as fast. */
    void (*hash)(uint8_t (*digests)[2 * ED25519_OCTETS], const ed25519_hashed *inputs, size_t count);
} ed25519_kernel;

extern const ed25519_kernel ks_ed25519_kernel_portable;
#if defined(__x86_64__)
extern const ed25519_kernel ks_ed25519_kernel_ifma; /* only where ks_cpu_has_ifma() */
#endif

/* The base point (RFC 8032 §5.1). */
extern const ed25519_point ks_ed25519_base;

/* Each element becomes its inverse modulo p, with one inversion for all; none may be 0. */
#define ED25519_MOST_INVERTED 8u
void ks_ed25519_invert_all(ed25519_number *elements, size_t count);

#endif
