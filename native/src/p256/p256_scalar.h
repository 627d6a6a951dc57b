/*
 * Arithmetic modulo n, the order of P-256: from (digest, r, s) to the multipliers of G and Q, as digits.
 *
 * Representation. Four words of 64 bits, the lowest first, always below n.
 */
#ifndef P256_SCALAR_H
#define P256_SCALAR_H

#include <stddef.h>

#include "p256_limbs.h"

/*
 * Digits. Every multiplier is written with signed odd digits, none of them 0 (Joye and Tunstall,
 * AFRICACRYPT 2009), so that all lanes add in every step and a table holds odd multiples only. That
 * takes an odd number, hence n - u for an even u, and the opposite points. With
 *
 *   word = (u >> 1) + 2^259
 *
 * the w bits v of `word` from bit w i on are the digit 2 v - (2^w - 1) of weight 2^(w i), whatever
 * divisor w of 260: 26 windows of 10 bits, 52 windows of 5.
 */
#define P256_DIGIT_BITS 260
#define P256_DIGIT_WORDS 5

typedef struct p256_digits {
    uint64_t word[P256_DIGIT_WORDS];
    uint64_t minus; /* 1 if the digits are those of n - u */
} p256_digits;

/* The digit of `width` bits at `bit`: how many odd multiples to pass over, and whether to subtract. */
typedef struct p256_digit {
    uint64_t index;
    int minus;
} p256_digit;

static inline p256_digit p256_digit_at(const p256_digits *digits, unsigned bit, unsigned width) {
    unsigned low = bit % 64;
    uint64_t bits = digits->word[bit / 64] >> low;
    if (low + width > 64) {
        bits |= digits->word[bit / 64 + 1] << (64 - low);
    }
    uint64_t half = UINT64_C(1) << (width - 1);
    int negative = (bits & half) == 0;
    uint64_t index = (negative ? ~bits : bits) & (half - 1);
    return (p256_digit){index, negative ^ (int)digits->minus};
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
