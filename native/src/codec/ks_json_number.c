/* Numbers (RFC 8259 §6), and what of them two readers of the same bytes see alike. */
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "codec/ks_json_parser.h"

#define MOST_DIGITS 19u /* of an integer of 64 bits */
#define MOST_CHARS 64u  /* of any other number */

static int is_digit(const uint8_t *at, const uint8_t *end) {
    return at < end && *at >= '0' && *at <= '9';
}

static const uint8_t *digits_end(const uint8_t *at, const uint8_t *end) {
    while (is_digit(at, end)) {
        at++;
    }
    return at;
}

/* --- doubles ------------------------------------------------------------------------------------ */

static locale_t plain_locale;
static pthread_once_t plain_once = PTHREAD_ONCE_INIT;

static void plain_make(void) {
    plain_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

/* The program's locale may want a comma; the thread's own is changed for the call. */
static ks_status double_read(ks_json_parser *self, const uint8_t *start) {
    char text[MOST_CHARS + 1];
    size_t size = (size_t)(self->at - start);
    if (size > MOST_CHARS) {
        return KS_E_MALFORMED;
    }
    memcpy(text, start, size);
    text[size] = '\0';
    if (pthread_once(&plain_once, plain_make) != 0 || plain_locale == (locale_t)0) {
        return KS_E_MEMORY;
    }
    locale_t before = uselocale(plain_locale);
    double number = strtod(text, NULL);
    (void)uselocale(before);
    if (!isfinite(number)) {
        return KS_E_MALFORMED;
    }
    ks_json_add(self, KS_JSON_NUMBER)->as.number = number;
    return KS_OK;
}

/* --- numbers ------------------------------------------------------------------------------------ */

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

ks_status ks_json_read_number(ks_json_parser *self) {
    const uint8_t *start = self->at, *digits = start + (*start == '-');
    if (!is_digit(digits, self->end)) {
        return KS_E_MALFORMED;
    }
    const uint8_t *whole = *digits == '0' ? digits + 1 : digits_end(digits, self->end);
    self->at = fraction_end(whole, self->end);
    return self->at == whole ? integer_add(self, digits, digits > start) : double_read(self, start);
}
