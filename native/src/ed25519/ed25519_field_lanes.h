/*
 * Arithmetic modulo p = 2^255 - 19 in eight lanes: `fe` is eight field elements side by side.
 *
 * Representation. Five limbs of 52 bits, the lowest first, one `lanes` a limb. 52 bits is what the
 * AVX-512 IFMA instructions multiply, and 5 · 52 = 260 leaves room for 31 p: sums are not reduced, and
 * limbs of 51 bits, which p suggests, would want every upper half of a product doubled. An fe is in one
 * of three forms; α stands for "the number is below α · p", and it is never negative:
 *
 *   settled   every limb in [0, 2^52)
 *   loose     limbs are signed, |limb| < 2^60: what adding and subtracting leaves behind, and a product
 *             before its carries
 *   carried   each limb's carry was added to the limb above but not taken off it: the low 52 bits are
 *             right, the bits above are rubbish. Fit to be multiplied only, because the multiplier
 *             ignores those bits
 *
 * Who takes and gives what (α and β of the operands):
 *
 *   fe_mul, fe_square                   settled or carried, α β ≤ 1000  → settled, 1 + 2^-20
 *   fe_mul_carried, fe_square_carried   the same                        → carried, 1 + 2^-20
 *   fe_mul_loose, fe_square_loose       the same                        → loose, |limb| < 2^57, 1 + 2^-20
 *   fe_add, fe_sub, fe_times_2          settled or loose                → loose
 *   fe_carry                            loose, α ≤ 31                   → carried
 *   fe_settle                           loose, α ≤ 31                   → settled
 *   fe_canonical                        settled or loose, α ≤ 31        → settled, below p
 *
 * `native/test/test_ed25519_limbs.c` carries limbs through each function here, and
 * `test_ed25519_values.c` numbers through each formula of ed25519_formulas.h.
 */
#ifndef ED25519_FIELD_LANES_H
#define ED25519_FIELD_LANES_H

#include "ed25519_words.h"

#define FE_LIMBS 5
#define FE_LIMB_BITS 52
#define FE_LIMB_MASK ((UINT64_C(1) << FE_LIMB_BITS) - 1)
/* Bit 255 is this bit of the topmost limb. */
#define FE_TOP_BITS 47
#define FE_TOP_MASK ((UINT64_C(1) << FE_TOP_BITS) - 1)

/* Without unrolling, the limbs live in memory instead of registers. */
#if defined(KS_LANES_EMULATED)
#define FE_EACH_LIMB
#elif defined(__clang__)
#define FE_EACH_LIMB _Pragma("unroll")
#else
#define FE_EACH_LIMB _Pragma("GCC unroll 10")
#endif

typedef struct fe {
    lanes limb[FE_LIMBS];
} fe;

#define FE_FUNCTION LANES_INLINE
/* What is called often enough to share, and is long enough that a call costs nothing. */
#define FE_SHARED static __attribute__((noinline))

static const uint64_t fe_prime[FE_LIMBS] = {0xfffffffffffed, 0xfffffffffffff, 0xfffffffffffff,
                                            0xfffffffffffff, 0x07fffffffffff};

/* --- sums: limb by limb, without carries -------------------------------------------------------- */

LANES_INLINE fe fe_add(fe a, fe b) {
    FE_EACH_LIMB
    for (int i = 0; i < FE_LIMBS; i++) {
        a.limb[i] = lanes_add(a.limb[i], b.limb[i]);
    }
    return a;
}

/* a - b + multiple · p: the caller names a multiple that keeps the number from being negative. */
LANES_INLINE fe fe_sub(fe a, fe b, unsigned multiple) {
    FE_EACH_LIMB
    for (int i = 0; i < FE_LIMBS; i++) {
        lanes raised = lanes_add(a.limb[i], lanes_all(multiple * fe_prime[i]));
        a.limb[i] = lanes_sub(raised, b.limb[i]);
    }
    return a;
}

LANES_INLINE fe fe_times_2(fe a) {
    return fe_add(a, a);
}

LANES_INLINE fe fe_choose(lane_mask which, fe where_set, fe where_clear) {
    FE_EACH_LIMB
    for (int i = 0; i < FE_LIMBS; i++) {
        where_set.limb[i] = lanes_choose(which, where_set.limb[i], where_clear.limb[i]);
    }
    return where_set;
}

/* --- carries ------------------------------------------------------------------------------------ */

LANES_INLINE fe fe_carry(fe a) {
    FE_EACH_LIMB
    for (int i = 1; i < FE_LIMBS; i++) {
        lanes carry = lanes_shift_right_signed(a.limb[i - 1], FE_LIMB_BITS);
        a.limb[i] = lanes_add(a.limb[i], carry);
    }
    return a;
}

LANES_INLINE fe fe_settle(fe a) {
    FE_EACH_LIMB
    for (int i = 1; i < FE_LIMBS; i++) {
        lanes carry = lanes_shift_right_signed(a.limb[i - 1], FE_LIMB_BITS);
        a.limb[i - 1] = lanes_and(a.limb[i - 1], lanes_all(FE_LIMB_MASK));
        a.limb[i] = lanes_add(a.limb[i], carry);
    }
    return a;
}

/* Takes off what is above bit 255, t · 2^255, and adds t · 19 in its place; the topmost limb is not
 * negative, and t below 2^10. */
