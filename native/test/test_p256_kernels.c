/*
 * The kernels on their own, against OpenSSL: numbers and points that a random signature never has,
 * at every place among seven good neighbours.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "emulated.h"
#include "ks_engine.h"
#include "p256_crafted.h"

#define LANES 8u

/* What a kernel verifies with: one of its three functions. */
typedef enum way { WIDE, COMB, POINT, WAYS } way;

static p256_wide base;
static p256_wide wide[LANES];
static p256_comb combs[LANES];
static void *scratch;

static crafted good[LANES];

/* Each odd signature in every lane; or, where a lane takes long, in the next one. */
static unsigned places_tried;
static unsigned next_place;
/* Builds the wide tables of keys, which every kernel reads. */
static const p256_kernel *builder;

static int kernel_has(const p256_kernel *kernel, way by) {
    return by == WIDE || (by == COMB && kernel->verify_comb != NULL) ||
           (by == POINT && kernel->verify_point != NULL);
}

static void tables_build(const p256_kernel *kernel, way by, const p256_entry *point, unsigned lane) {
    p256_comb *comb = &combs[lane];
    if (by == WIDE) {
        CHECK(builder->build_wide(&wide[lane], point));
    } else if (by == COMB) {
        kernel->build_combs(&comb, &point, 1, scratch);
    }
}

static p256_job job_of(way by, crafted *of, unsigned table, uint8_t *verdict) {
    p256_job job = {.signature = &of->signature, .verdict = verdict};
    if (by == WIDE) {
        job.key.wide = &wide[table];
    } else if (by == COMB) {
        job.key.comb = &combs[table];
    } else {
        job.key.point = &of->point;
    }
    return job;
}

static void jobs_verify(const p256_kernel *kernel, way by, const p256_job *jobs, size_t count) {
    if (by == WIDE) {
        kernel->verify_wide(&base, jobs, count);
    } else if (by == COMB) {
        kernel->verify_comb(&base, jobs, count);
    } else {
        kernel->verify_point(&base, jobs, count, scratch);
    }
}

/* The verdict on `odd` in the lanes that are tried; its neighbours, all good, must be found so. */
static int verdict_among_good(const p256_kernel *kernel, way by, crafted *odd) {
    int found = -1;
    tables_build(kernel, by, &odd->point, 0);
    for (unsigned tried = 0; tried < places_tried; tried++) {
        unsigned place = next_place++ % LANES;
        p256_job jobs[LANES];
        uint8_t verdicts[LANES] = {0};
        for (unsigned lane = 0; lane < LANES; lane++) {
            int is_odd = lane == place;
            unsigned neighbour = 1 + lane % (LANES - 1);
            jobs[lane] = job_of(by, is_odd ? odd : &good[neighbour], is_odd ? 0 : neighbour,
                                &verdicts[lane]);
        }
        jobs_verify(kernel, by, jobs, LANES);
        CHECK(found == -1 || verdicts[place] == found);
        found = verdicts[place];
        for (unsigned lane = 0; lane < LANES; lane++) {
            CHECK(lane == place || verdicts[lane] == 1);
        }
    }
    return found;
}

typedef enum expected { AS_OPENSSL, UNSETTLED, AT_MOST_OPENSSL } expected;

static void check(const p256_kernel *kernel, way by, crafted odd, expected what) {
    int found = verdict_among_good(kernel, by, &odd);
    CHECK(found <= odd.valid);
    CHECK(what != AS_OPENSSL || found == odd.valid);
    CHECK(what != UNSETTLED || found == 0);
    /* Whatever the kernel makes of it, it does not find another r valid. */
    odd.signature.r[0] ^= 2;
    CHECK(verdict_among_good(kernel, by, &odd) == 0);
}

/* --- numbers ------------------------------------------------------------------------------------ */

static void check_small_numbers(const p256_kernel *kernel, way by) {
    static const int64_t small[] = {1, 2, 3, 16, 31, 62, 1023, -1, -2, -3, -1024};
    static const int64_t keys[] = {1, -1, 2, -2, 3, 1023};
    size_t numbers = sizeof small / sizeof small[0];
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        for (size_t j = 0; j < numbers; j++) {
            uint64_t other = (uint64_t)small[(3 * j + i) % numbers];
            check(kernel, by, craft_words(other, (uint64_t)small[j], (uint64_t)keys[i]),
                  AT_MOST_OPENSSL);
        }
    }
}

