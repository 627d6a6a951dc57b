/*
 * Eight signatures at a time: the kernel for x86-64 CPUs with AVX-512 IFMA.
 *
 * A block is eight jobs side by side. Blocks are worked on in pairs, one step of the first and then the
 * same step of the second: their instructions do not wait for each other, and the CPU overlaps them.
 *
 * Compiled with flags of its own (setup.py, native/Makefile); nothing here may run before
 * ks_cpu_has_ifma() said so.
 */
#include "p256_kernel.h"

#if (defined(__AVX512F__) && defined(__AVX512IFMA__)) || defined(KS_LANES_EMULATED)

#include <stdlib.h>

#include "p256_blocks.h"

#define PAIR 2u

/* --- steps of a sum ----------------------------------------------------------------------------- */

LANES_INLINE void sum_start(jacobian *sum, affine term, lane_mask minus) {
    term.y = fe_settle(fe_choose(minus, fe_negate(term.y, 2), term.y));
    *sum = jacobian_of(&term);
}

LANES_INLINE lanes wide_index(const lane_digits *digits, unsigned window, lane_mask *minus) {
    lanes index = digit_at(digits, window * P256_WIDE_BITS, P256_WIDE_BITS, minus);
    return lanes_add(index, lanes_all(window * P256_WIDE_ENTRIES));
}

static affine wide_term(const lane_tables *table, const lane_digits *digits, unsigned window,
                        lane_mask *minus) {
    lane_mask ignored;
    if (window + 1 < P256_WIDE_WINDOWS) {
        entries_prefetch(table, wide_index(digits, window + 1, &ignored));
    }
    return entries_gather(table, wide_index(digits, window, minus));
}

static void add_wide(block *to, const lane_tables *table, const lane_digits *digits,
                     unsigned window) {
    lane_mask minus;
    affine term = wide_term(table, digits, window, &minus);
    jacobian_add_affine(&to->sum, &term, minus);
}

/* u1 · G, on top of what is there. */
static void add_base(block *pair, size_t count, const p256_wide *g) {
    const lane_tables table = {(const char *)g, lanes_all(0)};
    for (unsigned window = 0; window < P256_WIDE_WINDOWS; window++) {
        for (size_t b = 0; b < count; b++) {
            add_wide(&pair[b], &table, &pair[b].u1, window);
        }
    }
}

/* --- the end ------------------------------------------------------------------------------------ */

/* The lanes whose r + n is below p. Nobody meets one by chance: they are one in 2^128. */
static lane_mask lanes_with_two_candidates(const block *of) {
    static const uint64_t gap[P256_WORDS] = {P256_PRIME_LESS_ORDER};
    unsigned out = 0;
    for (unsigned lane = 0; lane < KS_LANES; lane++) {
        out |= (unsigned)p256_words_below(of->job[lane]->signature->r, gap) << lane;
    }
    return (lane_mask)out;
}

/* r is x modulo n, and x is below p: x is r, or r + n where that is below p. */
static lane_mask x_is_r(const block *of) {
    uint64_t r[KS_LANES][P256_LIMBS];
    const uint64_t *at[KS_LANES];
    for (unsigned lane = 0; lane < KS_LANES; lane++) {
        p256_limbs_of(r[lane], of->job[lane]->signature->r);
        at[lane] = r[lane];
    }
    fe candidate = fe_mul(limbs_load(at), fe_constant(p256_r1));
    lane_mask valid = jacobian_has_x(&of->sum, candidate);
    lane_mask two = lanes_with_two_candidates(of);
    if (two != 0) {
        candidate = fe_carry(fe_add(candidate, fe_constant(p256_order)));
        valid |= two & jacobian_has_x(&of->sum, candidate);
    }
    return valid;
}

static void verdicts_write(const block *of) {
    lane_mask valid = x_is_r(of);
    for (unsigned lane = 0; lane < KS_LANES; lane++) {
        *of->job[lane]->verdict = (valid >> lane) & 1;
    }
}

/* --- both points have wide tables --------------------------------------------------------------- */

