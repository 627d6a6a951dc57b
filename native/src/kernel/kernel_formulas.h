/*
 * Points of the NIST curves, y² = x³ - 3x + b, and how they are added: written once, over any `fe`.
 * Include a field first: of P-256, p256_field_lanes.h (eight points at a time) or p256_field_portable.h
 * (one); of P-384, p384_field.h; or a test's field of bounds.
 *
 * Representation. Affine (x, y), or Jacobian (X, Y, Z) for x = X / Z², y = Y / Z³. Z is carried, being
 * multiplied only; all else is settled. As multiples of p they stay below (for P-384, 1.2 throughout)
 *
 *   affine           x < 1.2    y < 1.2
 *   Jacobian         X < 1.2    Y < 3.6    Z < 1.9
 *
 * Exceptions. The formulas do not branch, and they are wrong for the point at infinity and for the sum
 * of a point with itself or its negative. All of these make Z 0 modulo p: Z3 = Z1 · H with H = 0 where
 * the two x are equal, and from there on Z stays 0, because every Z3 here is a multiple of Z1. (No
 * point has y = 0: the group's order is odd.) So whoever looks at Z once, at the end, knows whether
 * any step of the whole computation met an exception. A lane that did is not decided here.
 *
 * Sources. Doubling "dbl-2001-b" and mixed addition after Cohen, Miyaji and Ono (ASIACRYPT '98), as the
 * Explicit-Formulas Database has them; co-Z addition by Meloni (WAIFI 2007); odd multiples with one
 * inversion after Longa and Miri (PKC 2008).
 */
#ifndef KERNEL_FORMULAS_H
#define KERNEL_FORMULAS_H

#include <stddef.h>

typedef struct affine {
    fe x, y;
} affine;

typedef struct jacobian {
    fe x, y, z;
} jacobian;

/* p := 2p. Five multiplications, two of them in one reduction, and three squarings. */
FE_SHARED void jacobian_double(jacobian *p) {
    fe delta = fe_square_loose(p->z);
    fe gamma = fe_square_loose(p->y);
    fe z3 = fe_mul_double(p->y, p->z);
    fe alpha = fe_mul_carried(fe_carry(fe_times_3(fe_sub(p->x, delta, 2))),
                              fe_carry(fe_add(p->x, delta)));
    fe gamma_2 = fe_carry(fe_times_2(gamma));
    fe beta_2 = fe_mul_loose(p->x, gamma_2); /* 2β = 2 x γ */
    fe x3 = fe_fold(fe_sub(fe_square_loose(alpha), fe_times_4(beta_2), 8));
    fe lowered = fe_carry(fe_sub(fe_times_2(beta_2), x3, 2)); /* 4β - X3 */
    /* Y3 = α (4β - X3) - 8γ² = α (4β - X3) + 2γ · (8p - 4γ), in one reduction */
    p->y = fe_mul_add(alpha, lowered, gamma_2, fe_carry(fe_negate(fe_times_4(gamma), 8)));
    p->x = x3;
    p->z = z3;
}

/* p := p + q, or p - q where `minus` is set. Eight multiplications and three squarings. */
FE_SHARED void jacobian_add_affine(jacobian *p, const affine *q, fe_mask minus) {
    fe z2 = fe_square_carried(p->z);
    fe u2 = fe_mul_loose(q->x, z2);
    fe s2 = fe_mul_loose(fe_mul_carried(q->y, p->z), z2);
    s2 = fe_choose(minus, fe_negate(s2, 2), s2);
    fe h = fe_carry(fe_sub(u2, p->x, 2));
    fe r = fe_carry(fe_sub(s2, p->y, 4));
    fe minus_y = fe_carry(fe_negate(p->y, 4));
    fe h2 = fe_square_carried(h);
    fe h3 = fe_mul(h, h2);
    fe v = fe_mul_loose(p->x, h2);
    fe x3 = fe_fold(fe_sub(fe_square_loose(r), fe_add(h3, fe_times_2(v)), 8));
    p->z = fe_mul(p->z, h);
    /* Y3 = r (v - X3) - Y1 h³ */
    p->y = fe_mul_add(r, fe_carry(fe_sub(v, x3, 2)), minus_y, h3);
    p->x = x3;
}

