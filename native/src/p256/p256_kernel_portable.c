/* One signature at a time, with tables: for CPUs without IFMA, and for what every kernel needs once. */
#include "p256_kernel.h"

#include <stdlib.h>
#include <string.h>

#include "kernel/kernel_inverse.h"
#include "p256_field_portable.h"

#include "kernel/kernel_formulas.h"

const p256_entry ks_p256_base = {
    .x = {0x30d418a9143c1, 0xc4fedb60179e7, 0x62251075ba95f, 0x5c669fb732b77, 0x08905f76b5375},
    .y = {0x5357ce95560a8, 0x43a19e45cddf2, 0x21f3258b4ab8e, 0xd8552e88688dd, 0x0571ff18a5885},
};

static const uint64_t curve_b[P256_LIMBS] = {0xdf6229c4bddfd, 0xca8843090d89c, 0x212ed6acf005c,
                                             0x83415a220abf7, 0x0c30061dd4874};

static const ks_modulus field = {
    .words = {0xffffffffffffffff, 0x00000000ffffffff, 0x0000000000000000, 0xffffffff00000001},
    .inverse_62 = 0x3fffffffffffffff,
};

/* --- reading and writing ------------------------------------------------------------------------ */

static affine affine_of(const p256_entry *entry) {
    return (affine){fe_constant(entry->x), fe_constant(entry->y)};
}

static p256_entry entry_of(affine point) {
    p256_entry out;
    memcpy(out.x, point.x.limb, sizeof out.x);
    memcpy(out.y, point.y.limb, sizeof out.y);
    return out;
}

/* Montgomery's form of a number below 2^256. */
static fe fe_of(const uint64_t words[P256_WORDS]) {
    fe plain;
    p256_limbs_of(plain.limb, words);
    return fe_mul(plain, fe_constant(p256_r1));
}

/* a as a number below p. */
static void fe_write(uint64_t words[P256_WORDS], fe a) {
    fe plain = fe_mul(a, (fe){{1}}); /* at most p */
    p256_words_of(words, plain.limb);
    if (!p256_words_below(words, field.words)) {
        memset(words, 0, P256_WORDS * sizeof *words);
    }
}

static int on_curve(affine point) {
    fe x2 = fe_square(point.x);
    fe three = fe_settle(fe_times_3(fe_constant(p256_one)));
    fe right = fe_mul(fe_settle(fe_sub(x2, three, 4)), point.x); /* x³ - 3x */
    right = fe_settle(fe_add(right, fe_constant(curve_b)));
    return fe_is_zero(fe_settle(fe_sub(fe_square(point.y), right, 4)));
}

int ks_p256_point_read(p256_entry *point, const uint8_t x[P256_OCTETS],
                       const uint8_t y[P256_OCTETS]) {
    uint64_t x_words[P256_WORDS], y_words[P256_WORDS];
    p256_words_read(x_words, x);
    p256_words_read(y_words, y);
    if (!p256_words_below(x_words, field.words) ||
        !p256_words_below(y_words, field.words)) {
        return 0;
    }
    affine read = {fe_of(x_words), fe_of(y_words)};
    *point = entry_of(read);
    return on_curve(read);
}

/* --- inversion ---------------------------------------------------------------------------------- */

static fe fe_invert(fe a) {
    uint64_t words[P256_WORDS];
    fe inverse;
    fe_write(words, a);
    ks_invert(words, words, &field);
    p256_limbs_of(inverse.limb, words);
    return fe_mul(inverse, fe_constant(p256_r1));
}

/* Montgomery's trick; a zero counts as 1, so that its neighbours have their inverses. */
void ks_p256_invert_all(uint64_t (*elements)[P256_LIMBS], size_t count) {
    fe before[P256_MOST_FIELD_INVERTED];
    fe product = fe_constant(p256_one);
    for (size_t k = 0; k < count; k++) {
        fe element = fe_constant(elements[k]);
        before[k] = product;
        product = fe_mul(product, fe_choose(fe_is_zero(element), fe_constant(p256_one), element));
    }
    fe rest = fe_invert(product);
    for (size_t k = count; k-- > 0;) {
        fe element = fe_constant(elements[k]);
        fe inverse = fe_mul(rest, before[k]);
        if (fe_is_zero(element)) {
            inverse = (fe){{0}};
        } else {
            rest = fe_mul(rest, element);
        }
        memcpy(elements[k], inverse.limb, sizeof inverse.limb);
    }
}

