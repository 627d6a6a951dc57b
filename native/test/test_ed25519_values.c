/*
 * The bounds of every number through every formula of ed25519_formulas.h: the formulas themselves,
 * compiled over a field whose elements are bounds, and whose functions check what the tops of both
 * fields ask of their operands: the lanes' multiples of p and limbs, and the limbs of 51 bits.
 */
#include "check.h"
#include "ed25519/ed25519_words.h"

typedef enum form { SETTLED, CARRIED, LOOSE } form;

typedef struct fe {
    double least, most; /* by p */
    double limb;        /* in lanes, |limb| is below it */
    double narrow;      /* each limb of 51 bits is at most this */
    form form;
} fe;

typedef int lane_mask;
#define FE_FUNCTION static inline
#define FE_SHARED static

#define LIMB 4503599627370496.0   /* 2^52 */
#define NARROW 2251799813685248.0 /* 2^51 */
#define MOST_LOOSE (256 * LIMB)   /* 2^60 */
#define MOST_NARROW (8 * NARROW)  /* 2^54 */
#define PRODUCT 1.000001
#define PRODUCT_LIMB (32 * LIMB)     /* 2^57 */
#define PRODUCT_NARROW (NARROW + 8192)

static fe fe_constant(const ed25519_number *number) {
    (void)number;
    return (fe){0, 1, LIMB, NARROW, SETTLED};
}

static fe loose_of(double least, double most, double limb, double narrow) {
    CHECK(limb <= MOST_LOOSE && narrow <= MOST_NARROW && least >= 0);
    return (fe){least, most, limb, narrow, LOOSE};
}

static void check_summand(fe a) {
    CHECK(a.form != CARRIED);
}

static fe fe_add(fe a, fe b) {
    check_summand(a);
    check_summand(b);
    return loose_of(a.least + b.least, a.most + b.most, a.limb + b.limb, a.narrow + b.narrow);
}

/* No limb of 51 bits may go below 0. */
static fe fe_sub(fe a, fe b, unsigned multiple) {
    check_summand(a);
    check_summand(b);
    CHECK(multiple * (NARROW - 19) >= b.narrow);
    return loose_of(a.least + multiple - b.most, a.most + multiple - b.least,
                    a.limb + b.limb + multiple * LIMB, a.narrow + multiple * NARROW);
}

static fe fe_times_2(fe a) {
    return fe_add(a, a);
}

static fe fe_choose(lane_mask which, fe where_set, fe where_clear) {
    fe a = where_set, b = where_clear;
    (void)which;
    return (fe){a.least < b.least ? a.least : b.least, a.most > b.most ? a.most : b.most,
                a.limb > b.limb ? a.limb : b.limb, a.narrow > b.narrow ? a.narrow : b.narrow,
                a.form > b.form ? a.form : b.form};
}

/* The 51-bit field carries nothing here. */
static fe fe_carry(fe a) {
    check_summand(a);
    CHECK(a.most <= 31);
    a.form = CARRIED;
    return a;
}

static fe fe_settle(fe a) {
    check_summand(a);
    CHECK(a.most <= 31);
    return (fe){a.least, a.most, LIMB, PRODUCT_NARROW, SETTLED};
}

static fe fe_canonical(fe a) {
    check_summand(a);
    CHECK(a.most <= 31);
    return (fe){0, 1, LIMB, NARROW, SETTLED};
}

static fe product_of(fe a, fe b, form to) {
    CHECK(a.form != LOOSE && b.form != LOOSE && a.most * b.most <= 1000);
    CHECK(a.narrow <= MOST_NARROW && b.narrow <= MOST_NARROW);
    return (fe){0, PRODUCT, to == LOOSE ? PRODUCT_LIMB : LIMB, PRODUCT_NARROW, to};
}

static fe fe_mul(fe a, fe b) {
    return product_of(a, b, SETTLED);
}
static fe fe_mul_carried(fe a, fe b) {
    return product_of(a, b, CARRIED);
}
static fe fe_mul_loose(fe a, fe b) {
    return product_of(a, b, LOOSE);
}
static fe fe_square(fe a) {
    return fe_mul(a, a);
}
static fe fe_square_loose(fe a) {
    return fe_mul_loose(a, a);
}

static lane_mask fe_is_zero(fe a) {
    (void)fe_canonical(a);
    return 1;
}
static lane_mask fe_is_odd(fe a) {
    CHECK(a.form == SETTLED && a.most <= 1);
    return 1;
}

#include "ed25519/ed25519_formulas.h"

static fe stored(void) {
    return (fe){0, 1, LIMB, NARROW, SETTLED};
}

static fe product(void) {
    return (fe){0, PRODUCT, LIMB, PRODUCT_NARROW, SETTLED};
}

static extended any_extended(void) {
    fe t = product();
    t.form = CARRIED;
    return (extended){product(), product(), product(), t};
}

/* What the top of ed25519_formulas.h says: settled, and below 1.1 p. */
static void check_extended(const extended *p) {
    const fe settled[] = {p->x, p->y, p->z};
    for (int i = 0; i < 3; i++) {
        CHECK(settled[i].form == SETTLED && settled[i].most < 1.1);
        CHECK(settled[i].narrow <= PRODUCT_NARROW);
    }
    CHECK(p->t.form != LOOSE && p->t.most < 1.1);
}

static void check_sums(void) {
    const addend entry = {stored(), stored(), stored()};
    extended p = any_extended();
    extended_double(&p);
    check_extended(&p);
    extended_double_with_t(&p);
    check_extended(&p);
    p = any_extended();
    extended_add(&p, &entry, 1);
    check_extended(&p);
    const extended other = any_extended();
    projective_addend cached = projective_addend_of(&other);
    extended_add_projective(&p, &cached, 1);
    check_extended(&p);
}

static void check_forms(void) {
    const affine point = {stored(), product()};
    extended p = extended_of(&point);
    check_extended(&p);
    const addend step = addend_of(&point);
    extended_add(&p, &step, 0);
    check_extended(&p);
    affine at = affine_of(&p, product());
    CHECK(at.x.form == SETTLED && at.y.form == SETTLED);
    (void)addend_of(&at);
}

static void check_decoding(void) {
    affine point;
    CHECK(affine_decode(&point, stored(), 1));
    CHECK(point.x.form == SETTLED && point.x.most <= 3 && point.y.form == SETTLED);
}

void test_ed25519_values(void) {
    check_sums();
    check_forms();
    check_decoding();
}
