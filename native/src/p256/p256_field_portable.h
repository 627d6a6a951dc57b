/*
 * Arithmetic modulo p, one element at a time, for every CPU: the functions of p256_field_lanes.h under
 * the same names, so that kernel_formulas.h is compiled with either.
 *
 * Representation. p256_words.h: always below p, a standing for a · 2^256 mod p. So nothing is loose here,
 * carries and folds do nothing, and a difference needs no multiple of p to stay positive.
 *
 * Points come in limbs and go in limbs, with 2^260, as all kernels have them: fe_load and fe_store.
 */
#ifndef P256_FIELD_PORTABLE_H
#define P256_FIELD_PORTABLE_H

#include "kernel/kernel_inverse.h"
#include "p256_words.h"

typedef p256_words fe;

typedef int fe_mask; /* 1 or 0 */
#define FE_SHARED __attribute__((unused)) static

static inline fe fe_one(void) {
    return (fe){{0x0000000000000001, 0xffffffff00000000, 0xffffffffffffffff, 0x00000000fffffffe}};
}

/* --- sums --------------------------------------------------------------------------------------- */

P256_INLINE fe fe_add(fe a, fe b) {
    return words_add(a, b);
}

P256_INLINE fe fe_sub(fe a, fe b, unsigned multiple) {
    (void)multiple;
    return words_sub(a, b);
}

P256_INLINE fe fe_negate(fe a, unsigned multiple) {
    return fe_sub((fe){{0}}, a, multiple);
}

P256_INLINE fe fe_times_2(fe a) {
    return fe_add(a, a);
}
P256_INLINE fe fe_times_3(fe a) {
    return fe_add(fe_add(a, a), a);
}
P256_INLINE fe fe_times_4(fe a) {
    return fe_times_2(fe_times_2(a));
}

P256_INLINE fe fe_choose(fe_mask which, fe where_set, fe where_clear) {
    uint64_t mask = 0 - (uint64_t)which; /* signs are random, and a branch on one is guessed */
    for (int i = 0; i < P256_WORDS; i++) {
        where_clear.word[i] ^= (where_clear.word[i] ^ where_set.word[i]) & mask;
    }
    return where_clear;
}

P256_INLINE fe fe_settle(fe a) {
    return a;
}
P256_INLINE fe fe_carry(fe a) {
    return a;
}
P256_INLINE fe fe_fold(fe a) {
    return a;
}

/* --- products ----------------------------------------------------------------------------------- */

P256_INLINE fe fe_mul(fe a, fe b) {
    return words_product(a, b);
}

P256_INLINE fe fe_square(fe a) {
    return words_product(a, a);
}

/* a b + c d */
P256_INLINE fe fe_mul_add(fe a, fe b, fe c, fe d) {
    return fe_add(fe_mul(a, b), fe_mul(c, d));
}

P256_INLINE fe fe_mul_carried(fe a, fe b) {
    return fe_mul(a, b);
}
P256_INLINE fe fe_mul_loose(fe a, fe b) {
    return fe_mul(a, b);
}
P256_INLINE fe fe_square_carried(fe a) {
    return fe_square(a);
}
P256_INLINE fe fe_square_loose(fe a) {
    return fe_square(a);
}
P256_INLINE fe fe_mul_double(fe a, fe b) {
    return fe_mul(fe_times_2(a), b);
}

/* --- tests -------------------------------------------------------------------------------------- */

static inline fe_mask fe_is_zero(fe a) {
    return p256_words_are_zero(a.word);
}

/* --- in and out --------------------------------------------------------------------------------- */

/* Of a number below 2^256. */
static inline fe fe_of(const uint64_t words[P256_WORDS]) {
    const fe r2 = {{0x0000000000000003, 0xfffffffbffffffff, 0xfffffffffffffffe, 0x00000004fffffffd}};
    return fe_mul((fe){{words[0], words[1], words[2], words[3]}}, r2);
}

/* The number itself, below p. */
static inline void fe_write(uint64_t words[P256_WORDS], fe a) {
    fe plain = fe_mul(a, (fe){{1}});
    for (int i = 0; i < P256_WORDS; i++) {
        words[i] = plain.word[i];
    }
}

/* 1 / a; 0 has none and gives 0. As long as a hundred multiplications. */
static inline fe fe_invert(fe a) {
    static const ks_modulus field = {
        .words = {0xffffffffffffffff, 0x00000000ffffffff, 0, P256_PRIME_TOP},
        .inverse_62 = 0x3fffffffffffffff,
    };
    uint64_t words[P256_WORDS];
    fe_write(words, a);
    ks_invert(words, words, &field);
    return fe_of(words);
}

/*
 * From limbs, settled and below 2p, that stand for a · 2^260: what is wanted is a sixteenth of that. Since
 * p is -1 modulo 16, the number becomes divisible by adding p as often as its last four bits say; it is
 * below 17p then, and a sixteenth of that below 2p.
 */
P256_INLINE fe fe_load(const uint64_t limbs[P256_LIMBS]) {
    uint64_t times = limbs[0] & 15, limb[P256_LIMBS], carry = 0;
    for (int i = 0; i < P256_LIMBS; i++) {
        limb[i] = limbs[i] + times * p256_prime[i] + carry;
        carry = limb[i] >> P256_LIMB_BITS;
        limb[i] &= i < P256_LIMBS - 1 ? P256_LIMB_MASK : UINT64_MAX;
    }
    fe out = {{
        limb[0] >> 4 | limb[1] << 48,
        limb[1] >> 16 | limb[2] << 36,
        limb[2] >> 28 | limb[3] << 24,
        limb[3] >> 40 | limb[4] << 12,
    }};
    return words_reduce(out, limb[4] >> P256_LIMB_BITS);
}

/* The way back: sixteen times a, in limbs. */
static inline void fe_store(uint64_t limbs[P256_LIMBS], fe a) {
    const fe sixteen = {{0x0000000000000010, 0xfffffff000000000, 0xffffffffffffffff, 0x0000000fffffffef}};
    p256_limbs_of(limbs, fe_mul(a, sixteen).word);
}

#endif
