/*
 * Arithmetic modulo p, one element at a time, for every CPU: the functions of p256_field_lanes.h under
 * the same names, so that kernel_formulas.h is compiled with either.
 *
 * Representation. p256_limbs.h, one 64-bit word a limb; loose limbs are signed, in two's complement.
 * The bounds are those of p256_field_lanes.h. What is "carried" there is settled here, because this
 * multiplier does not ignore the bits above the 52nd; so is what a product leaves loose there.
 */
#ifndef P256_FIELD_PORTABLE_H
#define P256_FIELD_PORTABLE_H

#include "p256_limbs.h"

typedef struct fe {
    uint64_t limb[P256_LIMBS];
} fe;

typedef int fe_mask; /* 1 or 0 */
#define FE_FUNCTION static inline
#define FE_SHARED static

__extension__ typedef unsigned __int128 fe_wide;

static inline fe fe_constant(const uint64_t limbs[P256_LIMBS]) {
    return (fe){{limbs[0], limbs[1], limbs[2], limbs[3], limbs[4]}};
}

static inline fe fe_one(void) {
    return fe_constant(p256_one);
}

/* --- sums: limb by limb, without carries -------------------------------------------------------- */

static inline fe fe_add(fe a, fe b) {
    for (int i = 0; i < P256_LIMBS; i++) {
        a.limb[i] += b.limb[i];
    }
    return a;
}

static inline fe fe_sub(fe a, fe b, unsigned multiple) {
    for (int i = 0; i < P256_LIMBS; i++) {
        a.limb[i] += multiple * p256_prime[i] - b.limb[i];
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

/* Rounds down, as C leaves it to the compiler to do: GCC and clang both say that they do. */
static inline uint64_t fe_carry_of(uint64_t limb) {
    return (uint64_t)((int64_t)limb >> P256_LIMB_BITS);
}

static inline fe fe_settle(fe a) {
    for (int i = 1; i < P256_LIMBS; i++) {
        a.limb[i] += fe_carry_of(a.limb[i - 1]);
        a.limb[i - 1] &= P256_LIMB_MASK;
    }
    return a;
}

static inline fe fe_carry(fe a) {
    return fe_settle(a);
}

static inline fe fe_fold(fe a) {
    uint64_t above = a.limb[4] >> 48;
    a.limb[4] &= (UINT64_C(1) << 48) - 1;
    a.limb[0] += above;
    a.limb[1] -= above << (96 - 52);
    a.limb[3] -= above << (192 - 156);
    a.limb[4] += above << (224 - 208);
    return fe_settle(a);
}

/* --- products ----------------------------------------------------------------------------------- */

/* Each column is below 2^109, and what the reduction adds to one below 2^102. */
typedef struct fe_columns {
    fe_wide column[2 * P256_LIMBS - 1];
} fe_columns;

static inline void fe_columns_add_product(fe_columns *c, const fe *a, const fe *b) {
    for (int i = 0; i < P256_LIMBS; i++) {
        for (int j = 0; j < P256_LIMBS; j++) {
            c->column[i + j] += (fe_wide)a->limb[i] * b->limb[j];
        }
    }
}

/* The lanes' reduction, whose products with powers of two are shifts here. */
static inline fe fe_columns_reduce(fe_columns *c) {
    for (int i = 0; i < P256_LIMBS; i++) {
        uint64_t u = (uint64_t)c->column[i] & P256_LIMB_MASK;
        c->column[i + 1] += (c->column[i] >> P256_LIMB_BITS) + ((fe_wide)u << 44);
        c->column[i + 3] += (fe_wide)u << 36;
        c->column[i + 4] += (fe_wide)u * p256_prime[4];
    }
    fe out;
    fe_wide carry = 0;
    for (int i = 0; i < P256_LIMBS - 1; i++) {
        carry += c->column[P256_LIMBS + i];
        out.limb[i] = (uint64_t)carry & P256_LIMB_MASK;
        carry >>= P256_LIMB_BITS;
    }
    out.limb[P256_LIMBS - 1] = (uint64_t)carry;
    return out;
}

static inline fe fe_mul(fe a, fe b) {
    fe_columns c = {{0}};
    fe_columns_add_product(&c, &a, &b);
    return fe_columns_reduce(&c);
}

static inline fe fe_mul_add(fe a, fe b, fe c, fe d) {
    fe_columns sum = {{0}};
    fe_columns_add_product(&sum, &a, &b);
    fe_columns_add_product(&sum, &c, &d);
    return fe_columns_reduce(&sum);
}

static inline fe fe_square(fe a) {
    const uint64_t *x = a.limb;
    uint64_t x0 = 2 * x[0], x1 = 2 * x[1], x2 = 2 * x[2], x3 = 2 * x[3];
    fe_columns c = {{
        (fe_wide)x[0] * x[0],
        (fe_wide)x0 * x[1],
        (fe_wide)x0 * x[2] + (fe_wide)x[1] * x[1],
        (fe_wide)x0 * x[3] + (fe_wide)x1 * x[2],
        (fe_wide)x0 * x[4] + (fe_wide)x1 * x[3] + (fe_wide)x[2] * x[2],
        (fe_wide)x1 * x[4] + (fe_wide)x2 * x[3],
        (fe_wide)x2 * x[4] + (fe_wide)x[3] * x[3],
        (fe_wide)x3 * x[4],
        (fe_wide)x[4] * x[4],
    }};
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
    return fe_mul(fe_settle(fe_times_2(a)), b);
}

/* --- tests -------------------------------------------------------------------------------------- */

static inline fe_mask fe_is_zero(fe a) {
    fe reduced = fe_mul(a, (fe){{1}});
    uint64_t zero = 0, prime = 0;
    for (int i = 0; i < P256_LIMBS; i++) {
        zero |= reduced.limb[i];
        prime |= reduced.limb[i] ^ p256_prime[i];
    }
    return zero == 0 || prime == 0;
}

#endif
