/*
 * The bounds of every number through every formula of kernel_formulas.h: the formulas themselves,
 * compiled over a field whose elements are "between least · p and most · p", and whose functions
 * check what the table at the top of p256_field_lanes.h asks of their operands.
 */
#include "check.h"
#include "p256/p256_limbs.h"

typedef enum form { SETTLED, CARRIED, LOOSE } form;

typedef struct fe {
    double least, most; /* by p */
    double limb;        /* |limb| is below it */
    form form;
} fe;

typedef int fe_mask;
#define FE_FUNCTION static inline
#define FE_SHARED static

#define LIMB 4503599627370496.0 /* 2^52 */
#define MOST_LOOSE (1024 * LIMB)
#define PRODUCT_LIMB (64 * LIMB)

static fe fe_settled(double most) {
    return (fe){0, most, LIMB, SETTLED};
}

static fe fe_one(void) {
    return fe_settled(1);
}

static fe loose_of(double least, double most, double limb) {
    CHECK(limb <= MOST_LOOSE);
    return (fe){least, most, limb, LOOSE};
}

static void check_summand(fe a) {
    CHECK(a.form != CARRIED);
}

static fe fe_add(fe a, fe b) {
    check_summand(a);
    check_summand(b);
    return loose_of(a.least + b.least, a.most + b.most, a.limb + b.limb);
}

static fe fe_sub(fe a, fe b, unsigned multiple) {
    check_summand(a);
    check_summand(b);
    fe out = loose_of(a.least + multiple - b.most, a.most + multiple - b.least,
                      a.limb + b.limb + multiple * LIMB);
    CHECK(out.least >= 0);
    return out;
}

static fe fe_negate(fe a, unsigned multiple) {
    return fe_sub((fe){0, 0, 0, SETTLED}, a, multiple);
}

static fe scaled(fe a, double factor) {
    check_summand(a);
    return loose_of(factor * a.least, factor * a.most, factor * a.limb);
}
static fe fe_times_2(fe a) {
    return scaled(a, 2);
}
static fe fe_times_3(fe a) {
    return scaled(a, 3);
}
static fe fe_times_4(fe a) {
    return scaled(a, 4);
}

static fe fe_choose(fe_mask which, fe where_set, fe where_clear) {
    (void)which;
    check_summand(where_set);
    check_summand(where_clear);
    return loose_of(where_set.least < where_clear.least ? where_set.least : where_clear.least,
                    where_set.most > where_clear.most ? where_set.most : where_clear.most,
                    where_set.limb > where_clear.limb ? where_set.limb : where_clear.limb);
}

static fe carry(fe a, form to) {
    check_summand(a);
    CHECK(a.least >= 0 && a.most <= 15);
    return (fe){a.least, a.most, LIMB, to};
}
static fe fe_carry(fe a) {
    return carry(a, CARRIED);
}

static fe fe_fold(fe a) {
    check_summand(a);
    CHECK(a.least >= 1 && a.most <= 15);
    return fe_settled(1 + 1.0 / (1 << 20));
}

/* The number behind (α β + …) / R, reduced; in the form that its function gives it. */
static fe reduced(double product, form to) {
    CHECK(product <= 224);
    return (fe){0, 1 + product / 16, to == LOOSE ? PRODUCT_LIMB : LIMB, to};
}

static double product_of(fe a, fe b) {
    CHECK(a.form != LOOSE && b.form != LOOSE);
    return a.most * b.most;
}

static fe fe_mul(fe a, fe b) {
    return reduced(product_of(a, b), SETTLED);
}
static fe fe_mul_carried(fe a, fe b) {
    return reduced(product_of(a, b), CARRIED);
}
static fe fe_mul_loose(fe a, fe b) {
    return reduced(product_of(a, b), LOOSE);
}
static fe fe_mul_double(fe a, fe b) {
    return reduced(2 * product_of(a, b), CARRIED);
}
static fe fe_mul_add(fe a, fe b, fe c, fe d) {
    return reduced(product_of(a, b) + product_of(c, d), SETTLED);
}
static fe fe_square_carried(fe a) {
    return fe_mul_carried(a, a);
}
static fe fe_square_loose(fe a) {
    return fe_mul_loose(a, a);
}

static fe_mask fe_is_zero(fe a) {
    CHECK(a.form != LOOSE);
    return 1;
}

#include "kernel/kernel_formulas.h"

/* What the top of kernel_formulas.h says. */
#define MOST_AFFINE 1.2
#define MOST_X 1.2
#define MOST_Y 3.6
#define MOST_Z 1.9

static void check_below(fe a, double most) {
    CHECK(a.form != LOOSE && a.most < most);
}

static jacobian any_jacobian(void) {
    return (jacobian){fe_settled(MOST_X), fe_settled(MOST_Y), {0, MOST_Z, LIMB, CARRIED}};
}

static affine any_affine(void) {
    return (affine){fe_settled(MOST_AFFINE), fe_settled(MOST_AFFINE)};
}

static void check_jacobian(const jacobian *p) {
    CHECK(p->x.form == SETTLED && p->y.form == SETTLED);
    check_below(p->x, MOST_X);
    check_below(p->y, MOST_Y);
    check_below(p->z, MOST_Z);
}

static void check_sums(void) {
    affine q = any_affine();
    jacobian p = any_jacobian();
    jacobian_double(&p);
    check_jacobian(&p);
    p = any_jacobian();
    jacobian_add_affine(&p, &q, 1);
    check_jacobian(&p);
    p = jacobian_of(&q);
    p.y = carry(fe_choose(1, fe_negate(q.y, 2), q.y), SETTLED); /* how the kernels start a sum */
    CHECK(p.x.most <= MOST_X && p.y.most <= MOST_Y && p.z.most <= MOST_Z);
    p = any_jacobian();
    (void)jacobian_has_x(&p, carry(fe_add(fe_settled(1.2), fe_settled(1)), CARRIED));
}

/* Long chains: what goes around must not grow. */
static void check_odd_multiples(void) {
    enum { COUNT = 512 };
    static odd_multiple multiples[COUNT];
    affine q = any_affine();
    fe z = odd_multiples_start(multiples, COUNT, &q);
    check_below(z, MOST_AFFINE * 2);
    odd_multiples_finish(multiples, COUNT, fe_settled(MOST_AFFINE));
    for (int k = 0; k < COUNT; k++) {
        CHECK(multiples[k].at.x.form == SETTLED && multiples[k].at.y.form == SETTLED);
        check_below(multiples[k].at.x, MOST_AFFINE);
        check_below(multiples[k].at.y, MOST_AFFINE);
    }
}

void test_p256_values(void) {
    check_sums();
    check_odd_multiples();
}
