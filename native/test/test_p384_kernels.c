/*
 * The kernel for P-384 on its own, against OpenSSL: numbers and points that a random signature never has,
 * among seven good neighbours, whose inversions it shares.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include <openssl/err.h>
#include <string.h>

#include "check.h"
#include "p384_crafted.h"

#define ROW 8u

/* What the kernel verifies with: one of its three functions. */
typedef enum way { WIDE, COMB, POINT, WAYS } way;

static p384_wide base;
static p384_wide wide[ROW];
static p384_comb combs[ROW];

static crafted good[ROW];

static void tables_build(way by, const p384_entry *point, unsigned table) {
    if (by == WIDE) {
        CHECK(ks_p384_build_wide(&wide[table], point));
    } else if (by == COMB) {
        ks_p384_build_comb(&combs[table], point);
    }
}

/* Whose tables stand in the first place. */
static last_key odd_key;

static p384_job job_of(way by, crafted *of, unsigned table, uint8_t *verdict) {
    p384_job job = {.signature = &of->signature, .verdict = verdict};
    if (by == WIDE) {
        job.key.wide = &wide[table];
    } else if (by == COMB) {
        job.key.comb = &combs[table];
    } else {
        job.key.point = &of->point;
    }
    return job;
}

static void jobs_verify(way by, const p384_job *jobs, size_t count) {
    if (by == WIDE) {
        ks_p384_verify_wide(&base, jobs, count);
    } else if (by == COMB) {
        ks_p384_verify_comb(&base, jobs, count);
    } else {
        ks_p384_verify_point(&base, jobs, count);
    }
}

/* The verdict on `odd` at the next place of a row; its neighbours, all good, must be found so. */
static int verdict_among_good(way by, crafted *odd) {
    static unsigned next_place;
    unsigned place = next_place++ % ROW;
    p384_job jobs[ROW];
    uint8_t verdicts[ROW] = {0};
    if (is_another_key(&odd_key, by, &odd->point)) {
        tables_build(by, &odd->point, 0);
    }
    for (unsigned at = 0; at < ROW; at++) {
        unsigned neighbour = 1 + at % (ROW - 1);
        jobs[at] = at == place ? job_of(by, odd, 0, &verdicts[at])
                               : job_of(by, &good[neighbour], neighbour, &verdicts[at]);
    }
    jobs_verify(by, jobs, ROW);
    for (unsigned at = 0; at < ROW; at++) {
        CHECK(at == place || verdicts[at] == 1);
    }
    return verdicts[place];
}

typedef enum expected { AS_OPENSSL, UNSETTLED, AT_MOST_OPENSSL } expected;

static void check(way by, crafted odd, expected what) {
    int found = verdict_among_good(by, &odd);
    CHECK(found <= odd.valid);
    CHECK(what != AS_OPENSSL || found == odd.valid);
    CHECK(what != UNSETTLED || found == 0);
    /* Whatever the kernel makes of it, it does not find another r valid. */
    odd.signature.r[0] ^= 2;
    CHECK(verdict_among_good(by, &odd) == 0);
}

/* --- numbers ------------------------------------------------------------------------------------ */

static void check_small_numbers(way by) {
    static const int64_t small[] = {1, 2, 3, 16, 31, 62, 255, -1, -2, -3, -256};
    static const int64_t keys[] = {1, -1, 2, -2, 3, 255};
    size_t numbers = sizeof small / sizeof small[0];
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        for (size_t j = 0; j < numbers; j++) {
            uint64_t other = (uint64_t)small[(3 * j + i) % numbers];
            check(by, craft_words(other, (uint64_t)small[j], (uint64_t)keys[i]), AT_MOST_OPENSSL);
        }
    }
}

/* u1 = 0, which is a digest of zero or of n; its digits are those of n. */
static void check_digests_of_zero(way by) {
    BIGNUM *zero = scalar_word(0), *u2 = scalar_any(), *d = scalar_any();
    crafted odd = craft(zero, u2, d);
    CHECK(odd.valid);
    check(by, odd, AS_OPENSSL);
    CHECK(crafted_raise_digest(&odd));
    check(by, odd, AS_OPENSSL);
    BN_free(zero);
    BN_free(u2);
    BN_free(d);
}

