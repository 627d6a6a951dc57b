#include "p256_point.h"

#include "p256_field_portable.h"

#include "kernel/kernel_formulas.h"
#include "kernel/kernel_invert_all.h"

const p256_entry ks_p256_base = {
    .x = {0x30d418a9143c1, 0xc4fedb60179e7, 0x62251075ba95f, 0x5c669fb732b77, 0x08905f76b5375},
    .y = {0x5357ce95560a8, 0x43a19e45cddf2, 0x21f3258b4ab8e, 0xd8552e88688dd, 0x0571ff18a5885},
};

/* b of the curve (SP 800-186 §3.2.1.3). */
static const uint64_t curve_b[P256_WORDS] = {0x3bce3c3e27d2604b, 0x651d06b0cc53b0f6,
                                             0xb3ebbd55769886bc, 0x5ac635d8aa3a93e7};

/* --- reading and writing ------------------------------------------------------------------------ */

static affine affine_of(const p256_entry *entry) {
    return (affine){fe_load(entry->x), fe_load(entry->y)};
}

static p256_entry entry_of(affine point) {
    p256_entry out;
    fe_store(out.x, point.x);
    fe_store(out.y, point.y);
    return out;
}

static int on_curve(affine point) {
    fe x2_less_3 = fe_sub(fe_square(point.x), fe_times_3(fe_one()), 4);
    fe right = fe_add(fe_mul(x2_less_3, point.x), fe_of(curve_b)); /* x³ - 3x + b */
    return fe_is_zero(fe_sub(fe_square(point.y), right, 4));
}

int ks_p256_point_read(p256_entry *point, const uint8_t x[P256_OCTETS],
                       const uint8_t y[P256_OCTETS]) {
    uint64_t x_words[P256_WORDS], y_words[P256_WORDS];
    p256_words_read(x_words, x);
    p256_words_read(y_words, y);
    if (!p256_words_below(x_words, p256_prime_words.word) ||
        !p256_words_below(y_words, p256_prime_words.word)) {
        return 0;
    }
    affine read = {fe_of(x_words), fe_of(y_words)};
    *point = entry_of(read);
    return on_curve(read);
}

/* --- inversion ---------------------------------------------------------------------------------- */

void ks_p256_invert_all(uint64_t (*elements)[P256_LIMBS], size_t count) {
    fe loaded[P256_MOST_FIELD_INVERTED], before[P256_MOST_FIELD_INVERTED];
    for (size_t k = 0; k < count; k++) {
        loaded[k] = fe_load(elements[k]);
    }
    invert_all(loaded, before, count);
    for (size_t k = 0; k < count; k++) {
        fe_store(elements[k], loaded[k]);
    }
}

/* --- powers of two times a point ----------------------------------------------------------------- */

void ks_p256_powers(p256_entry *points, size_t count, unsigned spacing, const p256_entry *point) {
    jacobian power[P256_MOST_POWERS];
    fe z[P256_MOST_POWERS], before[P256_MOST_POWERS];
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
        points[k] = entry_of((affine){fe_mul(power[k].x, square),
                                      fe_mul(power[k].y, fe_mul(square, z[k]))});
    }
}
