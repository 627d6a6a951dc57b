/*
 * Multipliers of points, written with signed odd digits, none of them 0 (Joye and Tunstall, AFRICACRYPT
 * 2009), so that every step adds and a table holds odd multiples only. That takes an odd number, hence
 * n - u for an even u, and the opposite points. With
 *
 *   word = (u >> 1) + 2^(b - 1)
 *
 * for b bits of digits, u < 2^b, the w bits v of `word` from bit w i on are the digit
 * 2 v - (2^w - 1) of weight 2^(w i), whatever divisor w of b.
 */
#ifndef KERNEL_DIGITS_H
#define KERNEL_DIGITS_H

#include <stdint.h>

/* One digit: how many odd multiples to pass over, and whether to subtract. */
typedef struct ks_digit {
    uint64_t index;
    int minus;
} ks_digit;

/* The digit of `width` bits at `bit` of the words; `minus` is 1 if they are those of n - u. */
static inline ks_digit ks_digit_at(const uint64_t *words, uint64_t minus, unsigned bit,
                                   unsigned width) {
    unsigned low = bit % 64;
    uint64_t bits = words[bit / 64] >> low;
    if (low + width > 64) {
        bits |= words[bit / 64 + 1] << (64 - low);
    }
    uint64_t half = UINT64_C(1) << (width - 1);
    int negative = (bits & half) == 0;
    uint64_t index = (negative ? ~bits : bits) & (half - 1);
    return (ks_digit){index, negative ^ (int)minus};
}

#endif