/* --- tables ------------------------------------------------------------------------------------- */

void ks_p256_powers(p256_entry *points, size_t count, unsigned spacing, const p256_entry *point) {
    jacobian power[P256_MOST_POWERS];
    uint64_t z[P256_MOST_POWERS][P256_LIMBS];
    affine first = affine_of(point);
    jacobian at = jacobian_of(&first);
    for (size_t k = 0; k < count; k++) {
        power[k] = at;
        memcpy(z[k], at.z.limb, sizeof z[k]);
        for (unsigned i = 0; i < spacing && k + 1 < count; i++) {
            jacobian_double(&at);
        }
    }
    ks_p256_invert_all(z, count);
    for (size_t k = 0; k < count; k++) {
        fe inverse = fe_constant(z[k]), square = fe_square(inverse);
        points[k] = entry_of((affine){fe_mul(power[k].x, square),
                                      fe_mul(power[k].y, fe_mul(square, inverse))});
    }
}

static int build_wide(p256_wide *table, const p256_entry *point) {
    p256_entry powers[P256_WIDE_WINDOWS];
    odd_multiple *multiples = malloc(P256_WIDE_ENTRIES * sizeof *multiples);
    if (multiples == NULL) {
        return 0;
    }
    ks_p256_powers(powers, P256_WIDE_WINDOWS, P256_WIDE_BITS, point);
    int built = 1;
    for (size_t window = 0; built && window < P256_WIDE_WINDOWS; window++) {
        affine first = affine_of(&powers[window]);
        fe z = odd_multiples_start(multiples, P256_WIDE_ENTRIES, &first);
        built = !fe_is_zero(z); /* else `point` was none of the curve's */
        odd_multiples_finish(multiples, P256_WIDE_ENTRIES, fe_invert(z));
        for (size_t k = 0; k < P256_WIDE_ENTRIES; k++) {
            table->window[window][k] = entry_of(multiples[k].at);
        }
    }
    free(multiples);
    return built;
}

/* --- verification ------------------------------------------------------------------------------- */

static void add_window(jacobian *sum, const p256_wide *table, const p256_digits *digits,
                       unsigned window) {
    p256_digit digit = p256_digit_at(digits, window * P256_WIDE_BITS, P256_WIDE_BITS);
    affine term = affine_of(&table->window[window][digit.index]);
    jacobian_add_affine(sum, &term, digit.minus);
}

static jacobian first_window(const p256_wide *table, const p256_digits *digits) {
    p256_digit digit = p256_digit_at(digits, 0, P256_WIDE_BITS);
    affine term = affine_of(&table->window[0][digit.index]);
    term.y = fe_settle(fe_choose(digit.minus, fe_negate(term.y, 2), term.y));
    return jacobian_of(&term);
}

/* r is x modulo n, and x is below p: x is r, or r + n where that is below p. */
static int x_is_r(const jacobian *sum, const uint64_t r[P256_WORDS]) {
    static const uint64_t gap[P256_WORDS] = {P256_PRIME_LESS_ORDER};
    fe candidate = fe_of(r);
    if (jacobian_has_x(sum, candidate)) {
        return 1;
    }
    return p256_words_below(r, gap) &&
           jacobian_has_x(sum, fe_settle(fe_add(candidate, fe_constant(p256_order))));
}

static void verify_wide(const p256_wide *g, const p256_job *jobs, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const p256_signature *signature = jobs[i].signature;
        jacobian sum = first_window(g, &signature->u1);
        add_window(&sum, jobs[i].key.wide, &signature->u2, 0);
        for (unsigned window = 1; window < P256_WIDE_WINDOWS; window++) {
            add_window(&sum, g, &signature->u1, window);
            add_window(&sum, jobs[i].key.wide, &signature->u2, window);
        }
        *jobs[i].verdict = (uint8_t)x_is_r(&sum, signature->r);
    }
}

const p256_kernel ks_p256_kernel_portable = {
    .path = "portable",
    .lanes = 1,
    .costs = {{[KS_WIDE] = 24}}, /* bench/verify_batch.py */
    .build_wide = build_wide,
    .verify_wide = verify_wide,
};
