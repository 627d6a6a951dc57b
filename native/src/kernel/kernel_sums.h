/*
 * Sums of affine points, many at a time and each step with one inversion for all of them (Montgomery's
 * trick): five multiplications and a squaring for an addition, where the formulas without inversions take
 * eleven. So it pays where there are as many sums that an inversion divided by them is a few
 * multiplications.
 *
 * Exceptions. A sum whose term is the same point or its negative would divide by 0. Then nothing of that
 * step is right, for any of the sums, and sums_add says so. No key can bring that about where each sum
 * adds the windows of one point in their order: after windows of lower weight, whose digits add up to less
 * than the next window's weight, the two could only meet modulo the group's order; kernels that use this
 * say why their windows do not.
 *
 * Include a field of one lane and kernel_formulas.h first; and have fe_invert.
 */
#ifndef KERNEL_SUMS_H
#define KERNEL_SUMS_H

/* A point of a table, to be added or, where `minus` is set, subtracted. */
typedef struct term {
    const affine *at;
    fe_mask minus;
} term;

static inline affine term_point(const term *of) {
    affine out = *of->at;
    out.y = fe_settle(fe_choose(of->minus, fe_negate(out.y, 2), out.y));
    return out;
}

static inline fe term_distance(const affine *sum, const term *with) {
    return fe_carry(fe_sub(with->at->x, sum->x, 2));
}

/* sums[k] := sums[k] + terms[k]. 0 if that cannot be done so for one of them; `before` is scratch. */
FE_SHARED int sums_add(affine *sums, const term *terms, fe *before, size_t count) {
    fe product = fe_one();
    for (size_t k = 0; k < count; k++) {
        before[k] = product;
        product = fe_mul(product, term_distance(&sums[k], &terms[k]));
    }
    if (fe_is_zero(product)) {
        return 0;
    }
    fe rest = fe_invert(product);
    for (size_t k = count; k-- > 0;) {
        affine a = sums[k], b = term_point(&terms[k]);
        fe slope = fe_mul(fe_carry(fe_sub(b.y, a.y, 2)), fe_mul(rest, before[k]));
        rest = fe_mul(rest, term_distance(&a, &terms[k]));
        fe x = fe_fold(fe_sub(fe_square_loose(slope), fe_add(a.x, b.x), 4));
        fe y = fe_mul_loose(slope, fe_carry(fe_sub(a.x, x, 2)));
        sums[k] = (affine){x, fe_fold(fe_sub(y, a.y, 2))};
    }
    return 1;
}

#endif