LANES_INLINE fe fe_fold(fe a) {
    lanes above = lanes_shift_right(a.limb[FE_LIMBS - 1], FE_TOP_BITS);
    a.limb[FE_LIMBS - 1] = lanes_and(a.limb[FE_LIMBS - 1], lanes_all(FE_TOP_MASK));
    a.limb[0] = lanes_add_product_low(a.limb[0], above, lanes_all(19));
    return a;
}

/*
 * Below 2^255 + 2^10 after the first fold, so the number or the number less p is the one below p: the
 * latter if the number + 19 reaches bit 255, and then the fold has taken p off and left 19 too much.
 */
LANES_INLINE fe fe_canonical(fe a) {
    a = fe_settle(fe_fold(fe_settle(a)));
    fe raised = a;
    raised.limb[0] = lanes_add(raised.limb[0], lanes_all(19));
    raised = fe_settle(raised);
    lanes reaches = lanes_shift_right(raised.limb[FE_LIMBS - 1], FE_TOP_BITS); /* 1 or 0 */
    a.limb[0] = lanes_add_product_low(a.limb[0], reaches, lanes_all(19));
    a = fe_settle(a);
    a.limb[FE_LIMBS - 1] = lanes_and(a.limb[FE_LIMBS - 1], lanes_all(FE_TOP_MASK));
    return a;
}

/* --- products ----------------------------------------------------------------------------------- */

/* The ten columns of a product: Σ column[i] · 2^(52 i), each below 2^57. */
typedef struct fe_columns {
    lanes column[2 * FE_LIMBS];
} fe_columns;

LANES_INLINE fe_columns fe_columns_zero(void) {
    fe_columns out;
    FE_EACH_LIMB
    for (int i = 0; i < 2 * FE_LIMBS; i++) {
        out.column[i] = lanes_all(0);
    }
    return out;
}

LANES_INLINE void fe_columns_add(fe_columns *c, int column, lanes a, lanes b) {
    c->column[column] = lanes_add_product_low(c->column[column], a, b);
    c->column[column + 1] = lanes_add_product_high(c->column[column + 1], a, b);
}

LANES_INLINE fe_columns fe_columns_product(fe a, fe b) {
    fe_columns c = fe_columns_zero();
    FE_EACH_LIMB
    for (int i = 0; i < FE_LIMBS; i++) {
        FE_EACH_LIMB
        for (int j = 0; j < FE_LIMBS; j++) {
            fe_columns_add(&c, i + j, a.limb[i], b.limb[j]);
        }
    }
    return c;
}

LANES_INLINE fe_columns fe_columns_square(fe a) {
    fe_columns c = fe_columns_zero();
    FE_EACH_LIMB
    for (int i = 0; i < FE_LIMBS; i++) {
        FE_EACH_LIMB
        for (int j = i + 1; j < FE_LIMBS; j++) {
            fe_columns_add(&c, i + j, a.limb[i], a.limb[j]);
        }
    }
    FE_EACH_LIMB
    for (int i = 1; i < 2 * FE_LIMBS - 1; i++) {
        c.column[i] = lanes_add(c.column[i], c.column[i]);
    }
    FE_EACH_LIMB
    for (int i = 0; i < FE_LIMBS; i++) {
        fe_columns_add(&c, 2 * i, a.limb[i], a.limb[i]);
    }
    return c;
}

/*
 * 2^260 ≡ 608 = 32 · 19, so column 5 + i times 608 goes to column i: its low half there and its high
 * half to column i + 1, once the columns' own carries are in the column above. (α β ≤ 1000 keeps the
 * product below 2^520, and so column 9 below 2^52.) The high half of column 9 belongs to column 5, and
 * goes around once more.
 */
LANES_INLINE fe fe_columns_reduce(fe_columns c) {
    const lanes factor = lanes_all(608);
    fe out;
    FE_EACH_LIMB
    for (int i = FE_LIMBS; i < 2 * FE_LIMBS - 1; i++) {
        lanes carry = lanes_shift_right(c.column[i], FE_LIMB_BITS);
        c.column[i + 1] = lanes_add(c.column[i + 1], carry);
    }
    FE_EACH_LIMB
    for (int i = 0; i < FE_LIMBS - 1; i++) {
        fe_columns_add(&c, i, c.column[FE_LIMBS + i], factor);
    }
    lanes last = c.column[2 * FE_LIMBS - 1];
    c.column[4] = lanes_add_product_low(c.column[4], last, factor);
    last = lanes_add_product_high(lanes_all(0), last, factor);
    c.column[0] = lanes_add_product_low(c.column[0], last, factor);
    FE_EACH_LIMB
    for (int i = 0; i < FE_LIMBS; i++) {
        out.limb[i] = c.column[i];
    }
    return fe_fold(out);
}

LANES_INLINE fe fe_mul_loose(fe a, fe b) {
    return fe_columns_reduce(fe_columns_product(a, b));
}
LANES_INLINE fe fe_mul(fe a, fe b) {
    return fe_settle(fe_mul_loose(a, b));
}
LANES_INLINE fe fe_mul_carried(fe a, fe b) {
    return fe_carry(fe_mul_loose(a, b));
}

LANES_INLINE fe fe_square_loose(fe a) {
    return fe_columns_reduce(fe_columns_square(a));
}
LANES_INLINE fe fe_square(fe a) {
    return fe_settle(fe_square_loose(a));
}
LANES_INLINE fe fe_square_carried(fe a) {
    return fe_carry(fe_square_loose(a));
}

#endif