static void pair_verify_wide(block *pair, size_t count, const p256_wide *g) {
    const lane_tables base = {(const char *)g, lanes_all(0)};
    for (size_t b = 0; b < count; b++) {
        lane_mask minus;
        pair[b].key = tables_of(&pair[b]);
        affine term = wide_term(&base, &pair[b].u1, 0, &minus);
        sum_start(&pair[b].sum, term, minus);
        add_wide(&pair[b], &pair[b].key, &pair[b].u2, 0);
    }
    for (unsigned window = 1; window < P256_WIDE_WINDOWS; window++) {
        for (size_t b = 0; b < count; b++) {
            add_wide(&pair[b], &base, &pair[b].u1, window);
        }
        for (size_t b = 0; b < count; b++) {
            add_wide(&pair[b], &pair[b].key, &pair[b].u2, window);
        }
    }
}

static void verify_wide(const void *g, const p256_job *jobs, size_t count) {
    block blocks[MOST_BLOCKS];
    size_t all = blocks_load(blocks, jobs, count);
    for (size_t b = 0; b < all; b += PAIR) {
        pair_verify_wide(&blocks[b], all - b < PAIR ? all - b : PAIR, g);
    }
    for (size_t b = 0; b < all; b++) {
        verdicts_write(&blocks[b]);
    }
}

/* --- inversion ---------------------------------------------------------------------------------- */

/*
 * Each element becomes its inverse, with one inversion for all lanes of all of them. One that is 0
 * counts as 1, so that its neighbours have their inverses, and stays 0: the table made with it holds
 * (0, 0) only, and the sums of that have Z = 0. Answers the lanes where there was one. (No point of the
 * curve makes one; what is refused here is a table of something else.)
 */
static lane_mask invert_all(fe *elements, size_t count) {
    fe before[MOST_BLOCKS];
    lane_mask zero[MOST_BLOCKS], any = 0;
    uint64_t limbs[KS_LANES][P256_LIMBS];
    const uint64_t *at[KS_LANES];
    const fe one = fe_constant(p256_one), nothing = fe_sub(one, one, 0);
    fe product = one;
    for (size_t k = 0; k < count; k++) {
        zero[k] = fe_is_zero(elements[k]);
        any |= zero[k];
        elements[k] = fe_choose(zero[k], one, elements[k]);
        before[k] = product;
        product = fe_mul(product, elements[k]);
    }
    limbs_store(limbs, product);
    ks_p256_invert_all(limbs, KS_LANES);
    for (unsigned lane = 0; lane < KS_LANES; lane++) {
        at[lane] = limbs[lane];
    }
    fe rest = limbs_load(at);
    for (size_t k = count; k-- > 0;) {
        fe inverse = fe_mul(rest, before[k]);
        rest = fe_mul(rest, elements[k]);
        elements[k] = fe_choose(zero[k], nothing, inverse);
    }
    return any;
}

/* --- keys that nobody has seen before ----------------------------------------------------------- */

/* `z` as odd_multiples_start gave it for each table. */
static void point_tables_finish(point_table *tables, fe *z, size_t count) {
    (void)invert_all(z, count);
    for (size_t b = 0; b < count; b++) {
        odd_multiples_finish(tables[b], P256_COMB_ENTRIES, z[b]);
    }
}

#define POINT_WINDOWS (P256_DIGIT_BITS / P256_COMB_BITS)

static affine point_term(const point_table *table, const lane_digits *digits, unsigned window,
                         lane_mask *minus) {
    return multiples_gather(table,
                            digit_at(digits, window * P256_COMB_BITS, P256_COMB_BITS, minus));
}

static void pair_double(block *pair, size_t count) {
    for (unsigned i = 0; i < P256_COMB_BITS; i++) {
        for (size_t b = 0; b < count; b++) {
            jacobian_double(&pair[b].sum);
        }
    }
}

static void pair_verify_point(block *pair, size_t count, const point_table *tables,
                              const p256_wide *g) {
    lane_mask minus;
    for (size_t b = 0; b < count; b++) {
        affine term = point_term(&tables[b], &pair[b].u2, POINT_WINDOWS - 1, &minus);
        sum_start(&pair[b].sum, term, minus);
    }
    for (unsigned window = POINT_WINDOWS - 1; window-- > 0;) {
        pair_double(pair, count);
        for (size_t b = 0; b < count; b++) {
            affine term = point_term(&tables[b], &pair[b].u2, window, &minus);
            jacobian_add_affine(&pair[b].sum, &term, minus);
        }
    }
    add_base(pair, count, g);
}