/* u1 = 0, which is a digest of zero or of n; its digits are those of n. */
static void check_digests_of_zero(const p256_kernel *kernel, way by) {
    BIGNUM *zero = scalar_word(0), *u2 = scalar_any(), *d = scalar_any();
    crafted odd = craft(zero, u2, d);
    CHECK(odd.valid);
    check(kernel, by, odd, AS_OPENSSL);
    CHECK(crafted_raise_digest(&odd));
    check(kernel, by, odd, AS_OPENSSL);
    BN_free(zero);
    BN_free(u2);
    BN_free(d);
}

/*
 * A digest from n on is as good as the digest less n. For it to fit 256 bits the digest is small: R = (k + 1) G
 * gives r, and with u2 the s, before u1 = digest / s and d = (k + 1 - u1) / u2 are chosen to suit them.
 */
static void check_digests_above_the_order(const p256_kernel *kernel, way by) {
    for (int64_t small = 1; small < 4; small++) {
        BIGNUM *k = scalar_any(), *u2 = scalar_any(), *one = scalar_word(1);
        crafted helper = craft(k, one, one); /* R = (k + 1) G; its r is in helper */
        CHECK(helper.valid);
        uint8_t octets[P256_OCTETS];
        for (int i = 0; i < P256_OCTETS; i++) {
            octets[i] = (uint8_t)(helper.signature.r[3 - i / 8] >> (56 - 8 * (i % 8)));
        }
        BIGNUM *r = BN_bin2bn(octets, sizeof octets, NULL), *digest = scalar_word(small);
        BIGNUM *product = scalar_product(digest, u2), *u1 = scalar_quotient(product, r);
        BIGNUM *sum = scalar_sum(k, one), *rest = scalar_difference(sum, u1);
        BIGNUM *d = scalar_quotient(rest, u2);
        crafted odd = craft(u1, u2, d);
        CHECK(odd.valid && crafted_raise_digest(&odd));
        check(kernel, by, odd, AS_OPENSSL);
        BIGNUM *all[] = {k, u2, one, r, digest, product, u1, sum, rest, d};
        for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
            BN_free(all[i]);
        }
    }
}

/* --- exceptions in the formulas ----------------------------------------------------------------- */

/* u1 G = ± u2 Q: the whole sum is a doubling, or the point at infinity. */
static void check_equal_and_opposite_sums(const p256_kernel *kernel, way by) {
    for (int sign = 0; sign < 2; sign++) {
        BIGNUM *d = scalar_any(), *u2 = scalar_any(), *zero = scalar_word(0);
        BIGNUM *same = scalar_product(u2, d), *opposite = scalar_difference(zero, same);
        /* Met by adding u1 G to u2 Q at the end; not met where windows are added in turn. */
        check(kernel, by, craft(sign ? opposite : same, u2, d), AT_MOST_OPENSSL);
        BIGNUM *all[] = {d, u2, zero, same, opposite};
        for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
            BN_free(all[i]);
        }
    }
}

/* Digit `window` of ten bits with its weight, as a number modulo n. */
static BIGNUM *window_of(const p256_digits *digits, unsigned window) {
    p256_digit digit = p256_digit_at(digits, window * P256_WIDE_BITS, P256_WIDE_BITS);
    int64_t odd = (int64_t)(2 * digit.index + 1);
    BIGNUM *value = scalar_word(digit.minus ? -odd : odd), *weight = scalar_word(1);
    CHECK(BN_lshift(weight, weight, (int)(window * P256_WIDE_BITS)) == 1);
    BIGNUM *out = scalar_product(value, weight);
    BN_free(value);
    BN_free(weight);
    return out;
}

/* The sum of the windows below `window`, or of all. */
static BIGNUM *windows_below(const p256_digits *digits, unsigned window) {
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
    BIGNUM *before = windows_below(&numbers->signature.u2, all_of_u2 ? P256_WIDE_WINDOWS : window);
    BIGNUM *term = window_of(&numbers->signature.u1, window), *minus = scalar_difference(zero, term);
    BIGNUM *rest = scalar_difference(opposite ? minus : term, below);
    BIGNUM *d = scalar_quotient(rest, before);
    BIGNUM *all[] = {below, zero, before, term, minus, rest};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        BN_free(all[i]);
    }
    return d;
}

