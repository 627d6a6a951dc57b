/*
 * The bounds of every limb through every function of ed25519_field_lanes.h, from what the table at its
 * top says comes in to what it says comes out.
 */
#include "check.h"
#include "lanes_intervals.h"

#include "ed25519/ed25519_field_lanes.h"

static const integer one = 1;

/* Five limbs in [low, high]. */
static fe limbs_within(integer low, integer high) {
    fe out;
    for (int i = 0; i < FE_LIMBS; i++) {
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
    return limbs_within(1 - (one << 60), (one << 60) - 1);
}

static void check_limbs(fe a, int count, integer low, integer high) {
    for (int i = 0; i < count; i++) {
        CHECK(a.limb[i].low >= low && a.limb[i].high <= high);
    }
}

static void check_settled(fe a) {
    check_limbs(a, FE_LIMBS - 1, 0, (one << 52) - 1);
}

/*
 * Below 2^255 + 2^214 and so 1 + 2^-20 times p: the topmost limb is below 2^47, and the others, below
 * 2^57, reach 2^(156 + 57 + 1) at most.
 */
static void check_loose_product(fe a) {
    check_limbs(a, FE_LIMBS - 1, 0, (one << 57) - 1);
    CHECK(a.limb[FE_LIMBS - 1].low >= 0 && a.limb[FE_LIMBS - 1].high < one << 47);
}

static void check_products(void) {
    const fe forms[] = {settled(), carried()};
    for (int i = 0; i < 2; i++) {
        for (int j = 0; j < 2; j++) {
            check_loose_product(fe_mul_loose(forms[i], forms[j]));
            check_settled(fe_mul(forms[i], forms[j]));
            (void)fe_mul_carried(forms[i], forms[j]); /* every addition in it fits */
        }
        check_loose_product(fe_square_loose(forms[i]));
        check_settled(fe_square(forms[i]));
        (void)fe_square_carried(forms[i]);
    }
}

static void check_carries(void) {
    check_settled(fe_settle(loose()));
    (void)fe_carry(loose());
    (void)fe_add(loose(), loose());
    (void)fe_sub(loose(), loose(), 4);
}

/* fe_settle makes a number that is not negative and at most 31 p settled, its topmost limb included. */
static void check_canonical(void) {
    fe out = fe_canonical(settled());
    check_settled(out);
    CHECK(out.limb[FE_LIMBS - 1].low >= 0 && out.limb[FE_LIMBS - 1].high < one << 47);
}

/* 31 p < 2^260, and a product with α β ≤ 1000 is below 2^520. */
static void check_room(void) {
    CHECK(31 * (one << 47) < one << 52);
    CHECK(1000 < one << (520 - 2 * 255));
}

void test_ed25519_limbs(void) {
    check_products();
    check_carries();
    check_canonical();
    check_room();
}