static affine block_point(const block *of) {
    const p256_entry *points[KS_LANES];
    for (unsigned lane = 0; lane < KS_LANES; lane++) {
        points[lane] = of->job[lane]->key.point;
    }
    return points_load(points);
}

static void verify_point(const void *g, const p256_job *jobs, size_t count, void *scratch) {
    block blocks[MOST_BLOCKS];
    fe z[MOST_BLOCKS];
    point_table *tables = scratch;
    size_t all = blocks_load(blocks, jobs, count);
    for (size_t b = 0; b < all; b++) {
        affine point = block_point(&blocks[b]);
        z[b] = odd_multiples_start(tables[b], P256_COMB_ENTRIES, &point);
    }
    point_tables_finish(tables, z, all);
    for (size_t b = 0; b < all; b += PAIR) {
        pair_verify_point(&blocks[b], all - b < PAIR ? all - b : PAIR, &tables[b], g);
    }
    for (size_t b = 0; b < all; b++) {
        verdicts_write(&blocks[b]);
    }
}

/* --- keys that were seen before ----------------------------------------------------------------- */

static void add_comb(block *to, unsigned tooth, unsigned window) {
    lane_mask minus;
    unsigned bit = (tooth * P256_COMB_WINDOWS + window) * P256_COMB_BITS;
    lanes index = digit_at(&to->u2, bit, P256_COMB_BITS, &minus);
    index = lanes_add(index, lanes_all(tooth * P256_COMB_ENTRIES));
    affine term = entries_gather(&to->key, index);
    jacobian_add_affine(&to->sum, &term, minus);
}

static void comb_start(block *of) {
    lane_mask minus;
    lanes index = digit_at(&of->u2, (P256_COMB_WINDOWS - 1) * P256_COMB_BITS, P256_COMB_BITS, &minus);
    of->key = tables_of(of);
    sum_start(&of->sum, entries_gather(&of->key, index), minus);
}

static void pair_verify_comb(block *pair, size_t count, const p256_wide *g) {
    for (size_t b = 0; b < count; b++) {
        comb_start(&pair[b]);
    }
    for (unsigned window = P256_COMB_WINDOWS; window-- > 0;) {
        if (window < P256_COMB_WINDOWS - 1) {
            pair_double(pair, count);
        }
        for (unsigned tooth = window == P256_COMB_WINDOWS - 1; tooth < P256_COMB_TEETH; tooth++) {
            for (size_t b = 0; b < count; b++) {
                add_comb(&pair[b], tooth, window);
            }
        }
    }
    add_base(pair, count, g);
}

static void verify_comb(const void *g, const p256_job *jobs, size_t count) {
    block blocks[MOST_BLOCKS];
    size_t all = blocks_load(blocks, jobs, count);
    for (size_t b = 0; b < all; b += PAIR) {
        pair_verify_comb(&blocks[b], all - b < PAIR ? all - b : PAIR, g);
    }
    for (size_t b = 0; b < all; b++) {
        verdicts_write(&blocks[b]);
    }
}

/* powers[i] := 2^(65 i) · point, in lanes. */
static void comb_powers(affine powers[P256_COMB_TEETH], const affine *point) {
    jacobian at = jacobian_of(point), power[P256_COMB_TEETH];
    fe z[P256_COMB_TEETH];
    for (unsigned tooth = 0; tooth < P256_COMB_TEETH; tooth++) {
        power[tooth] = at;
        z[tooth] = at.z;
        for (unsigned i = 0; i < P256_COMB_WINDOWS * P256_COMB_BITS; i++) {
            jacobian_double(&at);
        }
    }
    (void)invert_all(z, P256_COMB_TEETH);
    for (unsigned tooth = 0; tooth < P256_COMB_TEETH; tooth++) {
        fe square = fe_square(z[tooth]);
        powers[tooth].x = fe_mul(power[tooth].x, square);
        powers[tooth].y = fe_mul(power[tooth].y, fe_mul(square, z[tooth]));
    }
}

