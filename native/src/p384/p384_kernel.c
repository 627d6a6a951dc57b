#include "p384_kernel.h"

#include <stdlib.h>
#include <string.h>

#include "kernel/kernel_inverse.h"
#include "p384_field.h"

#include "kernel/kernel_formulas.h"

const p384_entry ks_p384_base = {
    .x = {0x7565fcc0b5284d, 0xe2edd6ce383dd0, 0x541b4d6e6de378, 0xa30eff879c3afc, 0xde2b6454868459,
          0x13812ff723614e, 0x003aadc2299e15},
    .y = {0x3dad2003a4fe2b, 0xbfa6b4a9ac2304, 0x2e83b050ccbfa8, 0xf4ffd98bade756, 0xa840c6c3521968,
          0xe9dd8002263969, 0x0078abc25a15c5},
};

static const uint64_t curve_b[P384_LIMBS] = {0x8870d0412dcccd, 0xd9474c32ec0811, 0x1920022fc429ad,
                                             0x938ae277f2209b, 0x2094e3374bee94, 0xf9b62b21f41f02,
                                             0x0008114b604fbf};

static const ks_modulus_384 field = {
    .words = {0x00000000ffffffff, 0xffffffff00000000, 0xfffffffffffffffe, 0xffffffffffffffff,
              0xffffffffffffffff, 0xffffffffffffffff},
    .inverse_62 = 0x3ffffffeffffffff,
};

/* --- reading and writing ------------------------------------------------------------------------ */

static affine affine_of(const p384_entry *entry) {
    return (affine){fe_constant(entry->x), fe_constant(entry->y)};
}

static p384_entry entry_of(affine point) {
    p384_entry out;
    memcpy(out.x, point.x.limb, sizeof out.x);
    memcpy(out.y, point.y.limb, sizeof out.y);
    return out;
}

/* Montgomery's form of a number below 2^384. */
static fe fe_of(const uint64_t words[P384_WORDS]) {
    fe plain;
    p384_limbs_of(plain.limb, words);
    return fe_mul(plain, fe_constant(p384_r1));
}

/* a as a number below p. */
static void fe_write(uint64_t words[P384_WORDS], fe a) {
    fe plain = fe_mul(a, (fe){{1}}); /* at most p */
    p384_words_of(words, plain.limb);
    if (!ks_words_below(words, field.words, P384_WORDS)) {
        memset(words, 0, P384_WORDS * sizeof *words);
    }
}

static int on_curve(affine point) {
    fe x2_less_3 = fe_sub(fe_square(point.x), fe_times_3(fe_one()), 4);
    fe right = fe_add(fe_mul(x2_less_3, point.x), fe_constant(curve_b)); /* x³ - 3x + b */
    return fe_is_zero(fe_sub(fe_square(point.y), right, 4));
}

int ks_p384_point_read(p384_entry *point, const uint8_t x[P384_OCTETS],
                       const uint8_t y[P384_OCTETS]) {
    uint64_t x_words[P384_WORDS], y_words[P384_WORDS];
    ks_words_read(x_words, x, P384_WORDS);
    ks_words_read(y_words, y, P384_WORDS);
    if (!ks_words_below(x_words, field.words, P384_WORDS) ||
        !ks_words_below(y_words, field.words, P384_WORDS)) {
        return 0;
    }
    affine read = {fe_of(x_words), fe_of(y_words)};
    *point = entry_of(read);
    return on_curve(read);
}

/* --- inversion ---------------------------------------------------------------------------------- */

static fe fe_invert(fe a) {
    uint64_t words[P384_WORDS];
    fe_write(words, a);
    ks_invert_384(words, words, &field);
    return fe_of(words);
}

#include "kernel/kernel_invert_all.h"

/* --- tables ------------------------------------------------------------------------------------- */

