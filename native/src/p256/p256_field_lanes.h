/*
 * Arithmetic modulo p in eight lanes: `fe` is eight field elements side by side.
 *
 * Representation. p256_limbs.h, one `lanes` a limb. An fe is in one of three forms; α stands for "the
 * number is below α · p", and it is never negative:
 *
 *   settled   every limb in [0, 2^52)
 *   loose     limbs are signed, |limb| < 2^62: what adding and subtracting leaves behind, and a product
 *             before its carries
 *   carried   each limb's carry was added to the limb above but not taken off it: the low 52 bits are
 *             right, the bits above are rubbish. Fit to be multiplied only, because the multiplier
 *             ignores those bits; α ≤ 15 makes the topmost limb fit its 52 bits
 *
 * Who takes and gives what (α and β of the operands; R / p > 16, so that products shrink):
 *
 *   fe_mul, fe_square                 settled or carried, α β ≤ 224  → settled, 1 + α β / 16
 *   fe_mul_carried, fe_square_carried, the same                      → carried, 1 + α β / 16
 *   fe_mul_loose, fe_square_loose, the same                          → loose, |limb| < 2^58
 *   fe_mul_double     2 a b           the same with 2 α β             → carried
 *   fe_mul_add        a b + c d       the sum of both, at most 224    → settled
 *   fe_add, fe_sub, fe_negate, fe_times_…   settled or loose          → loose
 *   fe_carry                          loose, α ≤ 15                   → carried
 *   fe_settle                         loose, α ≤ 15                   → settled
 *   fe_fold                           loose, 1 ≤ number / p ≤ 15      → settled, 1 + 2^-20
 *
 * `native/test/test_p256_limbs.c` carries limbs through each function here, and `test_p256_values.c` values
 * through each formula of kernel_formulas.h.
 */
#ifndef P256_FIELD_LANES_H
#define P256_FIELD_LANES_H

#include "p256_limbs.h"

/* Without unrolling, the limbs live in memory instead of registers. */
#if defined(__clang__)
#define FE_EACH_LIMB _Pragma("unroll")
#else
#define FE_EACH_LIMB _Pragma("GCC unroll 10")
#endif

typedef struct fe {
    lanes limb[P256_LIMBS];
} fe;

typedef lane_mask fe_mask;
#define FE_FUNCTION LANES_INLINE
/* What is called often enough to share, and is long enough that a call costs nothing. */
#define FE_SHARED static __attribute__((noinline))

LANES_INLINE fe fe_constant(const uint64_t limbs[P256_LIMBS]) {
    fe out;
    FE_EACH_LIMB
    for (int i = 0; i < P256_LIMBS; i++) {
        out.limb[i] = lanes_all(limbs[i]);
    }
    return out;
}

LANES_INLINE fe fe_one(void) {
    return fe_constant(p256_one);
}

/* --- sums: limb by limb, without carries -------------------------------------------------------- */

LANES_INLINE fe fe_add(fe a, fe b) {
    FE_EACH_LIMB
    for (int i = 0; i < P256_LIMBS; i++) {
        a.limb[i] = lanes_add(a.limb[i], b.limb[i]);
    }
    return a;
}

/* a - b + multiple · p: the caller names a multiple that keeps the number from being negative. */
LANES_INLINE fe fe_sub(fe a, fe b, unsigned multiple) {
    FE_EACH_LIMB
    for (int i = 0; i < P256_LIMBS; i++) {
        lanes raised = lanes_add(a.limb[i], lanes_all(multiple * p256_prime[i]));
        a.limb[i] = lanes_sub(raised, b.limb[i]);
    }
    return a;
}

/* multiple · p - a */
LANES_INLINE fe fe_negate(fe a, unsigned multiple) {
    FE_EACH_LIMB
    for (int i = 0; i < P256_LIMBS; i++) {
        a.limb[i] = lanes_sub(lanes_all(multiple * p256_prime[i]), a.limb[i]);
    }
    return a;
}

