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

/* A kernel, and how it comes by a sum. */
typedef struct tested {
    const p256_kernel *kernel;
    int (*build_wide)(void *table, const p256_entry *point);
    unsigned places; /* each odd signature in so many lanes: all, or where one takes long, the next */
    size_t at_once;  /* jobs that it sees: LANES, or 1 */
    /* G has so many windows of so many bits, added as sums of `span` of them. */
    unsigned bits, windows, span;
    int in_turns; /* with Q's windows where Q has a wide table, instead of after all of Q */
    int digits_are_longer;
} tested;

static const tested *subject;
static unsigned next_place;

static void *base;
static void *wide[LANES];
static void *combs[LANES];
static void *scratch;

static crafted good[LANES];

static int kernel_has(way by) {
    return by == WIDE || (by == COMB && subject->kernel->verify_comb != NULL) ||
           (by == POINT && subject->kernel->verify_point != NULL);
}

static void tables_build(way by, const p256_entry *point, unsigned lane) {
    if (by == WIDE) {
        CHECK(subject->build_wide(wide[lane], point));
    } else if (by == COMB) {
        subject->kernel->build_combs(&combs[lane], &point, 1, scratch);
    }
}

/* Whose tables stand in the first place. */
static last_key odd_key;

static p256_job job_of(way by, crafted *of, unsigned table, uint8_t *verdict) {
    p256_job job = {.signature = &of->signature, .verdict = verdict};
    if (by == POINT) {
        job.key.point = &of->point;
    } else {
        job.key.table = by == WIDE ? wide[table] : combs[table];
    }
    return job;
}

static void jobs_verify(way by, const p256_job *jobs, size_t count) {
    const p256_kernel *kernel = subject->kernel;
    size_t most = subject->at_once < LANES ? subject->at_once : count;
    for (size_t from = 0; from < count; from += most) {
        size_t some = count - from < most ? count - from : most;
        if (by == WIDE) {
            kernel->verify_wide(base, jobs + from, some);
        } else if (by == COMB) {
            kernel->verify_comb(base, jobs + from, some);
        } else {
            kernel->verify_point(base, jobs + from, some, scratch);
        }
    }
}

