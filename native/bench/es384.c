/*
 * The ES384 kernel beside OpenSSL, on the same signatures, in rounds that take turns: microseconds a
 * signature of this thread's CPU time, medians, and how many times OpenSSL's rate that is. Digests and
 * points are ready before the clock starts, on both sides.
 *
 *   make -C native bench
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/obj_mac.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../test/check.h"
#include "p384/p384_kernel.h"

#define COUNT 128u
#define ROUNDS 15u
#define MOST_CASES 16u

typedef struct signed_item {
    EC_KEY *pair;
    ECDSA_SIG *signature;
    uint8_t digest[P384_OCTETS];
    p384_signature numbers;
    p384_entry point;
    p384_comb comb;
    uint8_t verdict;
} signed_item;

static signed_item own_keys[COUNT], one_key[COUNT];
static p384_wide base, issuer;

static void item_make(signed_item *item, EC_KEY *pair) {
    uint8_t octets[1 + 2 * P384_OCTETS];
    item->pair = pair;
    CHECK(RAND_bytes(item->digest, sizeof item->digest) == 1);
    item->signature = ECDSA_do_sign(item->digest, sizeof item->digest, pair);
    CHECK(item->signature != NULL);
    CHECK(EC_POINT_point2oct(EC_KEY_get0_group(pair), EC_KEY_get0_public_key(pair),
                             POINT_CONVERSION_UNCOMPRESSED, octets, sizeof octets,
                             NULL) == sizeof octets);
    CHECK(ks_p384_point_read(&item->point, octets + 1, octets + 1 + P384_OCTETS));
    ks_words_read(item->numbers.digest, item->digest, P384_WORDS);
    CHECK(BN_bn2binpad(ECDSA_SIG_get0_r(item->signature), octets, P384_OCTETS) == P384_OCTETS);
    ks_words_read(item->numbers.r, octets, P384_WORDS);
    CHECK(BN_bn2binpad(ECDSA_SIG_get0_s(item->signature), octets, P384_OCTETS) == P384_OCTETS);
    ks_words_read(item->numbers.s, octets, P384_WORDS);
}

static EC_KEY *pair_make(void) {
    EC_KEY *pair = EC_KEY_new_by_curve_name(NID_secp384r1);
    CHECK(pair != NULL && EC_KEY_generate_key(pair) == 1);
    return pair;
}

static double now_us(void) {
    struct timespec now;
    CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* --- what is measured --------------------------------------------------------------------------- */

typedef enum way { OPENSSL, WIDE, COMB, POINT, BUILD_COMBS, BUILD_WIDE } way;

typedef struct measured {
    const char *name;
    way by;
    size_t count, batch;
    double us[ROUNDS];
} measured;

static void jobs_verify(const measured *of, const p384_job *jobs, size_t count) {
    if (of->by == WIDE) {
        ks_p384_verify_wide(&base, jobs, count);
    } else if (of->by == COMB) {
        ks_p384_verify_comb(&base, jobs, count);
    } else {
        ks_p384_verify_point(&base, jobs, count);
    }
}

static void batch_verify(const measured *of, signed_item *items, size_t count) {
    p384_signature *numbers[P384_MOST_JOBS];
    p384_job jobs[P384_MOST_JOBS];
    for (size_t i = 0; i < count; i++) {
        numbers[i] = &items[i].numbers;
        jobs[i] = (p384_job){.signature = numbers[i], .verdict = &items[i].verdict};
        if (of->by == WIDE) {
            jobs[i].key.wide = &issuer;
        } else if (of->by == COMB) {
            jobs[i].key.comb = &items[i].comb;
        } else {
            jobs[i].key.point = &items[i].point;
        }
    }
    ks_p384_multipliers(numbers, count);
    jobs_verify(of, jobs, count);
}

static void combs_build(size_t count) {
    for (size_t i = 0; i < count; i++) {
        ks_p384_build_comb(&own_keys[i].comb, &own_keys[i].point);
    }
}

static void verify_all(const measured *of) {
    signed_item *items = of->by == WIDE ? one_key : own_keys;
    for (size_t i = 0; i < of->count; i++) {
        items[i].verdict = 0;
    }
    for (size_t from = 0; from < of->count; from += of->batch) {
        size_t left = of->count - from;
        batch_verify(of, items + from, left < of->batch ? left : of->batch);
    }
    for (size_t i = 0; i < of->count; i++) {
        CHECK(items[i].verdict == 1);
    }
}

static void openssl_verify_all(size_t count) {
    for (size_t i = 0; i < count; i++) {
        const signed_item *item = &own_keys[i];
        CHECK(ECDSA_do_verify(item->digest, P384_OCTETS, item->signature, item->pair) == 1);
    }
}

static double measure(const measured *of) {
    double start = now_us();
    if (of->by == OPENSSL) {
        openssl_verify_all(of->count);
    } else if (of->by == BUILD_WIDE) {
        CHECK(ks_p384_build_wide(&issuer, &one_key[0].point));
    } else if (of->by == BUILD_COMBS) {
        combs_build(of->count);
    } else {
        verify_all(of);
    }
    return (now_us() - start) / (double)of->count;
}

/* --- the report --------------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b) {
    double x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static double median(double us[ROUNDS]) {
    qsort(us, ROUNDS, sizeof us[0], ascending);
    return us[ROUNDS / 2];
}

static size_t cases_of(measured *cases) {
    size_t count = 0;
    cases[count++] = (measured){"openssl", OPENSSL, 16, 16, {0}};
    cases[count++] = (measured){"a new key each", POINT, 32, 32, {0}};
    cases[count++] = (measured){"the same, batches of 8", POINT, 32, 8, {0}};
    cases[count++] = (measured){"the same, batches of 1", POINT, 16, 1, {0}};
    cases[count++] = (measured){"build combs", BUILD_COMBS, 32, 32, {0}};
    cases[count++] = (measured){"a key with a comb each", COMB, COUNT, 64, {0}};
    cases[count++] = (measured){"the same, batches of 8", COMB, 64, 8, {0}};
    cases[count++] = (measured){"the same, batches of 1", COMB, 16, 1, {0}};
    cases[count++] = (measured){"build a wide table", BUILD_WIDE, 1, 1, {0}};
    cases[count++] = (measured){"one key", WIDE, COUNT, 64, {0}};
    cases[count++] = (measured){"the same, batches of 8", WIDE, 64, 8, {0}};
    cases[count++] = (measured){"the same, batches of 1", WIDE, 16, 1, {0}};
    return count;
}

int main(void) {
    static measured cases[MOST_CASES];
    EC_KEY *shared = pair_make();
    for (size_t i = 0; i < COUNT; i++) {
        item_make(&own_keys[i], pair_make());
        item_make(&one_key[i], shared);
    }
    CHECK(ks_p384_build_wide(&base, &ks_p384_base));
    CHECK(ks_p384_build_wide(&issuer, &one_key[0].point));
    combs_build(COUNT);
    size_t count = cases_of(cases);
    for (size_t round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < count; i++) {
            cases[i].us[round] = measure(&cases[i]);
        }
    }
    double openssl = median(cases[0].us);
    for (size_t i = 0; i < count; i++) {
        double us = median(cases[i].us);
        printf("%-34s %9.2f us %8.2fx\n", cases[i].name, us, openssl / us);
    }
    return 0;
}
