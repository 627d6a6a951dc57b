/*
 * Arithmetic modulo n, the order of a curve: from (digest, r, s) to the multipliers of G and Q, as digits.
 *
 * Representation. Words of 64 bits, the lowest first, always below n. So many as n has, R is 2^64 to the
 * power of their number.
 *
 * Include with these defined, by which P-256 and P-384 differ:
 *
 *   WORDS, DIGIT_BITS, MOST_INVERTED           numbers
 *   signature_numbers, signature_digits        the curve's p256_signature and p256_digits
 *   scalar, order                              a struct of `word[WORDS]`; n
 *   ORDER_INVERSE, order_r2                    -1 / n modulo 2^64; R² modulo n
 *   order_invert(inverse, a)                   1 / a modulo n
 */
#ifndef KERNEL_SCALAR_H
#define KERNEL_SCALAR_H

#include <stddef.h>
#include <string.h>

#include "kernel_words.h"

__extension__ typedef unsigned __int128 wide;

static int scalar_in_range(const uint64_t a[WORDS]) {
    return !ks_words_are_zero(a, WORDS) && ks_words_below(a, order, WORDS);
}

/* a - n if that is not negative; a is below 2n, the bit above its words in `above`. */
static scalar order_reduce(scalar a, uint64_t above) {
    scalar less;
    uint64_t borrow = 0;
    for (int i = 0; i < WORDS; i++) {
        wide difference = (wide)a.word[i] - order[i] - borrow;
        less.word[i] = (uint64_t)difference;
        borrow = (uint64_t)(difference >> 64) & 1;
    }
    return above >= borrow ? less : a;
}

/* sum += a · b. What does not fit is returned. */
static inline uint64_t words_add_product(uint64_t sum[WORDS + 1],
                                         const uint64_t a[WORDS], uint64_t b) {
    wide carry = 0;
    for (int i = 0; i < WORDS; i++) {
        carry += (wide)a[i] * b + sum[i];
        sum[i] = (uint64_t)carry;
        carry >>= 64;
    }
    carry += sum[WORDS];
    sum[WORDS] = (uint64_t)carry;
    return (uint64_t)(carry >> 64);
}

/* Montgomery's product a · b / R modulo n, for a below R and b below n. */
static scalar scalar_mul(scalar a, scalar b) {
    uint64_t sum[2 * WORDS + 1] = {0};
    /* Word i is cleared with a multiple of n, and the sum goes on from word i + 1. */
    for (int i = 0; i < WORDS; i++) {
        uint64_t above = words_add_product(sum + i, a.word, b.word[i]);
        above += words_add_product(sum + i, order, sum[i] * ORDER_INVERSE);
        sum[i + WORDS + 1] = above;
    }
    scalar upper;
    memcpy(upper.word, sum + WORDS, sizeof upper.word);
    return order_reduce(upper, sum[2 * WORDS]);
}

/* kernel_digits.h says which. */
static signature_digits digits_of(scalar u) {
    signature_digits out = {.minus = (u.word[0] & 1) == 0};
    if (out.minus) { /* n is odd, so n - u is */
        uint64_t borrow = 0;
        for (int i = 0; i < WORDS; i++) {
            wide difference = (wide)order[i] - u.word[i] - borrow;
            u.word[i] = (uint64_t)difference;
            borrow = (uint64_t)(difference >> 64) & 1;
        }
    }
    for (int i = 0; i < WORDS; i++) {
        uint64_t next = i + 1 < WORDS ? u.word[i + 1] : 0;
        out.word[i] = u.word[i] >> 1 | next << 63;
    }
    out.word[(DIGIT_BITS - 1) / 64] |= UINT64_C(1) << ((DIGIT_BITS - 1) % 64);
    return out;
}

static scalar scalar_of(const uint64_t words[WORDS]) {
    scalar out;
    memcpy(out.word, words, sizeof out.word);
    return out;
}

/*
 * Montgomery's trick (Math. Comp. 48, 1987): invert the product of all s, and go back. Products here
 * divide by R: product[k] is s_0 … s_k / R^k, `rest` is R / product[k] on the way back, and so
 * rest · product[k - 1] / R is R / s_k, which times a digest, divided by R, is the digest / s_k.
 */
static void multipliers_compute(signature_numbers *const *signatures, size_t count) {
    scalar product[MOST_INVERTED], rest;
    if (count == 0) {
        return;
    }
    product[0] = scalar_of(signatures[0]->s);
    for (size_t k = 1; k < count; k++) {
        product[k] = scalar_mul(product[k - 1], scalar_of(signatures[k]->s));
    }
    order_invert(rest.word, product[count - 1].word);
    rest = scalar_mul(rest, order_r2);
    for (size_t k = count; k-- > 0;) {
        signature_numbers *signature = signatures[k];
        scalar inverse = k > 0 ? scalar_mul(rest, product[k - 1]) : rest;
        signature->u1 = digits_of(scalar_mul(scalar_of(signature->digest), inverse));
        signature->u2 = digits_of(scalar_mul(scalar_of(signature->r), inverse));
        rest = scalar_mul(rest, scalar_of(signature->s));
    }
}

#endif
