/*
 * The bounds of every limb through every function of p256_field_lanes.h, from what the table at its
 * top says comes in to what it says comes out.
 */
#include "check.h"
#include "lanes_intervals.h"

#include "p256/p256_field_lanes.h"

static const integer one = 1;

/* Five limbs in [low, high]. */
static fe limbs_within(integer low, integer high) {
    fe out;
    for (int i = 0; i < P256_LIMBS; i++) {
        out.limb[i] = lanes_range(low, high);
    }
    return out;
}

static fe settled(void) {
    return limbs_within(0, (one << 52) - 1);
}

/* The low 52 bits are right and the rest is rubbish: anything that a word holds. */
static fe carried(void) {
    return limbs_within(INT64_MIN, INT64_MAX);
}

static fe loose(void) {
    return limbs_within(1 - (one << 62), (one << 62) - 1);
}

static void check_limbs(fe a, int count, integer low, integer high) {
    for (int i = 0; i < count; i++) {
        CHECK(a.limb[i].low >= low && a.limb[i].high <= high);
    }
}

/* Below the topmost limb, whose bound comes from the number's: see check_topmost_limbs. */
static void check_settled(fe a) {
    check_limbs(a, P256_LIMBS - 1, 0, (one << 52) - 1);
}

static void check_products(void) {
    const fe forms[] = {settled(), carried()};
    for (int i = 0; i < 2; i++) {
        for (int j = 0; j < 2; j++) {
            check_limbs(fe_mul_loose(forms[i], forms[j]), P256_LIMBS, 0, (one << 58) - 1);
            check_settled(fe_mul(forms[i], forms[j]));
            check_settled(fe_mul_add(forms[i], forms[j], forms[j], forms[i]));
            (void)fe_mul_carried(forms[i], forms[j]); /* every addition in it fits */
            (void)fe_mul_double(forms[i], forms[j]);
        }
        check_limbs(fe_square_loose(forms[i]), P256_LIMBS, 0, (one << 58) - 1);
        check_settled(fe_square(forms[i]));
        (void)fe_square_carried(forms[i]);
        CHECK(fe_is_zero(forms[i]));
    }
}

static void check_carries(void) {
    check_settled(fe_settle(loose()));
    (void)fe_carry(loose());
}

/* number = Σ limb · 2^(52 i), so that the other limbs' bounds and the number's give the topmost's. */
static lanes topmost(integer least, integer most, integer others) {
    integer reach = (others >> (208 - 156)) + 1; /* limbs 0 to 2 are within the + 1 */
    return lanes_range(least - reach, most + reach);
}

static void check_fold(void) {
    const integer p_top = (one << 48) - (one << 16); /* p ≥ p_top · 2^208, and p < (p_top + 1) · … */
    fe a = loose();
    a.limb[4] = topmost(p_top, 15 * (p_top + 1), one << 62);
    CHECK(a.limb[4].low > 0);
    lanes above = lanes_shift_right(a.limb[4], 48);
    CHECK(above.high <= 15);
    fe folded = fe_fold(a);
    check_settled(folded);
    /*
     * Not negative: where something is taken off, t ≥ 1, at least 2^224 - 2^193 comes in its place, in
     * units of 2^208 more than the other limbs can take. Below p · (1 + 2^-20).
     */
    integer comes_back = (one << 16) - 1, others = (one << 10) + 1;
    CHECK(comes_back > others);
    CHECK(folded.limb[4].high <= p_top + (p_top >> 20));
}

/* α ≤ 15, not negative, limbs below the topmost in [0, 2^52): the topmost fits 52 bits, rounded down. */
static void check_topmost_limbs(void) {
    CHECK(15 * (one << 48) < one << 52);
}

/* Montgomery's reduction: (α p · β p + (R - 1) · p) / R < (1 + α β / 16) p, since 16 p < R. */
static void check_products_shrink(void) {
    const integer p_top = (one << 48) - (one << 16);
    CHECK(16 * (p_top + 1) <= one << 52);
    CHECK(1 + 224 / 16 <= 15);
}

void test_p256_limbs(void) {
    check_products();
    check_carries();
    check_fold();
    check_topmost_limbs();
    check_products_shrink();
}
