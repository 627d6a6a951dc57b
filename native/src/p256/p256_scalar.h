/*
 * Arithmetic modulo n, the order of P-256: from (digest, r, s) to the multipliers of G and Q, as digits.
 *
 * Representation. Four words of 64 bits, the lowest first, always below n.
 */
#ifndef P256_SCALAR_H
#define P256_SCALAR_H

#include <stddef.h>

#include "kernel/kernel_digits.h"
#include "p256_limbs.h"

/* Digits, as kernel_digits.h has them: 26 windows of 10 bits, 52 windows of 5. */
#define P256_DIGIT_BITS 260
#define P256_DIGIT_WORDS 5

typedef struct p256_digits {
    uint64_t word[P256_DIGIT_WORDS];
    uint64_t minus; /* 1 if the digits are those of n - u */
} p256_digits;

typedef ks_digit p256_digit;

static inline p256_digit p256_digit_at(const p256_digits *digits, unsigned bit, unsigned width) {
    return ks_digit_at(digits->word, digits->minus, bit, width);
}

/* The same digits for windows of 8 and 4 bits, of which there are 33 and 66: only the topmost bit moves. */
#define P256_LONGER_DIGIT_BITS 264

static inline p256_digits p256_digits_longer(const p256_digits *of) {
    p256_digits out = *of;
    out.word[P256_DIGIT_WORDS - 1] = UINT64_C(1) << ((P256_LONGER_DIGIT_BITS - 1) % 64);
    return out;
}

/* The numbers of one signature. In: digest, r and s, with 0 < r, s < n. Out: u1 and u2. */
typedef struct p256_signature {
    uint64_t digest[P256_WORDS];
    uint64_t r[P256_WORDS];
    uint64_t s[P256_WORDS];
    p256_digits u1; /* digest / s, the multiplier of G */
    p256_digits u2; /* r / s, the multiplier of Q */
} p256_signature;

/* r and s of an ES256 signature are in 1..n-1 (FIPS 186-5 §6.4.2 step 1). */
int ks_p256_scalar_in_range(const uint64_t a[P256_WORDS]);

#define P256_MOST_INVERTED 64u

/* FIPS 186-5 §6.4.2 steps 3 and 4, for at most P256_MOST_INVERTED signatures with one inversion. */
void ks_p256_multipliers(p256_signature *const *signatures, size_t count);

#endif