/* powers[i] := 2^(spacing i) · point */
#define MOST_POWERS P384_WIDE_WINDOWS
static void powers_of(affine *powers, size_t count, unsigned spacing, const p384_entry *point) {
    jacobian power[MOST_POWERS];
    fe z[MOST_POWERS], before[MOST_POWERS];
    affine first = affine_of(point);
    jacobian at = jacobian_of(&first);
    for (size_t k = 0; k < count; k++) {
        power[k] = at;
        z[k] = at.z;
        for (unsigned i = 0; i < spacing && k + 1 < count; i++) {
            jacobian_double(&at);
        }
    }
    invert_all(z, before, count);
    for (size_t k = 0; k < count; k++) {
        fe square = fe_square(z[k]);
        powers[k] = (affine){fe_mul(power[k].x, square), fe_mul(power[k].y, fe_mul(square, z[k]))};
    }
}

static void entries_store(p384_entry *entries, const odd_multiple *multiples, size_t count) {
    for (size_t k = 0; k < count; k++) {
        entries[k] = entry_of(multiples[k].at);
    }
}

int ks_p384_build_wide(p384_wide *table, const p384_entry *point) {
    affine powers[P384_WIDE_WINDOWS];
    odd_multiple multiples[P384_WIDE_ENTRIES];
    powers_of(powers, P384_WIDE_WINDOWS, P384_WIDE_BITS, point);
    for (size_t window = 0; window < P384_WIDE_WINDOWS; window++) {
        fe z = odd_multiples_start(multiples, P384_WIDE_ENTRIES, &powers[window]);
        if (fe_is_zero(z)) {
            return 0; /* `point` was none of the curve's */
        }
        odd_multiples_finish(multiples, P384_WIDE_ENTRIES, fe_invert(z));
        entries_store(table->window[window], multiples, P384_WIDE_ENTRIES);
    }
    return 1;
}

/* The odd multiples of a few points, as combs have them: one tooth for each. */
#define MOST_TEETH 8u
typedef p384_entry tooth[P384_COMB_ENTRIES];

static void teeth_build(tooth *teeth, const affine *points, size_t count) {
    odd_multiple multiples[MOST_TEETH][P384_COMB_ENTRIES];
    fe z[MOST_TEETH], before[MOST_TEETH];
    for (size_t i = 0; i < count; i++) {
        z[i] = odd_multiples_start(multiples[i], P384_COMB_ENTRIES, &points[i]);
    }
    invert_all(z, before, count);
    for (size_t i = 0; i < count; i++) {
        odd_multiples_finish(multiples[i], P384_COMB_ENTRIES, z[i]);
        entries_store(teeth[i], multiples[i], P384_COMB_ENTRIES);
    }
}

void ks_p384_build_comb(p384_comb *comb, const p384_entry *point) {
    affine powers[P384_COMB_TEETH];
    _Static_assert(P384_COMB_TEETH <= MOST_TEETH, "as many as are built at once");
    powers_of(powers, P384_COMB_TEETH, P384_COMB_WINDOWS * P384_COMB_BITS, point);
    teeth_build(comb->teeth, powers, P384_COMB_TEETH);
}

/* --- sums --------------------------------------------------------------------------------------- */

static void sum_start(jacobian *sum, const p384_entry *multiples, ks_digit digit) {
    affine term = affine_of(&multiples[digit.index]);
    term.y = fe_settle(fe_choose(digit.minus, fe_negate(term.y, 2), term.y));
    *sum = jacobian_of(&term);
}

static void sum_add(jacobian *sum, const p384_entry *multiples, ks_digit digit) {
    affine term = affine_of(&multiples[digit.index]);
    jacobian_add_affine(sum, &term, digit.minus);
}

static ks_digit wide_digit(const p384_digits *digits, unsigned window) {
    return ks_digit_at(digits->word, digits->minus, window * P384_WIDE_BITS, P384_WIDE_BITS);
}