static void check_exceptions_in_the_middle(const p256_kernel *kernel, way by) {
    static const unsigned windows[] = {1, 2, 13, 24, 25};
    for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++) {
        for (int opposite = 0; opposite < 2; opposite++) {
            BIGNUM *u1 = scalar_any(), *u2 = scalar_any(), *any = scalar_any();
            crafted numbers = craft(u1, u2, any); /* for its digits, which do not depend on d */
            BIGNUM *d = exceptional_key(&numbers, windows[i], by != WIDE, opposite);
            crafted odd = craft(u1, u2, d);
            /* Nothing comes after the last window of u1 where all of u2 came before. */
            int ends = opposite && by != WIDE && windows[i] == P256_WIDE_WINDOWS - 1;
            CHECK(odd.valid == !ends);
            check(kernel, by, odd, UNSETTLED);
            BN_free(u1);
            BN_free(u2);
            BN_free(any);
            BN_free(d);
        }
    }
}

/* A "point" with y = 0, which the curve has none of: every denominator that comes of it is 0. */
static void check_zero_denominators(const p256_kernel *kernel, way by) {
    crafted odd = craft_any();
    memset(odd.point.y, 0, sizeof odd.point.y);
    if (by == WIDE) {
        CHECK(!kernel->build_wide(&wide[0], &odd.point));
    } else {
        CHECK(verdict_among_good(kernel, by, &odd) == 0);
    }
}

/* --- all of it ---------------------------------------------------------------------------------- */

static void check_random(const p256_kernel *kernel, way by) {
    for (int i = 0; i < 8; i++) {
        crafted any = craft_any();
        CHECK(any.valid);
        check(kernel, by, any, AS_OPENSSL);
        any.signature.r[i % P256_WORDS] ^= UINT64_C(1) << (7 * i);
        CHECK(verdict_among_good(kernel, by, &any) == 0);
    }
}

static void check_every_count(const p256_kernel *kernel, way by) {
    for (size_t count = 1; count <= P256_MOST_JOBS; count += count < 18 ? 1 : 23) {
        p256_job jobs[P256_MOST_JOBS];
        uint8_t verdicts[P256_MOST_JOBS + 1];
        memset(verdicts, 7, sizeof verdicts);
        for (size_t i = 0; i < count; i++) {
            unsigned which = 1 + (unsigned)i % (LANES - 1);
            jobs[i] = job_of(by, &good[which], which, &verdicts[i]);
        }
        jobs_verify(kernel, by, jobs, count);
        for (size_t i = 0; i <= P256_MOST_JOBS; i++) {
            CHECK(verdicts[i] == (i < count ? 1 : 7));
        }
    }
}

static void check_kernel(const p256_kernel *kernel, const p256_kernel *builds, unsigned places) {
    places_tried = places;
    builder = builds;
    CHECK(kernel->build_wide(&base, &ks_p256_base));
    scratch = kernel->scratch_bytes > 0 ? aligned_alloc(64, kernel->scratch_bytes) : NULL;
    for (way by = WIDE; by < WAYS; by++) {
        if (!kernel_has(kernel, by)) {
            continue;
        }
        for (unsigned lane = 1; lane < LANES; lane++) {
            tables_build(kernel, by, &good[lane].point, lane);
        }
        check_random(kernel, by);
        check_every_count(kernel, by);
        check_small_numbers(kernel, by);
        check_digests_of_zero(kernel, by);
        check_digests_above_the_order(kernel, by);
        check_equal_and_opposite_sums(kernel, by);
        check_exceptions_in_the_middle(kernel, by);
        check_zero_denominators(kernel, by);
        check(kernel, by, craft_with_x_above_the_order(), AS_OPENSSL);
    }
    free(scratch);
}

static void kernels_open(void) {
    crafting_open();
    for (unsigned i = 0; i < LANES; i++) {
        good[i] = craft_any();
    }
}

static void kernels_close(void) {
    crafting_close();
    ERR_clear_error();
}

void test_p256_kernels(void) {
    kernels_open();
    check_kernel(&ks_p256_kernel_portable, &ks_p256_kernel_portable, LANES);
    check_kernel(&p256_kernel_emulated, &ks_p256_kernel_portable, 1);
    kernels_close();
}

void test_p256_ifma(void) {
#if defined(__x86_64__)
    kernels_open();
    check_kernel(&ks_p256_kernel_ifma, &ks_p256_kernel_ifma, LANES);
    kernels_close();
#endif
}