/* The verdict on `odd` in the lanes that are tried; its neighbours, all good, must be found so. */
static int verdict_among_good(way by, crafted *odd) {
    int found = -1;
    if (is_another_key(&odd_key, by, &odd->point)) {
        tables_build(by, &odd->point, 0);
    }
    for (unsigned tried = 0; tried < subject->places; tried++) {
        unsigned place = next_place++ % LANES;
        p256_job jobs[LANES];
        uint8_t verdicts[LANES] = {0};
        for (unsigned lane = 0; lane < LANES; lane++) {
            int is_odd = lane == place;
            unsigned neighbour = 1 + lane % (LANES - 1);
            jobs[lane] = job_of(by, is_odd ? odd : &good[neighbour], is_odd ? 0 : neighbour,
                                &verdicts[lane]);
        }
        jobs_verify(by, jobs, LANES);
        CHECK(found == -1 || verdicts[place] == found);
        found = verdicts[place];
        for (unsigned lane = 0; lane < LANES; lane++) {
            CHECK(lane == place || verdicts[lane] == 1);
        }
    }
    return found;
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
    static const int64_t small[] = {1, 2, 3, 16, 31, 62, 1023, -1, -2, -3, -1024};
    static const int64_t keys[] = {1, -1, 2, -2, 3, 1023};
    size_t numbers = sizeof small / sizeof small[0];
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        for (size_t j = 0; j < numbers; j++) {
            uint64_t other = (uint64_t)small[(3 * j + i) % numbers];
            check(by, craft_words(other, (uint64_t)small[j], (uint64_t)keys[i]),
                  AT_MOST_OPENSSL);
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
 * A digest from n on is as good as the digest less n. For it to fit 256 bits the digest is small: R = (k + 1) G
 * gives r, and with u2 the s, before u1 = digest / s and d = (k + 1 - u1) / u2 are chosen to suit them.
 */
static void check_digests_above_the_order(way by) {
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

/* The sum of some windows, with their weights, as a number modulo n. */
static BIGNUM *windows_between(const p256_digits *of, unsigned from, unsigned to) {
    p256_digits digits = subject->digits_are_longer ? p256_digits_longer(of) : *of;
    BIGNUM *sum = scalar_word(0);
    for (unsigned window = from; window < to; window++) {
        p256_digit digit = p256_digit_at(&digits, window * subject->bits, subject->bits);
        int64_t odd = (int64_t)(2 * digit.index + 1);
        BIGNUM *value = scalar_word(digit.minus ? -odd : odd), *weight = scalar_word(1);
        CHECK(BN_lshift(weight, weight, (int)(window * subject->bits)) == 1);
        BIGNUM *term = scalar_product(value, weight), *more = scalar_sum(sum, term);
        BIGNUM *all[] = {value, weight, term, sum};
        for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
            BN_free(all[i]);
        }
        sum = more;
    }
    return sum;
}

/*
 * A key for which, when a span of windows of u1 is added to the windows of u1 below it and to those of
 * u2 that came before (all, or as many), both are the same point, or opposite ones:
 * below(u1) + before(u2) d = ± span(u1).
 */
static BIGNUM *exceptional_key(const crafted *numbers, unsigned from, int all_of_u2, int opposite) {
    const p256_digits *u1 = &numbers->signature.u1, *u2 = &numbers->signature.u2;
    BIGNUM *below = windows_between(u1, 0, from), *zero = scalar_word(0);
    BIGNUM *before = windows_between(u2, 0, all_of_u2 ? subject->windows : from);
    BIGNUM *term = windows_between(u1, from, from + subject->span);
    BIGNUM *minus = scalar_difference(zero, term);
    BIGNUM *rest = scalar_difference(opposite ? minus : term, below);
    BIGNUM *d = scalar_quotient(rest, before);
    BIGNUM *all[] = {below, zero, before, term, minus, rest};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        BN_free(all[i]);
    }
    return d;
}

static void check_exception(way by, unsigned from, int opposite) {
    int all_of_u2 = by != WIDE || !subject->in_turns;
    BIGNUM *u1 = scalar_any(), *u2 = scalar_any(), *any = scalar_any();
    crafted numbers = craft(u1, u2, any); /* for its digits, which do not depend on d */
    BIGNUM *d = exceptional_key(&numbers, from, all_of_u2, opposite);
    crafted odd = craft(u1, u2, d);
    /* Nothing comes after the last windows of u1 where all of u2 came before. */
    int ends = opposite && all_of_u2 && from + subject->span == subject->windows;
    CHECK(odd.valid == !ends);
    check(by, odd, UNSETTLED);
    BN_free(u1);
    BN_free(u2);
    BN_free(any);
    BN_free(d);
}

static void check_exceptions_in_the_middle(way by) {
    unsigned spans = subject->windows / subject->span;
    const unsigned tried[] = {1, 2, spans / 2, spans - 2, spans - 1};
    for (size_t i = 0; i < sizeof tried / sizeof tried[0]; i++) {
        for (int opposite = 0; opposite < 2; opposite++) {
            check_exception(by, tried[i] * subject->span, opposite);
        }
    }
}

/* A "point" with y = 0, which the curve has none of: every denominator that comes of it is 0. */
static void check_zero_denominators(way by) {
    crafted odd = craft_any();
    memset(odd.point.y, 0, sizeof odd.point.y);
    if (by == WIDE) {
        CHECK(!subject->kernel->build_wide(wide[0], &odd.point));
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
        any.signature.r[i % P256_WORDS] ^= UINT64_C(1) << (7 * i);
        CHECK(verdict_among_good(by, &any) == 0);
    }
}

static void check_every_count(way by) {
    for (size_t count = 1; count <= P256_MOST_JOBS; count += count < 18 ? 1 : 23) {
        p256_job jobs[P256_MOST_JOBS];
        uint8_t verdicts[P256_MOST_JOBS + 1];
        memset(verdicts, 7, sizeof verdicts);
        for (size_t i = 0; i < count; i++) {
            unsigned which = 1 + (unsigned)i % (LANES - 1);
            jobs[i] = job_of(by, &good[which], which, &verdicts[i]);
        }
        jobs_verify(by, jobs, count);
        for (size_t i = 0; i <= P256_MOST_JOBS; i++) {
            CHECK(verdicts[i] == (i < count ? 1 : 7));
        }
    }
}

static void *memory(size_t bytes) {
    void *out = aligned_alloc(64, (bytes + 64) / 64 * 64);
    CHECK(out != NULL);
    return out;
}

static void tables_open(void) {
    const p256_kernel *kernel = subject->kernel;
    base = memory(kernel->wide_bytes);
    scratch = memory(kernel->scratch_bytes);
    CHECK(kernel->build_wide(base, &ks_p256_base));
    for (unsigned lane = 0; lane < LANES; lane++) {
        wide[lane] = memory(kernel->wide_bytes);
        combs[lane] = memory(kernel->comb_bytes);
    }
}

static void tables_close(void) {
    free(base);
    free(scratch);
    for (unsigned lane = 0; lane < LANES; lane++) {
        free(wide[lane]);
        free(combs[lane]);
    }
}

static void check_kernel(const tested *of) {
    subject = of;
    odd_key.known = 0;
    tables_open();
    for (way by = WIDE; by < WAYS; by++) {
        if (!kernel_has(by)) {
            continue;
        }
        for (unsigned lane = 1; lane < LANES; lane++) {
            tables_build(by, &good[lane].point, lane);
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
    tables_close();
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

#define PORTABLE(number_at_once, windows_in_a_sum)                                                    \
    {                                                                                               \
        .kernel = &ks_p256_kernel_portable, .build_wide = ks_p256_kernel_portable.build_wide,       \
        .places = LANES, .at_once = number_at_once, .bits = 8, .windows = 33,                       \
        .span = windows_in_a_sum, .digits_are_longer = 1                                            \
    }
#define IN_LANES(verified_by, built_by, places_tried)                                               \
    {                                                                                               \
        .kernel = &(verified_by), .build_wide = built_by, .places = places_tried, .at_once = LANES, \
        .bits = P256_LIMB_WINDOW_BITS, .windows = P256_LIMB_WINDOWS, .span = 1, .in_turns = 1       \
    }

void test_p256_kernels(void) {
    const tested one_by_one = PORTABLE(1, 1), together = PORTABLE(LANES, 11);
    const tested emulated = IN_LANES(p256_kernel_emulated, p256_build_limb_table, 1);
    kernels_open();
    check_kernel(&one_by_one);
    check_kernel(&together);
    check_kernel(&emulated);
    kernels_close();
}

void test_p256_ifma(void) {
#if defined(__x86_64__)
    const tested ifma = IN_LANES(ks_p256_kernel_ifma, ks_p256_kernel_ifma.build_wide, LANES);
    kernels_open();
    check_kernel(&ifma);
    kernels_close();
#endif
}
