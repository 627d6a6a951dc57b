/*
 * Making tables, in as many lanes as the kernel has: a part of the kernels, after a field and
 * ed25519_formulas.h.
 */
#ifndef ED25519_TABLES_H
#define ED25519_TABLES_H

#include <stdlib.h>
#include <string.h>

#include "ed25519_kernel.h"

/* What affine coordinates are made from; `before` is the product of the Z before this one. */
typedef struct multiple {
    fe x, y, z, before;
} multiple;

/* --- in and out of lanes ------------------------------------------------------------------------ */

static affine points_load(const ed25519_point *const points[KS_LANES]) {
    const ed25519_number *x[KS_LANES], *y[KS_LANES];
    for (unsigned lane = 0; lane < KS_LANES; lane++) {
        x[lane] = &points[lane]->x;
        y[lane] = &points[lane]->y;
    }
    return (affine){fe_load(x), fe_load(y)};
}

static void points_store(ed25519_point *const to[KS_LANES], affine points) {
    ed25519_number *x[KS_LANES], *y[KS_LANES];
    for (unsigned lane = 0; lane < KS_LANES; lane++) {
        x[lane] = &to[lane]->x;
        y[lane] = &to[lane]->y;
    }
    fe_store(x, points.x);
    fe_store(y, points.y);
}

static void entries_store(ed25519_entry *const to[KS_LANES], const addend *points) {
    ed25519_number *plus[KS_LANES], *minus[KS_LANES], *product[KS_LANES];
    for (unsigned lane = 0; lane < KS_LANES; lane++) {
        plus[lane] = &to[lane]->plus;
        minus[lane] = &to[lane]->minus;
        product[lane] = &to[lane]->product;
    }
    fe_store(plus, points->plus);
    fe_store(minus, points->minus);
    fe_store(product, points->product);
}

/* --- inversion ---------------------------------------------------------------------------------- */

/*
 * The inverse of `product`, which goes to *z_inverse, in every lane: one inversion for all of them. No Z
 * is 0. (If one were, all inverses were 0, no signature were found valid, and OpenSSL would be asked.)
 */
static fe lanes_invert(fe product) {
    ed25519_number numbers[KS_LANES], *to[KS_LANES];
    const ed25519_number *from[KS_LANES];
    for (unsigned lane = 0; lane < KS_LANES; lane++) {
        to[lane] = &numbers[lane];
        from[lane] = &numbers[lane];
    }
    fe_store(to, product);
    ks_ed25519_invert_all(numbers, KS_LANES);
    return fe_load(from);
}

/* Montgomery's trick (Math. Comp. 48, 1987): sets `before` of each. The product of all Z. */
static fe multiples_product(multiple *multiples, size_t count) {
    fe product = fe_constant(&ed25519_one);
    for (size_t k = 0; k < count; k++) {
        multiples[k].before = product;
        product = fe_mul(product, multiples[k].z);
    }
    return product;
}

/* The affine points, from the last to the first; `rest` is the inverse of the product of the Z so far. */
static affine multiple_affine(const multiple *of, fe *rest) {
    fe inverse = fe_mul(*rest, of->before);
    *rest = fe_mul(*rest, of->z);
    return (affine){fe_mul(of->x, inverse), fe_mul(of->y, inverse)};
}

/* --- multiples ---------------------------------------------------------------------------------- */

/* multiples[k] := (k + 1) · P */
static void multiples_make(multiple *multiples, size_t count, const affine *point) {
    const addend step = addend_of(point);
    extended at = extended_of(point);
    for (size_t k = 0; k < count; k++) {
        multiples[k].x = at.x;
        multiples[k].y = at.y;
        multiples[k].z = at.z;
        if (k + 1 < count) {
            extended_add(&at, &step, 0);
        }
    }
}

/* powers[i] := 2^(spacing i) · P */
static void powers_make(affine *powers, size_t count, unsigned spacing, const affine *point) {
    multiple power[ED25519_WIDE_WINDOWS];
    extended at = extended_of(point);
    for (size_t i = 0; i < count; i++) {
        power[i].x = at.x;
        power[i].y = at.y;
        power[i].z = at.z;
        for (unsigned k = 0; k < spacing; k++) {
            extended_double(&at);
        }
    }
    fe rest = lanes_invert(multiples_product(power, count));
    for (size_t i = count; i-- > 0;) {
        powers[i] = multiple_affine(&power[i], &rest);
    }
}

/* rows[lane] := 0, P, 2P, … of each lane's point: `count` entries, without the first. */
static void rows_build(ed25519_entry *const rows[KS_LANES], multiple *multiples, size_t count,
                       const affine *point) {
    const ed25519_entry neutral = {{{1}}, {{1}}, {{0}}};
    multiples_make(multiples, count, point);
    fe rest = lanes_invert(multiples_product(multiples, count));
    for (size_t k = count; k-- > 0;) {
        ed25519_entry *to[KS_LANES];
        affine at = multiple_affine(&multiples[k], &rest);
        addend added = addend_of(&at);
        for (unsigned lane = 0; lane < KS_LANES; lane++) {
            to[lane] = &rows[lane][k + 1];
        }
        entries_store(to, &added);
    }
    for (unsigned lane = 0; lane < KS_LANES; lane++) {
        rows[lane][0] = neutral;
    }
}