LANES_INLINE fe fe_times_2(fe a) {
    return fe_add(a, a);
}
LANES_INLINE fe fe_times_3(fe a) {
    return fe_add(fe_add(a, a), a);
}
LANES_INLINE fe fe_times_4(fe a) {
    FE_EACH_LIMB
    for (int i = 0; i < P256_LIMBS; i++) {
        a.limb[i] = lanes_shift_left(a.limb[i], 2);
    }
    return a;
}

LANES_INLINE fe fe_choose(fe_mask which, fe where_set, fe where_clear) {
    FE_EACH_LIMB
    for (int i = 0; i < P256_LIMBS; i++) {
        where_set.limb[i] = lanes_choose(which, where_set.limb[i], where_clear.limb[i]);
    }
    return where_set;
}

/* --- carries ------------------------------------------------------------------------------------ */

LANES_INLINE fe fe_carry(fe a) {
    FE_EACH_LIMB
    for (int i = 1; i < P256_LIMBS; i++) {
        lanes carry = lanes_shift_right_signed(a.limb[i - 1], P256_LIMB_BITS);
        a.limb[i] = lanes_add(a.limb[i], carry);
    }
    return a;
}

LANES_INLINE fe fe_settle(fe a) {
    FE_EACH_LIMB
    for (int i = 1; i < P256_LIMBS; i++) {
        lanes carry = lanes_shift_right_signed(a.limb[i - 1], P256_LIMB_BITS);
        a.limb[i - 1] = lanes_and(a.limb[i - 1], lanes_all(P256_LIMB_MASK));
        a.limb[i] = lanes_add(a.limb[i], carry);
    }
    return a;
}

/*
 * Takes off what is above bit 256, t · 2^256, and adds t · (2^224 - 2^192 - 2^96 + 1) in its place,
 * which is the same modulo p. The topmost limb is positive because the number is at least p and the
 * limbs below it cannot take more than 2^11 from its 2^47.
 */
LANES_INLINE fe fe_fold(fe a) {
    lanes above = lanes_shift_right(a.limb[4], 48);
    a.limb[4] = lanes_and(a.limb[4], lanes_all((UINT64_C(1) << 48) - 1));
    a.limb[0] = lanes_add(a.limb[0], above);
    a.limb[1] = lanes_sub(a.limb[1], lanes_shift_left(above, 96 - 52));
    a.limb[3] = lanes_sub(a.limb[3], lanes_shift_left(above, 192 - 156));
    a.limb[4] = lanes_add(a.limb[4], lanes_shift_left(above, 224 - 208));
    return fe_settle(a);
}

/* --- products ----------------------------------------------------------------------------------- */

/* The ten columns of a product: Σ column[i] · 2^(52 i), each below 2^58. */
typedef struct fe_columns {
    lanes column[2 * P256_LIMBS];
} fe_columns;

LANES_INLINE fe_columns fe_columns_zero(void) {
    fe_columns c;
    FE_EACH_LIMB
    for (int i = 0; i < 2 * P256_LIMBS; i++) {
        c.column[i] = lanes_all(0);
    }
    return c;
}

LANES_INLINE void fe_columns_add(fe_columns *c, int column, lanes a, lanes b) {
    c->column[column] = lanes_add_product_low(c->column[column], a, b);
    c->column[column + 1] = lanes_add_product_high(c->column[column + 1], a, b);
}

LANES_INLINE fe_columns fe_columns_add_product(fe_columns c, fe a, fe b) {
    FE_EACH_LIMB
    for (int i = 0; i < P256_LIMBS; i++) {
        FE_EACH_LIMB
        for (int j = 0; j < P256_LIMBS; j++) {
            fe_columns_add(&c, i + j, a.limb[i], b.limb[j]);
        }
    }
    return c;
}

LANES_INLINE fe_columns fe_columns_double(fe_columns c) {
    FE_EACH_LIMB
    for (int i = 0; i < 2 * P256_LIMBS; i++) {
        c.column[i] = lanes_add(c.column[i], c.column[i]);
    }
    return c;
}