static void add_wide(jacobian *sum, const p384_wide *table, const p384_digits *digits,
                     unsigned window) {
    if (window + 1 < P384_WIDE_WINDOWS) { /* what is far away by then is asked for now */
        const p384_entry *next = &table->window[window + 1][wide_digit(digits, window + 1).index];
        __builtin_prefetch(next->x);
        __builtin_prefetch(next->y);
    }
    sum_add(sum, table->window[window], wide_digit(digits, window));
}

/* u · P by the odd multiples of P, 2^(384 / count) · P and so on: one tooth for a new key, or a comb's. */
static void sum_teeth(jacobian *sum, const tooth *teeth, unsigned count,
                      const p384_digits *digits) {
    unsigned windows = P384_DIGIT_BITS / P384_COMB_BITS / count;
    for (unsigned window = windows; window-- > 0;) {
        for (unsigned i = 0; window + 1 < windows && i < P384_COMB_BITS; i++) {
            jacobian_double(sum);
        }
        for (unsigned i = 0; i < count; i++) {
            unsigned bit = (i * windows + window) * P384_COMB_BITS;
            ks_digit digit = ks_digit_at(digits->word, digits->minus, bit, P384_COMB_BITS);
            if (window + 1 == windows && i == 0) {
                sum_start(sum, teeth[i], digit);
            } else {
                sum_add(sum, teeth[i], digit);
            }
        }
    }
}

/* --- verification ------------------------------------------------------------------------------- */

/* r is x modulo n, and x is below p: x is r, or r + n where that is below p. */
static int x_is_r(const jacobian *sum, const uint64_t r[P384_WORDS]) {
    static const uint64_t gap[P384_WORDS] = {P384_PRIME_LESS_ORDER};
    fe candidate = fe_of(r);
    if (jacobian_has_x(sum, candidate)) {
        return 1;
    }
    return ks_words_below(r, gap, P384_WORDS) &&
           jacobian_has_x(sum, fe_add(candidate, fe_constant(p384_order)));
}

void ks_p384_verify_wide(const p384_wide *g, const p384_job *jobs, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const p384_signature *signature = jobs[i].signature;
        jacobian sum;
        sum_start(&sum, g->window[0], wide_digit(&signature->u1, 0));
        add_wide(&sum, jobs[i].key.wide, &signature->u2, 0);
        for (unsigned window = 1; window < P384_WIDE_WINDOWS; window++) {
            add_wide(&sum, g, &signature->u1, window);
            add_wide(&sum, jobs[i].key.wide, &signature->u2, window);
        }
        *jobs[i].verdict = (uint8_t)x_is_r(&sum, signature->r);
    }
}

static void job_verify_teeth(const p384_wide *g, const p384_job *job, const tooth *teeth,
                             unsigned count) {
    jacobian sum;
    sum_teeth(&sum, teeth, count, &job->signature->u2);
    for (unsigned window = 0; window < P384_WIDE_WINDOWS; window++) {
        add_wide(&sum, g, &job->signature->u1, window);
    }
    *job->verdict = (uint8_t)x_is_r(&sum, job->signature->r);
}

void ks_p384_verify_comb(const p384_wide *g, const p384_job *jobs, size_t count) {
    for (size_t i = 0; i < count; i++) {
        job_verify_teeth(g, &jobs[i], jobs[i].key.comb->teeth, P384_COMB_TEETH);
    }
}

void ks_p384_verify_point(const p384_wide *g, const p384_job *jobs, size_t count) {
    for (size_t from = 0; from < count; from += MOST_TEETH) {
        size_t some = count - from < MOST_TEETH ? count - from : MOST_TEETH;
        affine points[MOST_TEETH];
        tooth teeth[MOST_TEETH];
        for (size_t i = 0; i < some; i++) {
            points[i] = affine_of(jobs[from + i].key.point);
        }
        teeth_build(teeth, points, some);
        for (size_t i = 0; i < some; i++) {
            job_verify_teeth(g, &jobs[from + i], &teeth[i], 1);
        }
    }
}
