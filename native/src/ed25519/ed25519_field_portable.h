/*
 * Arithmetic modulo p = 2^255 - 19, one element at a time, for every CPU: the functions of
 * ed25519_field_lanes.h under the same names, so that all that is above the field is compiled with
 * either.
 *
 * Representation. Five limbs of 51 bits, the lowest first, in 64-bit words: the 13 bits above a limb
 * hold sums, so that sums are multiplied as they are (Bernstein, Duif, Lange, Schwabe and Yang,
 * "High-speed high-security signatures", CHES 2011, §4).
 *
 *   settled   every limb below 2^51 + 2^13: what a product is, whether called loose or carried
 *   loose     every limb below 2^54, what may be multiplied; all are positive, so fe_sub's multiple of p
 *             has to exceed b in each limb (2 for a settled b)
 *
 * `native/test/test_ed25519_values.c` computes these bounds through each formula.
 */
#ifndef ED25519_FIELD_PORTABLE_H
#define ED25519_FIELD_PORTABLE_H

#include "ed25519_words.h"

#define FE_LIMBS 5
#define FE_LIMB_BITS 51
#define FE_LIMB_MASK ((UINT64_C(1) << FE_LIMB_BITS) - 1)
#define FE_EACH_LIMB

typedef struct fe {
    lanes limb[FE_LIMBS];
} fe;

#define FE_FUNCTION static inline
#define FE_SHARED static

__extension__ typedef unsigned __int128 fe_wide;

/* --- sums: limb by limb, without carries -------------------------------------------------------- */

static inline fe fe_add(fe a, fe b) {
    for (int i = 0; i < FE_LIMBS; i++) {
        a.limb[i] += b.limb[i];
    }
    return a;
}

static inline fe fe_sub(fe a, fe b, unsigned multiple) {
    for (int i = 0; i < FE_LIMBS; i++) {
        a.limb[i] += multiple * (FE_LIMB_MASK - (i == 0 ? 18 : 0)) - b.limb[i];
    }
    return a;
}

static inline fe fe_times_2(fe a) {
    return fe_add(a, a);
}

static inline fe fe_choose(lane_mask which, fe where_set, fe where_clear) {
    return which ? where_set : where_clear;
}

/* --- carries ------------------------------------------------------------------------------------ */

static inline fe fe_carry(fe a) {
    return a;
}

/* Once around: what is above bit 255 comes back as 19 times itself. */
static inline fe fe_settle(fe a) {
    uint64_t carry = 0;
    for (int i = 0; i < FE_LIMBS; i++) {
        a.limb[i] += carry;
        carry = a.limb[i] >> FE_LIMB_BITS;
        a.limb[i] &= FE_LIMB_MASK;
    }
    a.limb[0] += 19 * carry;
    return a;
}

/*
 * Below 2^255 + 2^10 after once around, so the number or the number less p is the one below p: the
 * latter if the number + 19 reaches bit 255, and then once around takes p off and leaves 19 too much.
 */
static inline fe fe_canonical(fe a) {
    a = fe_settle(fe_settle(a));
    uint64_t reaches = 19;
    for (int i = 0; i < FE_LIMBS; i++) {
        reaches = (a.limb[i] + reaches) >> FE_LIMB_BITS;
    }
    a.limb[0] += 19 * reaches;
    for (int i = 1; i < FE_LIMBS; i++) {
        a.limb[i] += a.limb[i - 1] >> FE_LIMB_BITS;
        a.limb[i - 1] &= FE_LIMB_MASK;
    }
    a.limb[FE_LIMBS - 1] &= FE_LIMB_MASK;
    return a;
}

/* --- products ----------------------------------------------------------------------------------- */

/* Columns below (1 + 4 · 19) · 2^108, the last one below 5 · 2^108: so 19 times its carry fits a word. */
static inline fe fe_columns_reduce(fe_wide c0, fe_wide c1, fe_wide c2, fe_wide c3, fe_wide c4) {
    fe out;
    c1 += (uint64_t)(c0 >> FE_LIMB_BITS);
    c2 += (uint64_t)(c1 >> FE_LIMB_BITS);
    c3 += (uint64_t)(c2 >> FE_LIMB_BITS);
    c4 += (uint64_t)(c3 >> FE_LIMB_BITS);
    uint64_t low = ((uint64_t)c0 & FE_LIMB_MASK) + 19 * (uint64_t)(c4 >> FE_LIMB_BITS);
    out.limb[0] = low & FE_LIMB_MASK;
    out.limb[1] = ((uint64_t)c1 & FE_LIMB_MASK) + (low >> FE_LIMB_BITS);
    out.limb[2] = (uint64_t)c2 & FE_LIMB_MASK;
    out.limb[3] = (uint64_t)c3 & FE_LIMB_MASK;
    out.limb[4] = (uint64_t)c4 & FE_LIMB_MASK;
    return out;
}

static inline fe fe_mul(fe x, fe y) {
    const uint64_t *a = x.limb, *b = y.limb;
    const uint64_t b1 = 19 * b[1], b2 = 19 * b[2], b3 = 19 * b[3], b4 = 19 * b[4];
#define P(i, factor) ((fe_wide)a[i] * (factor))
    return fe_columns_reduce(P(0, b[0]) + P(1, b4) + P(2, b3) + P(3, b2) + P(4, b1),
                             P(0, b[1]) + P(1, b[0]) + P(2, b4) + P(3, b3) + P(4, b2),
                             P(0, b[2]) + P(1, b[1]) + P(2, b[0]) + P(3, b4) + P(4, b3),
                             P(0, b[3]) + P(1, b[2]) + P(2, b[1]) + P(3, b[0]) + P(4, b4),
                             P(0, b[4]) + P(1, b[3]) + P(2, b[2]) + P(3, b[1]) + P(4, b[0]));
#undef P
}

static inline fe fe_square(fe x) {
    const uint64_t *a = x.limb;
    const uint64_t d0 = 2 * a[0], d1 = 2 * a[1], d2 = 2 * a[2];
    const uint64_t a3 = 19 * a[3], a4 = 19 * a[4], d4 = 2 * a4;
    return fe_columns_reduce((fe_wide)a[0] * a[0] + (fe_wide)a[1] * d4 + (fe_wide)d2 * a3,
                             (fe_wide)d0 * a[1] + (fe_wide)a[2] * d4 + (fe_wide)a[3] * a3,
                             (fe_wide)d0 * a[2] + (fe_wide)a[1] * a[1] + (fe_wide)a[3] * d4,
                             (fe_wide)d0 * a[3] + (fe_wide)d1 * a[2] + (fe_wide)a[4] * a4,
                             (fe_wide)d0 * a[4] + (fe_wide)d1 * a[3] + (fe_wide)a[2] * a[2]);
}

static inline fe fe_mul_carried(fe a, fe b) {
    return fe_mul(a, b);
}
static inline fe fe_mul_loose(fe a, fe b) {
    return fe_mul(a, b);
}
static inline fe fe_square_carried(fe a) {
    return fe_square(a);
}
static inline fe fe_square_loose(fe a) {
    return fe_square(a);
}

#endif