static inline jacobian jacobian_of(const affine *q) {
    return (jacobian){q->x, q->y, fe_one()};
}

/* --- odd multiples: Q, 3Q, 5Q, … ---------------------------------------------------------------- */

/* One odd multiple; `ratio` is its Z by the Z of the multiple before it. */
typedef struct odd_multiple {
    affine at;
    fe ratio;
} odd_multiple;

/* Two points with one Z between them. */
typedef struct coz_pair {
    affine a, b;
} coz_pair;

/* 2q as a, and q itself as b, both with Z = 2y (which goes to *z). */
static inline coz_pair coz_double(const affine *q, fe *z) {
    fe y2 = fe_square_loose(q->y);
    fe m = fe_carry(fe_times_3(fe_sub(fe_square_loose(q->x), fe_one(), 2))); /* 3 (x² - 1) */
    fe s = fe_mul(q->x, fe_carry(fe_times_4(y2)));                                   /* 4 x y² */
    fe y4_8 = fe_mul(fe_carry(fe_times_2(y2)), fe_carry(fe_times_4(y2)));            /* 8 y⁴ */
    fe x = fe_fold(fe_sub(fe_square_loose(m), fe_times_2(s), 4));
    fe y = fe_fold(fe_sub(fe_mul_loose(m, fe_carry(fe_sub(s, x, 2))), y4_8, 4));
    *z = fe_carry(fe_times_2(q->y));
    return (coz_pair){{x, y}, {s, y4_8}};
}

/*
 * pair.b := a + b, and a is moved to that point's Z, which is *ratio times the Z before. Four
 * multiplications and two squarings.
 */
FE_SHARED void coz_add(coz_pair *pair, fe *ratio) {
    fe d = fe_carry(fe_sub(pair->a.x, pair->b.x, 2));
    fe c = fe_square_carried(d);
    fe w1 = fe_mul(pair->a.x, c);
    fe w2 = fe_mul(pair->b.x, c);
    fe dy = fe_carry(fe_sub(pair->a.y, pair->b.y, 2));
    fe a1 = fe_mul(pair->a.y, fe_carry(fe_sub(w1, w2, 2)));
    fe x3 = fe_fold(fe_sub(fe_square_loose(dy), fe_add(w1, w2), 4));
    fe y3 = fe_fold(fe_sub(fe_mul_loose(dy, fe_carry(fe_sub(w1, x3, 2))), a1, 4));
    pair->a = (affine){w1, a1};
    pair->b = (affine){x3, y3};
    *ratio = d;
}

/*
 * The first `count` odd multiples of q, not yet affine: multiple k has Z = (product of the ratios up
 * to k). Returns the last one's Z, of which odd_multiples_finish wants the inverse.
 */
FE_SHARED fe odd_multiples_start(odd_multiple *multiples, size_t count, const affine *q) {
    fe z;
    coz_pair pair = coz_double(q, &z);
    multiples[0] = (odd_multiple){pair.b, z};
    for (size_t k = 1; k < count; k++) {
        coz_add(&pair, &multiples[k].ratio);
        multiples[k].at = pair.b;
        z = fe_mul_carried(z, multiples[k].ratio);
    }
    return z;
}

FE_SHARED void odd_multiples_finish(odd_multiple *multiples, size_t count, fe z_inverse) {
    for (size_t k = count; k-- > 0;) {
        fe z2 = fe_square_carried(z_inverse);
        affine *at = &multiples[k].at;
        at->x = fe_mul(at->x, z2);
        at->y = fe_mul(at->y, fe_mul_carried(z2, z_inverse));
        z_inverse = fe_mul_carried(z_inverse, multiples[k].ratio);
    }
}

/* --- the end of a verification ------------------------------------------------------------------ */

/* Whether p is a point (and not what an exception left) with x = `candidate`: X = candidate · Z². */
FE_SHARED fe_mask jacobian_has_x(const jacobian *p, fe candidate) {
    fe difference = fe_sub(p->x, fe_mul_loose(candidate, fe_square_carried(p->z)), 2);
    fe_mask equal = fe_is_zero(fe_carry(difference));
    return (fe_mask)(equal & ~fe_is_zero(p->z));
}

#endif
