/*
 * The bounds of every number through every formula of kernel_formulas.h over the field of P-384: the
 * formulas themselves, compiled over a field whose elements are "between 0 and most · p, every limb at
 * most so many", and whose functions check what the table at the top of p384_field.h asks.
 */
#include "check.h"
#include "p384/p384_limbs.h"

typedef struct fe {
    double least, most; /* by p */
    uint64_t limb;      /* the largest that there may be below the topmost */
} fe;

typedef int fe_mask;
#define FE_SHARED static

#define UNIT (UINT64_C(1) << P384_LIMB_BITS)
#define LITTLE (1.0 / (UINT64_C(1) << 40))

static fe fe_settled(double most) {
    return (fe){0, most, UNIT - 1};
}

static fe fe_one(void) {
    return fe_settled(1);
}

static fe loose_of(double least, double most, uint64_t limb) {
    CHECK(least >= 0 && most <= 15 && limb < 32 * UNIT);
    return (fe){least, most, limb};
}

static fe fe_add(fe a, fe b) {
    return loose_of(a.least + b.least, a.most + b.most, a.limb + b.limb);
}

static fe fe_sub(fe a, fe b, unsigned multiple) {
    CHECK(b.most <= multiple - LITTLE && b.limb <= 4 * (UNIT - 1));
    return loose_of(a.least + multiple - b.most, a.most + multiple - b.least,
                    a.limb + (multiple + 4) * UNIT);
}

static fe fe_negate(fe a, unsigned multiple) {
    return fe_sub((fe){0, 0, 0}, a, multiple);
}

static fe fe_times_2(fe a) {
    return fe_add(a, a);
}
static fe fe_times_3(fe a) {
    return fe_add(fe_add(a, a), a);
}
static fe fe_times_4(fe a) {
    return fe_times_2(fe_times_2(a));
}

static fe fe_choose(fe_mask which, fe where_set, fe where_clear) {
    (void)which;
    return (fe){where_set.least < where_clear.least ? where_set.least : where_clear.least,
                where_set.most > where_clear.most ? where_set.most : where_clear.most,
                where_set.limb > where_clear.limb ? where_set.limb : where_clear.limb};
}

static fe fe_carry(fe a) {
    return a;
}

static fe fe_settle(fe a) {
    return fe_settled(a.most);
}

static fe fe_fold(fe a) {
    CHECK(a.most <= 15);
    return fe_settled(1 + LITTLE);
}

/* What a product of limbs may reach, in units: 1,024 for all of a sum. */
static double limbs_of(fe a, fe b) {
    return (double)a.limb / UNIT * ((double)b.limb / UNIT);
}

static fe fe_mul_add(fe a, fe b, fe c, fe d) {
    CHECK(limbs_of(a, b) + limbs_of(c, d) < 1024);
    return fe_settled(1 + (a.most * b.most + c.most * d.most) / 256);
}
static fe fe_mul(fe a, fe b) {
    return fe_mul_add(a, b, (fe){0, 0, 0}, (fe){0, 0, 0});
}
static fe fe_mul_carried(fe a, fe b) {
    return fe_mul(a, b);
}
static fe fe_mul_loose(fe a, fe b) {
    return fe_mul(a, b);
}
static fe fe_mul_double(fe a, fe b) {
    return fe_mul(fe_times_2(a), b);
}
static fe fe_square_carried(fe a) {
    return fe_mul(a, a); /* twice a limb fits its word as well */
}
static fe fe_square_loose(fe a) {
    return fe_square_carried(a);
}

static fe_mask fe_is_zero(fe a) {
    (void)fe_mul(a, fe_settled(1));
    return 1;
}

#include "kernel/kernel_formulas.h"

/* Closer than what the top of kernel_formulas.h says, as products are. */
#define MOST 1.2

static void check_settled(fe a) {
    CHECK(a.limb < UNIT && a.most < MOST);
}

static jacobian any_jacobian(void) {
    return (jacobian){fe_settled(MOST), fe_settled(MOST), fe_settled(MOST)};
}

static void check_jacobian(const jacobian *p) {
    check_settled(p->x);
    check_settled(p->y);
    check_settled(p->z);
}

static void check_sums(void) {
    affine q = {fe_settled(MOST), fe_settled(MOST)};
    jacobian p = any_jacobian();
    jacobian_double(&p);
    check_jacobian(&p);
    p = any_jacobian();
    jacobian_add_affine(&p, &q, 1);
    check_jacobian(&p);
    p = jacobian_of(&q);
    p.y = fe_settle(fe_choose(1, fe_negate(q.y, 2), q.y)); /* how the kernel starts a sum */
    jacobian_double(&p);
    check_jacobian(&p);
    p = jacobian_of(&q);
    p.y = fe_settle(fe_choose(1, fe_negate(q.y, 2), q.y));
    jacobian_add_affine(&p, &q, 1);
    check_jacobian(&p);
    p = any_jacobian();
    (void)jacobian_has_x(&p, fe_add(fe_settled(MOST), fe_settled(1)));
}

/* Long chains: what goes around must not grow. */
static void check_odd_multiples(void) {
    enum { COUNT = 512 };
    static odd_multiple multiples[COUNT];
    affine q = {fe_settled(MOST), fe_settled(MOST)};
    fe z = odd_multiples_start(multiples, COUNT, &q);
    check_settled(z);
    odd_multiples_finish(multiples, COUNT, fe_settled(MOST));
    for (int k = 0; k < COUNT; k++) {
        check_settled(multiples[k].at.x);
        check_settled(multiples[k].at.y);
    }
}

/* The kernel's own sums: x³ - 3x + b beside y². */
static void check_curve_equation(void) {
    fe x = fe_settled(MOST);
    fe right = fe_mul(fe_sub(fe_square_loose(x), fe_times_3(fe_one()), 4), x);
    (void)fe_is_zero(fe_sub(fe_square_loose(x), fe_add(right, fe_settled(1)), 4));
}

void test_p384_values(void) {
    check_sums();
    check_odd_multiples();
    check_curve_equation();
}
