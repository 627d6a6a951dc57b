/*
 * Arithmetic modulo n, the order of P-384: from (digest, r, s) to the multipliers of G and Q, as digits.
 *
 * Representation. Six words of 64 bits, the lowest first, always below n.
 */
#ifndef P384_SCALAR_H
#define P384_SCALAR_H

#include <stddef.h>

#include "kernel/kernel_digits.h"
#include "p384_limbs.h"

/* Digits, as kernel_digits.h has them: 48 windows of 8 bits, 96 windows of 4. */
#define P384_DIGIT_BITS 384

typedef struct p384_digits {
    uint64_t word[P384_DIGIT_BITS / 64];
    uint64_t minus; /* 1 if the digits are those of n - u */
} p384_digits;

/* The numbers of one signature. In: digest, r and s, with 0 < r, s < n. Out: u1 and u2. */
typedef struct p384_signature {
    uint64_t digest[P384_WORDS];
    uint64_t r[P384_WORDS];
    uint64_t s[P384_WORDS];
    p384_digits u1; /* digest / s, the multiplier of G */
    p384_digits u2; /* r / s, the multiplier of Q */
} p384_signature;

/* r and s of an ES384 signature are in 1..n-1 (FIPS 186-5 §6.4.2 step 1). */
int ks_p384_scalar_in_range(const uint64_t a[P384_WORDS]);

#define P384_MOST_INVERTED 64u

/* FIPS 186-5 §6.4.2 steps 3 and 4, for at most P384_MOST_INVERTED signatures with one inversion. */
void ks_p384_multipliers(p384_signature *const *signatures, size_t count);

#endif
