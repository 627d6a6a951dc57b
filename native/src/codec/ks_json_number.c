/* Numbers (RFC 8259 §6), and what of them two readers of the same bytes see alike. */
#include "codec/ks_double.h"
#include "codec/ks_json_parser.h"

#define MOST_DIGITS 19u /* of an integer of 64 bits */

static int is_digit(const uint8_t *at, const uint8_t *end) {
    return at < end && *at >= '0' && *at <= '9';
}

static const uint8_t *digits_end(const uint8_t *at, const uint8_t *end) {
    while (is_digit(at, end)) {
        at++;
    }
    return at;
}

/* Behind the fraction and the exponent at `at`, each of which may be missing. */
static const uint8_t *fraction_end(const uint8_t *at, const uint8_t *end) {
    if (at < end && *at == '.' && is_digit(at + 1, end)) {
        at = digits_end(at + 1, end);
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        const uint8_t *digits = at + 1;
        digits += digits < end && (*digits == '+' || *digits == '-');
        at = is_digit(digits, end) ? digits_end(digits, end) : at;
    }
    return at;
}

static const uint8_t *integer_add(ks_json_parser *self, const uint8_t *digits, const uint8_t *end,
                                  int negative) {
    uint64_t size = 0;
    if ((size_t)(end - digits) > MOST_DIGITS) {
        return ks_json_fail(self, KS_E_MALFORMED);
    }
    for (; digits < end; digits++) {
        size = 10 * size + (*digits - (unsigned)'0');
    }
    if (size > INT64_MAX) {
        return ks_json_fail(self, KS_E_MALFORMED);
    }
    ks_json_add(self, KS_JSON_INTEGER)->as.integer = negative ? -(int64_t)size : (int64_t)size;
    return end;
}

static const uint8_t *double_add(ks_json_parser *self, const uint8_t *start, const uint8_t *end) {
    double number;
    ks_status status = ks_double_read((ks_view){start, (size_t)(end - start)}, &number);
    if (status != KS_OK) {
        return ks_json_fail(self, status);
    }
    ks_json_add(self, KS_JSON_NUMBER)->as.number = number;
    return end;
}

const uint8_t *ks_json_read_number(ks_json_parser *self, const uint8_t *at) {
    const uint8_t *digits = at + (*at == '-');
    if (!is_digit(digits, self->end)) {
        return ks_json_fail(self, KS_E_MALFORMED);
    }
    const uint8_t *whole = *digits == '0' ? digits + 1 : digits_end(digits, self->end);
    const uint8_t *end = fraction_end(whole, self->end);
    return end == whole ? integer_add(self, digits, end, digits > at) : double_add(self, at, end);
}
