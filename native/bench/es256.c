/*
 * The ES256 kernels beside OpenSSL, on the same signatures, in rounds that take turns: microseconds a
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
#include "ks_engine.h"
#include "p256/p256_kernel.h"

#define COUNT 512u
#define ROUNDS 31u
#define MOST_CASES 20u

typedef struct signed_item {
    EC_KEY *pair;
    ECDSA_SIG *signature;
    uint8_t digest[P256_OCTETS];
    p256_signature numbers;
    p256_entry point;
    uint8_t verdict;
} signed_item;

static signed_item own_keys[COUNT], one_key[COUNT];

/* A kernel and what it verifies with. */
typedef struct bench_kernel {
    const p256_kernel *kernel;
    void *base, *issuer, *scratch;
    void *combs[COUNT]; /* of own_keys */
} bench_kernel;

static void item_make(signed_item *item, EC_KEY *pair) {
    uint8_t octets[1 + 2 * P256_OCTETS];
    item->pair = pair;
    CHECK(RAND_bytes(item->digest, sizeof item->digest) == 1);
    item->signature = ECDSA_do_sign(item->digest, sizeof item->digest, pair);
    CHECK(item->signature != NULL);
    CHECK(EC_POINT_point2oct(EC_KEY_get0_group(pair), EC_KEY_get0_public_key(pair),
                             POINT_CONVERSION_UNCOMPRESSED, octets, sizeof octets,
                             NULL) == sizeof octets);
    CHECK(ks_p256_point_read(&item->point, octets + 1, octets + 1 + P256_OCTETS));
    p256_words_read(item->numbers.digest, item->digest);
    CHECK(BN_bn2binpad(ECDSA_SIG_get0_r(item->signature), octets, P256_OCTETS) == P256_OCTETS);
    p256_words_read(item->numbers.r, octets);
    CHECK(BN_bn2binpad(ECDSA_SIG_get0_s(item->signature), octets, P256_OCTETS) == P256_OCTETS);
    p256_words_read(item->numbers.s, octets);
}

static EC_KEY *pair_make(void) {
    EC_KEY *pair = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
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
    bench_kernel *with;
    way by;
    size_t count, batch;
    double us[ROUNDS];
} measured;

static void jobs_verify(const measured *of, const p256_job *jobs, size_t count) {
    const p256_kernel *kernel = of->with->kernel;
    if (of->by == WIDE) {
        kernel->verify_wide(of->with->base, jobs, count);
    } else if (of->by == COMB) {
        kernel->verify_comb(of->with->base, jobs, count);
    } else {
        kernel->verify_point(of->with->base, jobs, count, of->with->scratch);
    }
}

static void batch_verify(const measured *of, size_t from, size_t count) {
    p256_signature *numbers[P256_MOST_JOBS];
    p256_job jobs[P256_MOST_JOBS];
    for (size_t i = 0; i < count; i++) {
        signed_item *item = of->by == WIDE ? &one_key[from + i] : &own_keys[from + i];
        numbers[i] = &item->numbers;
        jobs[i] = (p256_job){.signature = numbers[i], .verdict = &item->verdict};
        if (of->by == WIDE) {
            jobs[i].key.table = of->with->issuer;
        } else if (of->by == COMB) {
            jobs[i].key.table = of->with->combs[from + i];
        } else {
            jobs[i].key.point = &item->point;
        }
    }
    ks_p256_multipliers(numbers, count);
    jobs_verify(of, jobs, count);
}

static void combs_build(bench_kernel *with, size_t count) {
    const p256_entry *points[COUNT];
    for (size_t i = 0; i < count; i++) {
        points[i] = &own_keys[i].point;
    }
    with->kernel->build_combs(with->combs, points, count, with->scratch);
}

static void *memory(size_t bytes) {
    void *out = aligned_alloc(64, (bytes + 63) / 64 * 64);
    CHECK(out != NULL);
    return out;
}

