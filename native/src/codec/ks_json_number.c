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

static ks_status integer_add(ks_json_parser *self, const uint8_t *digits, int negative) {
    uint64_t size = 0;
    if ((size_t)(self->at - digits) > MOST_DIGITS) {
        return KS_E_MALFORMED;
    }
    for (; digits < self->at; digits++) {
        size = 10 * size + (*digits - (unsigned)'0');
    }
    if (size > INT64_MAX) {
        return KS_E_MALFORMED;
    }
    ks_json_add(self, KS_JSON_INTEGER)->as.integer = negative ? -(int64_t)size : (int64_t)size;
    return KS_OK;
}

static ks_status double_add(ks_json_parser *self, const uint8_t *start) {
    double number;
    ks_status status = ks_double_read((ks_view){start, (size_t)(self->at - start)}, &number);
    if (status == KS_OK) {
        ks_json_add(self, KS_JSON_NUMBER)->as.number = number;
    }
    return status;
}

ks_status ks_json_read_number(ks_json_parser *self) {
    const uint8_t *start = self->at, *digits = start + (*start == '-');
    if (!is_digit(digits, self->end)) {
        return KS_E_MALFORMED;
    }
    const uint8_t *whole = *digits == '0' ? digits + 1 : digits_end(digits, self->end);
    self->at = fraction_end(whole, self->end);
    return self->at == whole ? integer_add(self, digits, digits > start) : double_add(self, start);
}