static void build_eight_combs(p256_comb *const combs[KS_LANES],
                              const p256_entry *const points[KS_LANES], point_table *tables) {
    affine point = points_load(points), powers[P256_COMB_TEETH];
    fe z[P256_COMB_TEETH];
    comb_powers(powers, &point);
    for (unsigned tooth = 0; tooth < P256_COMB_TEETH; tooth++) {
        z[tooth] = odd_multiples_start(tables[tooth], P256_COMB_ENTRIES, &powers[tooth]);
    }
    point_tables_finish(tables, z, P256_COMB_TEETH);
    for (unsigned tooth = 0; tooth < P256_COMB_TEETH; tooth++) {
        for (unsigned k = 0; k < P256_COMB_ENTRIES; k++) {
            p256_entry *to[KS_LANES];
            for (unsigned lane = 0; lane < KS_LANES; lane++) {
                to[lane] = &combs[lane]->teeth[tooth][k];
            }
            entries_store(to, tables[tooth][k].at);
        }
    }
}

static void build_combs(void *const *combs, const p256_entry *const *points, size_t count,
                        void *scratch) {
    for (size_t from = 0; from < count; from += KS_LANES) {
        p256_comb *to[KS_LANES];
        const p256_entry *of[KS_LANES];
        for (size_t lane = 0; lane < KS_LANES; lane++) {
            size_t i = from + lane < count ? from + lane : count - 1;
            to[lane] = combs[i];
            of[lane] = points[i];
        }
        build_eight_combs(to, of, scratch);
    }
}

/* --- building wide tables ----------------------------------------------------------------------- */

/* Eight windows at a time, each in its lane; the last lanes repeat the last window. 0 if `powers` has
 * something that is no point of the curve. */
static int windows_build(p256_wide *table, const p256_entry *powers, size_t from,
                          odd_multiple *multiples) {
    size_t window[KS_LANES];
    const p256_entry *firsts[KS_LANES];
    for (size_t lane = 0; lane < KS_LANES; lane++) {
        window[lane] = from + lane < P256_WIDE_WINDOWS ? from + lane : P256_WIDE_WINDOWS - 1;
        firsts[lane] = &powers[window[lane]];
    }
    affine first = points_load(firsts);
    fe z = odd_multiples_start(multiples, P256_WIDE_ENTRIES, &first);
    if (invert_all(&z, 1) != 0) {
        return 0;
    }
    odd_multiples_finish(multiples, P256_WIDE_ENTRIES, z);
    for (size_t k = 0; k < P256_WIDE_ENTRIES; k++) {
        p256_entry *to[KS_LANES];
        for (unsigned lane = 0; lane < KS_LANES; lane++) {
            to[lane] = &table->window[window[lane]][k];
        }
        entries_store(to, multiples[k].at);
    }
    return 1;
}

static int build_wide(void *table, const p256_entry *point) {
    p256_entry powers[P256_WIDE_WINDOWS];
    odd_multiple *multiples =
        aligned_alloc(sizeof(lanes), P256_WIDE_ENTRIES * sizeof *multiples);
    if (multiples == NULL) {
        return 0;
    }
    ks_p256_powers(powers, P256_WIDE_WINDOWS, P256_WIDE_BITS, point);
    int built = 1;
    for (size_t from = 0; built && from < P256_WIDE_WINDOWS; from += KS_LANES) {
        built = windows_build(table, powers, from, multiples);
    }
    free(multiples);
    return built;
}

const p256_kernel ks_p256_kernel_ifma = {
    .path = "ifma",
    .lanes = KS_LANES,
    .costs = {{[KS_WIDE] = 32, [KS_COMB] = 64, [KS_POINT] = 128}}, /* bench/verify_batch.py */
    .cache = KS_CACHE_P256_LIMBS,
    .wide_bytes = sizeof(p256_wide),
    .comb_bytes = sizeof(p256_comb),
    .scratch_bytes = MOST_BLOCKS * sizeof(point_table),
    .build_wide = build_wide,
    .verify_wide = verify_wide,
    .verify_point = verify_point,
    .verify_comb = verify_comb,
    .build_combs = build_combs,
};

#else
/* ISO C wants a declaration in every file; another architecture's build has this one. */
typedef int p256_kernel_ifma_is_not_built;
#endif