static void kernel_open(bench_kernel *opened, const p256_kernel *kernel) {
    opened->kernel = kernel;
    opened->base = memory(kernel->wide_bytes);
    opened->issuer = memory(kernel->wide_bytes);
    opened->scratch = memory(kernel->scratch_bytes + 1);
    for (size_t i = 0; i < COUNT; i++) {
        opened->combs[i] = memory(kernel->comb_bytes);
    }
    CHECK(kernel->build_wide(opened->base, &ks_p256_base));
    CHECK(kernel->build_wide(opened->issuer, &one_key[0].point));
    combs_build(opened, COUNT);
}

static void verify_all(const measured *of) {
    signed_item *items = of->by == WIDE ? one_key : own_keys;
    for (size_t i = 0; i < of->count; i++) {
        items[i].verdict = 0;
    }
    for (size_t from = 0; from < of->count; from += of->batch) {
        size_t left = of->count - from;
        batch_verify(of, from, left < of->batch ? left : of->batch);
    }
    for (size_t i = 0; i < of->count; i++) {
        CHECK(items[i].verdict == 1);
    }
}

static void openssl_verify_all(size_t count) {
    for (size_t i = 0; i < count; i++) {
        const signed_item *item = &own_keys[i];
        CHECK(ECDSA_do_verify(item->digest, P256_OCTETS, item->signature, item->pair) == 1);
    }
}

static double measure(const measured *of) {
    double start = now_us();
    if (of->by == OPENSSL) {
        openssl_verify_all(of->count);
    } else if (of->by == BUILD_WIDE) {
        CHECK(of->with->kernel->build_wide(of->with->issuer, &one_key[0].point));
    } else if (of->by == BUILD_COMBS) {
        combs_build(of->with, of->count);
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
    static bench_kernel portable;
    size_t count = 0;
    cases[count++] = (measured){"openssl", NULL, OPENSSL, 64, 64, {0}};
#if defined(__x86_64__)
    static bench_kernel ifma;
    if (ks_cpu_has_ifma()) {
        kernel_open(&ifma, &ks_p256_kernel_ifma);
        cases[count++] = (measured){"ifma: a new key each", &ifma, POINT, COUNT, 64, {0}};
        cases[count++] = (measured){"ifma: the same, batches of 32", &ifma, POINT, 128, 32, {0}};
        cases[count++] = (measured){"ifma: the same, batches of 8", &ifma, POINT, 128, 8, {0}};
        cases[count++] = (measured){"ifma: build combs", &ifma, BUILD_COMBS, 128, 64, {0}};
        cases[count++] = (measured){"ifma: a key with a comb each", &ifma, COMB, COUNT, 64, {0}};
        cases[count++] = (measured){"ifma: the same, batches of 1", &ifma, COMB, 16, 1, {0}};
        cases[count++] = (measured){"ifma: build a wide table", &ifma, BUILD_WIDE, 1, 1, {0}};
        cases[count++] = (measured){"ifma: one key", &ifma, WIDE, COUNT, 64, {0}};
        cases[count++] = (measured){"ifma: the same, batches of 32", &ifma, WIDE, COUNT, 32, {0}};
        cases[count++] = (measured){"ifma: the same, batches of 1", &ifma, WIDE, 16, 1, {0}};
    }
#endif
    kernel_open(&portable, &ks_p256_kernel_portable);
    cases[count++] = (measured){"portable: build combs", &portable, BUILD_COMBS, 64, 64, {0}};
    cases[count++] = (measured){"portable: a key with a comb each", &portable, COMB, COUNT, 64, {0}};
    cases[count++] = (measured){"portable: the same, batches of 8", &portable, COMB, 128, 8, {0}};
    cases[count++] = (measured){"portable: the same, batches of 1", &portable, COMB, 16, 1, {0}};
    cases[count++] = (measured){"portable: build a wide table", &portable, BUILD_WIDE, 1, 1, {0}};
    cases[count++] = (measured){"portable: one key", &portable, WIDE, COUNT, 64, {0}};
    cases[count++] = (measured){"portable: the same, batches of 8", &portable, WIDE, 128, 8, {0}};
    cases[count++] = (measured){"portable: the same, batches of 1", &portable, WIDE, 16, 1, {0}};
    return count;
}

int main(void) {
    static measured cases[MOST_CASES];
    EC_KEY *shared = pair_make();
    for (size_t i = 0; i < COUNT; i++) {
        item_make(&own_keys[i], pair_make());
        item_make(&one_key[i], shared);
    }
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
