/*
 * Arithmetic modulo p, one element at a time, for every CPU: the field that kernel_formulas.h is
 * compiled with here.
 *
 * Representation. p384_limbs.h. Limbs are never negative. In units of 2^56:
 *
 *   form      limbs below   may be
 *   settled   1             multiplied, added, subtracted
 *   loose     32            multiplied, added; and subtracted if the limbs are below 4
 *
 * Products of two loose numbers fit as long as the limits of their limbs, multiplied with each other,
 * stay below 1,024 (the sum of both products in fe_mul_add): then a column of seven is below
 * 2^10 · 7 · 2^112 < 2^125. So nothing is carried between two products, and fe_carry does nothing.
 *
 * As multiples of p, with α p and β p for what comes in:
 *
 *   fe_mul, fe_square    settled   (α p · β p + (R - 1) p) / R < (1 + α β / 256) p, for α β < 255 · 256
 *   fe_mul_add           settled   the same with the sum of both products
 *   fe_fold              settled   α ≤ 15 becomes < 1 + 2^-40
 *   fe_sub(a, b, k)      loose     a - b + k p, for β ≤ k - 2^-40; limbs: those of a, and k + 4 more
 *
 * test_p384_values.c carries this through every formula, and test_p384_field.c computes at the limits.
 */
#ifndef P384_FIELD_H
#define P384_FIELD_H

#include "p384_limbs.h"

typedef struct fe {
    uint64_t limb[P384_LIMBS];
} fe;

typedef int fe_mask; /* 1 or 0 */
#define FE_SHARED static

__extension__ typedef unsigned __int128 fe_product;
__extension__ typedef __int128 fe_wide;

static inline fe fe_constant(const uint64_t limbs[P384_LIMBS]) {
    fe out;
    for (int i = 0; i < P384_LIMBS; i++) {
        out.limb[i] = limbs[i];
    }
    return out;
}

static inline fe fe_one(void) {
    return fe_constant(p384_one);
}

/* --- sums: limb by limb, without carries -------------------------------------------------------- */

static inline fe fe_add(fe a, fe b) {
    for (int i = 0; i < P384_LIMBS; i++) {
        a.limb[i] += b.limb[i];
    }
    return a;
}

/* Each limb of k p borrows 4 from the next, so that it is no less than what is subtracted from it. */
static inline fe fe_sub(fe a, fe b, unsigned multiple) {
    const uint64_t borrowed = UINT64_C(4) << P384_LIMB_BITS, lent = 4;
    for (int i = 0; i < P384_LIMBS; i++) {
        uint64_t padded = multiple * p384_prime[i];
        padded += i < P384_LIMBS - 1 ? borrowed : 0;
        padded -= i > 0 ? lent : 0;
        a.limb[i] += padded - b.limb[i];
    }
    return a;
}

static inline fe fe_negate(fe a, unsigned multiple) {
    return fe_sub((fe){{0}}, a, multiple);
}

static inline fe fe_times_2(fe a) {
    return fe_add(a, a);
}
static inline fe fe_times_3(fe a) {
    return fe_add(fe_add(a, a), a);
}
static inline fe fe_times_4(fe a) {
    return fe_times_2(fe_times_2(a));
}

static inline fe fe_choose(fe_mask which, fe where_set, fe where_clear) {
    return which ? where_set : where_clear;
}

/* --- carries ------------------------------------------------------------------------------------ */

static inline fe fe_carry(fe a) {
    return a;
}

/* Rounds down, as C leaves it to the compiler to do: GCC and clang both say that they do. */
static inline uint64_t fe_carry_of(uint64_t limb) {
    return (uint64_t)((int64_t)limb >> P384_LIMB_BITS);
}

/* The same number, settled; limbs may be negative, in two's complement, if the number is not. */
static inline fe fe_settle(fe a) {
    for (int i = 1; i < P384_LIMBS; i++) {
        a.limb[i] += fe_carry_of(a.limb[i - 1]);
        a.limb[i - 1] &= P384_LIMB_MASK;
    }
    return a;
}

