/*
 * Numbers of at most 19 digits by one or two multiplications, after Lemire, "Number Parsing at a
 * Gigabyte per Second", Software: Practice and Experience 51 (2021), which Mushtak and Lemire, "Fast Number
 * Parsing Without Fallback", ibid. 53 (2023), prove to need no other way. Longer ones lie between two
 * such; where these are not the same double, strtod decides.
 */
#include "codec/ks_double.h"

#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* --- strtod ------------------------------------------------------------------------------------- */

static locale_t plain_locale;
static pthread_once_t plain_once = PTHREAD_ONCE_INIT;

static void plain_make(void) {
    plain_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

/* The program's locale may want a comma, so the thread has another one for the call. */
static ks_status library_read(ks_view text, double *out) {
    char copy[KS_MAX_DOUBLE_CHARS + 1];
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    if (pthread_once(&plain_once, plain_make) != 0 || plain_locale == (locale_t)0) {
        return KS_E_MEMORY;
    }
    locale_t before = uselocale(plain_locale);
    *out = strtod(copy, NULL);
    (void)uselocale(before);
    return isfinite(*out) ? KS_OK : KS_E_MALFORMED;
}

#ifdef __SIZEOF_INT128__

__extension__ typedef unsigned __int128 wide;

/* --- powers of five ----------------------------------------------------------------------------- */

/* Below the first, any 64-bit number times the power of ten is 0; above the last, infinite. */
#define LEAST_POWER (-342)
#define MOST_POWER 308

/* The 128 highest bits of 5^i, the first of them 1; of those below 1, as far down as the proof has it,
 * rounded up, of the others cut off. */
#define ROUNDED_UP (-27)
static wide five_to[MOST_POWER - LEAST_POWER + 1];
static pthread_once_t five_once = PTHREAD_ONCE_INIT;

/* Numbers of 1,024 bits, the lowest 32 first: 5^308, or 2^1023 divided until 128 bits and more remain. */
#define WORDS 32u

static wide highest_bits(const uint32_t number[WORDS]) {
    unsigned top = WORDS - 1;
    while (number[top] == 0) {
        top--;
    }
    wide bits = 0;
    for (unsigned i = 0; i < 4; i++) {
        bits = bits << 32 | (top >= i ? number[top - i] : 0u);
    }
    unsigned shift = (unsigned)__builtin_clz(number[top]);
    uint32_t next = top >= 4 ? number[top - 4] : 0;
    return shift == 0 ? bits : bits << shift | next >> (32 - shift);
}

static void times_5(uint32_t number[WORDS]) {
    uint64_t carry = 0;
    for (unsigned i = 0; i < WORDS; i++) {
        carry += (uint64_t)number[i] * 5;
        number[i] = (uint32_t)carry;
        carry >>= 32;
    }
}

/* Rounds down; done again and again, that is as if done once. */
static void divide_by_5(uint32_t number[WORDS]) {
    uint64_t rest = 0;
    for (unsigned i = WORDS; i-- > 0;) {
        rest = rest << 32 | number[i];
        number[i] = (uint32_t)(rest / 5);
        rest %= 5;
    }
}

static void fives_make(void) {
    uint32_t number[WORDS] = {1};
    for (int power = 0; power <= MOST_POWER; power++) {
        five_to[power - LEAST_POWER] = highest_bits(number);
        times_5(number);
    }
    memset(number, 0, sizeof number);
    number[WORDS - 1] = UINT32_C(1) << 31;
    for (int power = -1; power >= LEAST_POWER; power--) {
        divide_by_5(number);
        five_to[power - LEAST_POWER] = highest_bits(number) + (power >= ROUNDED_UP);
    }
}

/* --- digits times a power of ten ---------------------------------------------------------------- */

#define FRACTION_BITS 52
#define BIAS 1023
#define INFINITE 0x7ff
/* The digits that a double keeps, one to round by, and one that may be too much. */
#define PRODUCT_BITS (FRACTION_BITS + 3)

/* The 128 highest bits of digits · 5^power, or so many of them as decide. */
static wide product_of(uint64_t digits, int power) {
    wide five = five_to[power - LEAST_POWER];
    wide product = (wide)digits * (uint64_t)(five >> 64);
    uint64_t undecided = UINT64_MAX >> PRODUCT_BITS;
    if (((uint64_t)(product >> 64) & undecided) == undecided) {
        product += (wide)digits * (uint64_t)five >> 64;
    }
    return product;
}

static double double_of(uint64_t fraction, int exponent) {
    double number;
    uint64_t bits = (uint64_t)exponent << FRACTION_BITS | (fraction & (UINT64_MAX >> 12));
    memcpy(&number, &bits, sizeof number);
    return number;
}

/* The last bit of `twice` is the one to round by; upwards where it is set. */
static uint64_t rounded(uint64_t twice) {
    return (twice + (twice & 1)) >> 1;
}

static double scaled(uint64_t digits, int power) {
    if (digits == 0 || power < LEAST_POWER) {
        return 0;
    }
    if (power > MOST_POWER) {
        return HUGE_VAL;
    }
    int zeros = __builtin_clzll(digits);
    wide product = product_of(digits << zeros, power);
    uint64_t high = (uint64_t)(product >> 64), low = (uint64_t)product;
    int upper = (int)(high >> 63), shift = upper + 64 - PRODUCT_BITS;
    uint64_t twice = high >> shift;
    /* 217706 / 2^16 is log2(10): exact enough for all powers in the table. */
    int exponent = (217706 * power >> 16) + 63 + upper - zeros + BIAS;
    if (exponent <= 0) { /* subnormal, or just not: the exponent is the fraction's bit 52 then */
        uint64_t small = exponent <= -63 ? 0 : rounded(twice >> (1 - exponent));
        return double_of(small, (int)(small >> FRACTION_BITS));
    }
    /* A tie, which is exact and can be only of small powers, is rounded to even. */
    if (low <= 1 && power >= -4 && power <= 23 && (twice & 3) == 1 && twice << shift == high) {
        twice--;
    }
    uint64_t fraction = rounded(twice);
    exponent += (int)(fraction >> (FRACTION_BITS + 1));
    return exponent >= INFINITE ? HUGE_VAL : double_of(fraction, exponent);
}

/* --- texts -------------------------------------------------------------------------------------- */

#define MOST_DIGITS 19
/* More than a number of so many characters can make up for by its zeros. */
#define MOST_EXPONENT 9999

typedef struct decimal {
    uint64_t digits; /* the first MOST_DIGITS of them, zeros in front left out */
    int power;       /* of ten, times the digits */
    int is_cut;      /* digits are left out */
    int is_negative;
} decimal;

static void digit_add(decimal *to, unsigned digit, int *count, int in_fraction) {
    if (*count == MOST_DIGITS) {
        to->is_cut |= digit != 0;
        to->power += !in_fraction;
        return;
    }
    to->digits = 10 * to->digits + digit;
    *count += to->digits != 0;
    to->power -= in_fraction;
}

static int exponent_of(const uint8_t *at, const uint8_t *end) {
    int exponent = 0, is_negative = *at == '-';
    for (at += *at == '-' || *at == '+'; at < end; at++) {
        exponent = 10 * exponent + (*at - '0');
        exponent = exponent > MOST_EXPONENT ? MOST_EXPONENT : exponent;
    }
    return is_negative ? -exponent : exponent;
}

static decimal decimal_of(ks_view text) {
    const uint8_t *at = text.data, *end = text.data + text.size;
    decimal out = {.is_negative = *at == '-'};
    int count = 0, in_fraction = 0;
    for (at += out.is_negative; at < end && (*at | 0x20) != 'e'; at++) {
        if (*at == '.') {
            in_fraction = 1;
        } else {
            digit_add(&out, *at - (unsigned)'0', &count, in_fraction);
        }
    }
    if (at < end) {
        out.power += exponent_of(at + 1, end);
    }
    return out;
}

ks_status ks_double_read(ks_view text, double *out) {
    if (text.size > KS_MAX_DOUBLE_CHARS) {
        return KS_E_MALFORMED;
    }
    decimal of = decimal_of(text);
    if (pthread_once(&five_once, fives_make) != 0) {
        return library_read(text, out);
    }
    double number = scaled(of.digits, of.power);
    if (of.is_cut && scaled(of.digits + 1, of.power) != number) {
        return library_read(text, out);
    }
    *out = of.is_negative ? -number : number;
    return isfinite(number) ? KS_OK : KS_E_MALFORMED;
}

#else

ks_status ks_double_read(ks_view text, double *out) {
    return text.size > KS_MAX_DOUBLE_CHARS ? KS_E_MALFORMED : library_read(text, out);
}

#endif