/*
 * A digest from n on is as good as the digest less n. For it to fit 384 bits the digest is small: R = (k + 1) G
 * gives r, and with u2 the s, before u1 = digest / s and d = (k + 1 - u1) / u2 are chosen to suit them.
 */
static void check_digests_above_the_order(way by) {
    for (int64_t small = 1; small < 4; small++) {
        BIGNUM *k = scalar_any(), *u2 = scalar_any(), *one = scalar_word(1);
        crafted helper = craft(k, one, one); /* R = (k + 1) G; its r is in helper */
        CHECK(helper.valid);
        uint8_t octets[P384_OCTETS];
        for (int i = 0; i < P384_OCTETS; i++) {
            octets[i] = (uint8_t)(helper.signature.r[P384_WORDS - 1 - i / 8] >> (56 - 8 * (i % 8)));
        }
        BIGNUM *r = BN_bin2bn(octets, sizeof octets, NULL), *digest = scalar_word(small);
        BIGNUM *product = scalar_product(digest, u2), *u1 = scalar_quotient(product, r);
        BIGNUM *sum = scalar_sum(k, one), *rest = scalar_difference(sum, u1);
        BIGNUM *d = scalar_quotient(rest, u2);
        crafted odd = craft(u1, u2, d);
        CHECK(odd.valid && crafted_raise_digest(&odd));
        check(by, odd, AS_OPENSSL);
        BIGNUM *all[] = {k, u2, one, r, digest, product, u1, sum, rest, d};
        for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
            BN_free(all[i]);
        }
    }
}

/* --- exceptions in the formulas ----------------------------------------------------------------- */

/* u1 G = ± u2 Q: the whole sum is a doubling, or the point at infinity. */
static void check_equal_and_opposite_sums(way by) {
    for (int sign = 0; sign < 2; sign++) {
        BIGNUM *d = scalar_any(), *u2 = scalar_any(), *zero = scalar_word(0);
        BIGNUM *same = scalar_product(u2, d), *opposite = scalar_difference(zero, same);
        /* Met by adding u1 G to u2 Q at the end; not met where windows are added in turn. */
        check(by, craft(sign ? opposite : same, u2, d), AT_MOST_OPENSSL);
        BIGNUM *all[] = {d, u2, zero, same, opposite};
        for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
            BN_free(all[i]);
        }
    }
}

/* Digit `window` of eight bits with its weight, as a number modulo n. */
static BIGNUM *window_of(const p384_digits *digits, unsigned window) {
    ks_digit digit =
        ks_digit_at(digits->word, digits->minus, window * P384_WIDE_BITS, P384_WIDE_BITS);
    int64_t odd = (int64_t)(2 * digit.index + 1);
    BIGNUM *value = scalar_word(digit.minus ? -odd : odd), *weight = scalar_word(1);
    CHECK(BN_lshift(weight, weight, (int)(window * P384_WIDE_BITS)) == 1);
    BIGNUM *out = scalar_product(value, weight);
    BN_free(value);
    BN_free(weight);
    return out;
}

/* The sum of the windows below `window`, or of all. */
static BIGNUM *windows_below(const p384_digits *digits, unsigned window) {
    BIGNUM *sum = scalar_word(0);
    for (unsigned i = 0; i < window; i++) {
        BIGNUM *term = window_of(digits, i), *more = scalar_sum(sum, term);
        BN_free(sum);
        BN_free(term);
        sum = more;
    }
    return sum;
}

/*
 * A key for which, when window `window` of u1 is added to the windows of u1 below it and to those of
 * u2 that came before (all, or as many), both are the same point, or opposite ones:
 * below(u1) + before(u2) d = ± window(u1).
 */