/* 2^384 is 2^128 + 2^96 - 2^32 + 1. */
static inline fe fe_fold(fe a) {
    uint64_t above = a.limb[6] >> 48;
    a.limb[6] &= (UINT64_C(1) << 48) - 1;
    a.limb[0] += above - (above << 32);
    a.limb[1] += above << (96 - 56);
    a.limb[2] += above << (128 - 112);
    return fe_settle(a);
}

/* --- products ----------------------------------------------------------------------------------- */

typedef struct fe_columns {
    fe_wide column[2 * P384_LIMBS - 1];
} fe_columns;

static inline fe_wide fe_limb_product(uint64_t a, uint64_t b) {
    return (fe_wide)((fe_product)a * b);
}

static inline void fe_columns_add_product(fe_columns *c, const fe *a, const fe *b) {
    for (int i = 0; i < P384_LIMBS; i++) {
        for (int j = 0; j < P384_LIMBS; j++) {
            c->column[i + j] += fe_limb_product(a->limb[i], b->limb[j]);
        }
    }
}

/*
 * Column i is cleared with u · p, where u = -column / p modulo 2^56; and -1 / p = 2^32 + 1, since
 * p = 2^32 - 1 modulo 2^96. What is added to or taken from a column is below 2^105, so columns stay
 * within ±2^126. The sum is not negative, and below 256 p; so the last limb has all that is left.
 */
static inline fe fe_columns_reduce(fe_columns *c) {
    for (int i = 0; i < P384_LIMBS; i++) {
        uint64_t low = (uint64_t)c->column[i], u = (low + (low << 32)) & P384_LIMB_MASK;
        fe_wide cleared = c->column[i] + fe_limb_product(u, 0xffffffff);
        c->column[i + 1] += (cleared >> P384_LIMB_BITS) - ((fe_wide)u << (96 - 56));
        c->column[i + 2] -= (fe_wide)u << (128 - 112);
        c->column[i + 6] += (fe_wide)u << (384 - 336);
    }
    fe out;
    fe_wide carry = 0;
    for (int i = 0; i < P384_LIMBS - 1; i++) {
        carry += c->column[P384_LIMBS + i];
        out.limb[i] = (uint64_t)carry & P384_LIMB_MASK;
        carry >>= P384_LIMB_BITS;
    }
    out.limb[P384_LIMBS - 1] = (uint64_t)carry;
    return out;
}

static inline fe fe_mul(fe a, fe b) {
    fe_columns c = {{0}};
    fe_columns_add_product(&c, &a, &b);
    return fe_columns_reduce(&c);
}

/* a b + c d */
static inline fe fe_mul_add(fe a, fe b, fe c, fe d) {
    fe_columns sum = {{0}};
    fe_columns_add_product(&sum, &a, &b);
    fe_columns_add_product(&sum, &c, &d);
    return fe_columns_reduce(&sum);
}

static inline fe fe_square(fe a) {
    fe_columns c = {{0}};
    for (int i = 0; i < P384_LIMBS; i++) {
        c.column[2 * i] += fe_limb_product(a.limb[i], a.limb[i]);
        for (int j = i + 1; j < P384_LIMBS; j++) {
            c.column[i + j] += fe_limb_product(2 * a.limb[i], a.limb[j]);
        }
    }
    return fe_columns_reduce(&c);
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
static inline fe fe_mul_double(fe a, fe b) {
    return fe_mul(fe_times_2(a), b);
}

/* --- tests -------------------------------------------------------------------------------------- */

static inline fe_mask fe_is_zero(fe a) {
    fe reduced = fe_mul(a, (fe){{1}}); /* at most p */
    uint64_t zero = 0, prime = 0;
    for (int i = 0; i < P384_LIMBS; i++) {
        zero |= reduced.limb[i];
        prime |= reduced.limb[i] ^ p384_prime[i];
    }
    return zero == 0 || prime == 0;
}

#endif