LANES_INLINE fe_columns fe_columns_square(fe a) {
    fe_columns c = fe_columns_zero();
    FE_EACH_LIMB
    for (int i = 0; i < P256_LIMBS; i++) {
        FE_EACH_LIMB
        for (int j = i + 1; j < P256_LIMBS; j++) {
            fe_columns_add(&c, i + j, a.limb[i], a.limb[j]);
        }
    }
    c = fe_columns_double(c);
    FE_EACH_LIMB
    for (int i = 0; i < P256_LIMBS; i++) {
        fe_columns_add(&c, 2 * i, a.limb[i], a.limb[i]);
    }
    return c;
}

/*
 * Montgomery's reduction, a column at a time. p ≡ -1 modulo 2^52, so the multiple of p that clears
 * column i is the column itself, u. Adding u · p then adds, besides the carry,
 *   u · 2^52 - u           in column i: the column is cleared and u is carried,
 *   u · (2^44 - 1) + u     in column i + 1, with that u: u · 2^44,
 *   u · 2^36               in column i + 3,
 *   u · (2^48 - 2^16)      in column i + 4.
 * The number is now in columns 5 to 9.
 */
LANES_INLINE fe_columns fe_columns_reduce(fe_columns c) {
    const lanes low = lanes_all(UINT64_C(1) << 44);
    const lanes middle = lanes_all(p256_prime[3]);
    const lanes high = lanes_all(p256_prime[4]);
    FE_EACH_LIMB
    for (int i = 0; i < P256_LIMBS; i++) {
        lanes u = c.column[i];
        lanes carry = lanes_shift_right(u, P256_LIMB_BITS);
        c.column[i + 1] = lanes_add(c.column[i + 1], carry);
        fe_columns_add(&c, i + 1, u, low);
        fe_columns_add(&c, i + 3, u, middle);
        fe_columns_add(&c, i + 4, u, high);
    }
    return c;
}

LANES_INLINE fe fe_upper_columns(fe_columns c) {
    fe out;
    FE_EACH_LIMB
    for (int i = 0; i < P256_LIMBS; i++) {
        out.limb[i] = c.column[P256_LIMBS + i];
    }
    return out;
}

LANES_INLINE fe fe_mul_loose(fe a, fe b) {
    fe_columns c = fe_columns_add_product(fe_columns_zero(), a, b);
    return fe_upper_columns(fe_columns_reduce(c));
}

LANES_INLINE fe fe_mul(fe a, fe b) {
    return fe_settle(fe_mul_loose(a, b));
}
LANES_INLINE fe fe_mul_carried(fe a, fe b) {
    return fe_carry(fe_mul_loose(a, b));
}

LANES_INLINE fe fe_mul_double(fe a, fe b) {
    fe_columns c = fe_columns_double(fe_columns_add_product(fe_columns_zero(), a, b));
    return fe_carry(fe_upper_columns(fe_columns_reduce(c)));
}

LANES_INLINE fe fe_mul_add(fe a, fe b, fe c, fe d) {
    fe_columns sum = fe_columns_add_product(fe_columns_zero(), a, b);
    sum = fe_columns_add_product(sum, c, d);
    return fe_settle(fe_upper_columns(fe_columns_reduce(sum)));
}

LANES_INLINE fe fe_square_loose(fe a) {
    return fe_upper_columns(fe_columns_reduce(fe_columns_square(a)));
}

LANES_INLINE fe fe_square(fe a) {
    return fe_settle(fe_square_loose(a));
}
LANES_INLINE fe fe_square_carried(fe a) {
    return fe_carry(fe_square_loose(a));
}

/* --- tests -------------------------------------------------------------------------------------- */

/*
 * The lanes whose number is 0 modulo p. A product with 1 is at most p, and it is 0 modulo p only
 * where it is 0 or p itself.
 */
LANES_INLINE fe_mask fe_is_zero(fe a) {
    const uint64_t one[P256_LIMBS] = {1};
    fe reduced = fe_mul(a, fe_constant(one));
    fe_mask zero = (fe_mask)~0, prime = (fe_mask)~0;
    FE_EACH_LIMB
    for (int i = 0; i < P256_LIMBS; i++) {
        zero &= lanes_equal(reduced.limb[i], lanes_all(0));
        prime &= lanes_equal(reduced.limb[i], lanes_all(p256_prime[i]));
    }
    return zero | prime;
}

#endif