/* --- tables ------------------------------------------------------------------------------------- */

/* The powers of one point, from lanes that all hold it, to points in memory. */
static void wide_powers(ed25519_point powers[ED25519_WIDE_WINDOWS], const ed25519_point *point) {
    affine power[ED25519_WIDE_WINDOWS];
    const ed25519_point *same[KS_LANES];
    for (unsigned lane = 0; lane < KS_LANES; lane++) {
        same[lane] = point;
    }
    affine first = points_load(same);
    powers_make(power, ED25519_WIDE_WINDOWS, ED25519_WIDE_BITS, &first);
    for (size_t i = 0; i < ED25519_WIDE_WINDOWS; i++) {
        ed25519_point ignored[KS_LANES], *to[KS_LANES];
        for (unsigned lane = 0; lane < KS_LANES; lane++) {
            to[lane] = lane == 0 ? &powers[i] : &ignored[lane];
        }
        points_store(to, power[i]);
    }
}

/* A window in each lane; the last lanes repeat the last window. */
static int build_wide(ed25519_wide *table, const ed25519_point *point) {
    ed25519_point powers[ED25519_WIDE_WINDOWS];
    multiple *multiples =
        aligned_alloc(64, (ED25519_WIDE_ENTRIES * sizeof *multiples + 63) / 64 * 64);
    if (multiples == NULL) {
        return 0;
    }
    wide_powers(powers, point);
    for (size_t from = 0; from < ED25519_WIDE_WINDOWS; from += KS_LANES) {
        ed25519_entry *rows[KS_LANES];
        const ed25519_point *firsts[KS_LANES];
        for (size_t lane = 0; lane < KS_LANES; lane++) {
            size_t last = ED25519_WIDE_WINDOWS - 1, window = from + lane < last ? from + lane : last;
            rows[lane] = table->window[window];
            firsts[lane] = &powers[window];
        }
        affine first = points_load(firsts);
        rows_build(rows, multiples, ED25519_WIDE_ENTRIES - 1, &first);
    }
    free(multiples);
    return 1;
}

/* The combs of as many keys as there are lanes. */
static void build_lanes_combs(ed25519_comb *const combs[KS_LANES], const affine *points) {
    affine powers[ED25519_COMB_TEETH];
    multiple multiples[ED25519_NARROW_ENTRIES - 1];
    powers_make(powers, ED25519_COMB_TEETH, ED25519_COMB_WINDOWS * ED25519_NARROW_BITS, points);
    for (unsigned tooth = 0; tooth < ED25519_COMB_TEETH; tooth++) {
        ed25519_entry *rows[KS_LANES];
        for (unsigned lane = 0; lane < KS_LANES; lane++) {
            rows[lane] = combs[lane]->teeth[tooth];
        }
        rows_build(rows, multiples, ED25519_NARROW_ENTRIES - 1, &powers[tooth]);
    }
}

static void build_combs(ed25519_comb *const *combs, const ed25519_point *const *points,
                        size_t count) {
    for (size_t from = 0; from < count; from += KS_LANES) {
        ed25519_comb *to[KS_LANES];
        const ed25519_point *of[KS_LANES];
        for (size_t lane = 0; lane < KS_LANES; lane++) {
            size_t i = from + lane < count ? from + lane : count - 1;
            to[lane] = combs[i];
            of[lane] = points[i];
        }
        affine point = points_load(of);
        build_lanes_combs(to, &point);
    }
}

/* --- keys --------------------------------------------------------------------------------------- */

static void keys_decode(ed25519_point *points, uint8_t *on_curve, const ed25519_number *keys,
                        size_t count) {
    for (size_t from = 0; from < count; from += KS_LANES) {
        ed25519_number y[KS_LANES];
        const ed25519_number *at[KS_LANES];
        ed25519_point decoded[KS_LANES], *to[KS_LANES];
        unsigned odd = 0;
        for (size_t lane = 0; lane < KS_LANES; lane++) {
            y[lane] = keys[from + lane < count ? from + lane : count - 1];
            odd |= (unsigned)(y[lane].word[ED25519_SIGN_WORD] >> ED25519_SIGN_BIT) << lane;
            y[lane].word[ED25519_SIGN_WORD] &= ~(UINT64_C(1) << ED25519_SIGN_BIT);
            at[lane] = &y[lane];
            to[lane] = &decoded[lane];
        }
        affine point;
        /* The other sign, for -A; where x is 0 there is no other. */
        lane_mask there = affine_decode(&point, fe_load(at), (lane_mask)odd ^ LANES_ALL_SET);
        points_store(to, point);
        for (size_t lane = 0; lane < KS_LANES && from + lane < count; lane++) {
            points[from + lane] = decoded[lane];
            on_curve[from + lane] = (there >> lane) & 1;
        }
    }
}

#endif