static BIGNUM *exceptional_key(const crafted *numbers, unsigned window, int all_of_u2, int opposite) {
    BIGNUM *below = windows_below(&numbers->signature.u1, window), *zero = scalar_word(0);
    BIGNUM *before = windows_below(&numbers->signature.u2, all_of_u2 ? P384_WIDE_WINDOWS : window);
    BIGNUM *term = window_of(&numbers->signature.u1, window), *minus = scalar_difference(zero, term);
    BIGNUM *rest = scalar_difference(opposite ? minus : term, below);
    BIGNUM *d = scalar_quotient(rest, before);
    BIGNUM *all[] = {below, zero, before, term, minus, rest};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        BN_free(all[i]);
    }
    return d;
}

static void check_exceptions_in_the_middle(way by) {
    static const unsigned windows[] = {1, 2, 24, 46, 47};
    for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++) {
        for (int opposite = 0; opposite < 2; opposite++) {
            BIGNUM *u1 = scalar_any(), *u2 = scalar_any(), *any = scalar_any();
            crafted numbers = craft(u1, u2, any); /* for its digits, which do not depend on d */
            BIGNUM *d = exceptional_key(&numbers, windows[i], by != WIDE, opposite);
            crafted odd = craft(u1, u2, d);
            /* Nothing comes after the last window of u1 where all of u2 came before. */
            int ends = opposite && by != WIDE && windows[i] == P384_WIDE_WINDOWS - 1;
            CHECK(odd.valid == !ends);
            check(by, odd, UNSETTLED);
            BN_free(u1);
            BN_free(u2);
            BN_free(any);
            BN_free(d);
        }
    }
}

/* A "point" with y = 0, which the curve has none of: every denominator that comes of it is 0. */
static void check_zero_denominators(way by) {
    crafted odd = craft_any();
    memset(odd.point.y, 0, sizeof odd.point.y);
    if (by == WIDE) {
        CHECK(!ks_p384_build_wide(&wide[0], &odd.point));
        odd_key.known = 0;
    } else {
        CHECK(verdict_among_good(by, &odd) == 0);
    }
}

/* --- all of it ---------------------------------------------------------------------------------- */

static void check_random(way by) {
    for (int i = 0; i < 8; i++) {
        crafted any = craft_any();
        CHECK(any.valid);
        check(by, any, AS_OPENSSL);
        any.signature.r[i % P384_WORDS] ^= UINT64_C(1) << (7 * i);
        CHECK(verdict_among_good(by, &any) == 0);
    }
}

static void check_every_count(way by) {
    for (size_t count = 1; count <= P384_MOST_JOBS; count += count < 18 ? 1 : 23) {
        p384_job jobs[P384_MOST_JOBS];
        uint8_t verdicts[P384_MOST_JOBS + 1];
        memset(verdicts, 7, sizeof verdicts);
        for (size_t i = 0; i < count; i++) {
            unsigned which = 1 + (unsigned)i % (ROW - 1);
            jobs[i] = job_of(by, &good[which], which, &verdicts[i]);
        }
        jobs_verify(by, jobs, count);
        for (size_t i = 0; i <= P384_MOST_JOBS; i++) {
            CHECK(verdicts[i] == (i < count ? 1 : 7));
        }
    }
}

void test_p384_kernels(void) {
    crafting_open();
    CHECK(ks_p384_build_wide(&base, &ks_p384_base));
    for (unsigned i = 0; i < ROW; i++) {
        good[i] = craft_any();
    }
    for (way by = WIDE; by < WAYS; by++) {
        for (unsigned i = 1; i < ROW; i++) {
            tables_build(by, &good[i].point, i);
        }
        check_random(by);
        check_every_count(by);
        check_small_numbers(by);
        check_digests_of_zero(by);
        check_digests_above_the_order(by);
        check_equal_and_opposite_sums(by);
        check_exceptions_in_the_middle(by);
        check_zero_denominators(by);
        check(by, craft_with_x_above_the_order(), AS_OPENSSL);
        check(by, craft_with_x_past_the_prime(), UNSETTLED);
    }
    crafting_close();
    ERR_clear_error();
}
