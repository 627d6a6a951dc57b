/*
 * The Ed25519 kernels beside OpenSSL, on the same signatures, in rounds that take turns: microseconds a
 * signature of this thread's CPU time, medians, and how many times OpenSSL's rate that is. Both sides
 * hash. Keys are OpenSSL's own on its side, and on ours are decoded and have their tables before the
 * clock starts, but where the name says otherwise.
 *
 *   make -C native bench
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../test/check.h"
#include "ed25519/ed25519_kernel.h"
#include "ks_digest.h"
#include "ks_engine.h"

#define COUNT 256u
#define ROUNDS 21u
#define MOST_CASES 24u
#define MESSAGE_OCTETS 480u /* about an access token's signing input */

typedef struct signed_item {
    EVP_PKEY *pair;
    uint8_t octets[2 * ED25519_OCTETS];
    uint8_t key_octets[ED25519_OCTETS];
    uint8_t message[MESSAGE_OCTETS];
    ed25519_signature numbers;
    ed25519_number key;
    ed25519_point point;
    ed25519_comb comb;
    uint8_t verdict;
} signed_item;

static signed_item own_keys[COUNT], one_key[COUNT];
static ed25519_wide base, issuer;
static ks_digest sha512;
static EVP_MD_CTX *state;

static void item_make(signed_item *item, EVP_PKEY *pair, unsigned number) {
    size_t size = sizeof item->octets, key_size = sizeof item->key_octets;
    uint8_t on_curve;
    item->pair = pair;
    memset(item->message, (int)number, sizeof item->message);
    CHECK(EVP_MD_CTX_reset(state) == 1 && EVP_DigestSignInit(state, NULL, NULL, NULL, pair) == 1);
    CHECK(EVP_DigestSign(state, item->octets, &size, item->message, MESSAGE_OCTETS) == 1);
    CHECK(EVP_PKEY_get_raw_public_key(pair, item->key_octets, &key_size) == 1);
    item->key = ed25519_number_read(item->key_octets);
    ks_ed25519_kernel_portable.keys_decode(&item->point, &on_curve, &item->key, 1);
    CHECK(on_curve == 1);
}

static EVP_PKEY *pair_make(void) {
    EVP_PKEY *pair = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    CHECK(pair != NULL);
    return pair;
}

static double now_us(void) {
    struct timespec now;
    CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* --- what is measured --------------------------------------------------------------------------- */

typedef enum way { OPENSSL, WIDE, COMB, POINT, NEW, DECODE, HASH, BUILD_COMBS, BUILD_WIDE } way;

typedef struct measured {
    const char *name;
    const ed25519_kernel *kernel;
    way by;
    size_t count, batch;
    double us[ROUNDS];
} measured;

static void keys_decode(const measured *of, signed_item *items, size_t count) {
    ed25519_number keys[ED25519_MOST_JOBS] = {{{0}}};
    ed25519_point points[ED25519_MOST_JOBS];
    uint8_t on_curve[ED25519_MOST_JOBS];
    for (size_t i = 0; i < count; i++) {
        keys[i] = items[i].key;
    }
    of->kernel->keys_decode(points, on_curve, keys, count);
    for (size_t i = 0; i < count; i++) {
        items[i].point = points[i];
    }
}

static void numbers_read(const measured *of, signed_item *items, size_t count) {
    uint8_t digests[ED25519_MOST_JOBS][EVP_MAX_MD_SIZE] = {{0}};
    ed25519_hashed inputs[ED25519_MOST_JOBS] = {{NULL, NULL, {NULL, 0}}};
    for (size_t i = 0; i < count; i++) {
        const ks_view message = {items[i].message, MESSAGE_OCTETS};
        inputs[i] = (ed25519_hashed){items[i].octets, items[i].key_octets, message};
        if (of->kernel->hash == NULL) {
            const ks_view parts[] = {
                {inputs[i].r, ED25519_OCTETS}, {inputs[i].a, ED25519_OCTETS}, message};
            unsigned size;
            CHECK(ks_digest_compute_parts(&sha512, parts, 3, digests[i], &size));
        }
    }
    if (of->kernel->hash != NULL) {
        of->kernel->hash(digests, inputs, count);
    }
    for (size_t i = 0; i < count; i++) {
        ed25519_number h = ks_ed25519_scalar_reduce(digests[i]);
        ed25519_number s = ed25519_number_read(items[i].octets + ED25519_OCTETS);
        items[i].numbers.r = ed25519_number_read(items[i].octets);
        items[i].numbers.s = ks_ed25519_digits(&s, ED25519_WIDE_BITS);
        items[i].numbers.h = ks_ed25519_digits(&h, of->by == WIDE ? ED25519_WIDE_BITS
                                                                  : ED25519_NARROW_BITS);
    }
}

static void batch_verify(const measured *of, signed_item *items, size_t count, void *scratch) {
    ed25519_job jobs[ED25519_MOST_JOBS];
    if (of->by == NEW || of->by == DECODE) {
        keys_decode(of, items, count);
    }
    if (of->by == DECODE) {
        return;
    }
    numbers_read(of, items, count);
    for (size_t i = 0; i < count; i++) {
        jobs[i] = (ed25519_job){.signature = &items[i].numbers, .verdict = &items[i].verdict};
        if (of->by == WIDE) {
            jobs[i].key.wide = &issuer;
        } else if (of->by == COMB) {
            jobs[i].key.comb = &items[i].comb;
        } else {
            jobs[i].key.point = &items[i].point;
        }
    }
    if (of->by == WIDE) {
        of->kernel->verify_wide(&base, jobs, count);
    } else if (of->by == COMB) {
        of->kernel->verify_comb(&base, jobs, count);
    } else if (of->by != HASH) {
        of->kernel->verify_point(&base, jobs, count, scratch);
    }
}

static void combs_build(const ed25519_kernel *kernel, size_t count) {
    ed25519_comb *combs[COUNT];
    const ed25519_point *points[COUNT];
    for (size_t i = 0; i < count; i++) {
        combs[i] = &own_keys[i].comb;
        points[i] = &own_keys[i].point;
    }
    kernel->build_combs(combs, points, count);
}

static void verify_all(const measured *of) {
    signed_item *items = of->by == WIDE ? one_key : own_keys;
    void *scratch = aligned_alloc(64, of->kernel->scratch_bytes);
    CHECK(scratch != NULL);
    for (size_t i = 0; i < of->count; i++) {
        items[i].verdict = 0;
    }
    for (size_t from = 0; from < of->count; from += of->batch) {
        size_t left = of->count - from;
        batch_verify(of, items + from, left < of->batch ? left : of->batch, scratch);
    }
    for (size_t i = 0; i < of->count; i++) {
        CHECK(items[i].verdict == (of->by != DECODE && of->by != HASH));
    }
    free(scratch);
}

static void openssl_verify_all(size_t count) {
    for (size_t i = 0; i < count; i++) {
        const signed_item *item = &own_keys[i];
        CHECK(EVP_MD_CTX_reset(state) == 1);
        CHECK(EVP_DigestVerifyInit(state, NULL, NULL, NULL, item->pair) == 1);
        CHECK(EVP_DigestVerify(state, item->octets, sizeof item->octets, item->message,
                               MESSAGE_OCTETS) == 1);
    }
}

static double measure(const measured *of) {
    double start = now_us();
    if (of->by == OPENSSL) {
        openssl_verify_all(of->count);
    } else if (of->by == BUILD_WIDE) {
        CHECK(of->kernel->build_wide(&issuer, &one_key[0].point));
    } else if (of->by == BUILD_COMBS) {
        combs_build(of->kernel, of->count);
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

static size_t kernel_cases(measured *cases, const ed25519_kernel *kernel) {
    const measured all[] = {
        {"a new key each, decoded too", kernel, NEW, COUNT, 64, {0}},
        {"the same, one at a time", kernel, NEW, 16, 1, {0}},
        {"a key with a comb each", kernel, COMB, COUNT, 64, {0}},
        {"the same, one at a time", kernel, COMB, 16, 1, {0}},
        {"one key", kernel, WIDE, COUNT, 64, {0}},
        {"the same, batches of 32", kernel, WIDE, COUNT, 32, {0}},
        {"the same, one at a time", kernel, WIDE, 16, 1, {0}},
        {"hash and reduce only", kernel, HASH, COUNT, 64, {0}},
        {"decode a key", kernel, DECODE, COUNT, 64, {0}},
        {"build a comb", kernel, BUILD_COMBS, 64, 64, {0}},
        {"build a wide table", kernel, BUILD_WIDE, 1, 1, {0}},
    };
    memcpy(cases, all, sizeof all);
    return sizeof all / sizeof all[0];
}

static size_t cases_of(measured *cases) {
    size_t count = 0;
    cases[count++] = (measured){"openssl", NULL, OPENSSL, 32, 32, {0}};
#if defined(__x86_64__)
    if (ks_cpu_has_ifma()) {
        count += kernel_cases(cases + count, &ks_ed25519_kernel_ifma);
    }
#endif
    return count + kernel_cases(cases + count, &ks_ed25519_kernel_portable);
}

int main(void) {
    static measured cases[MOST_CASES];
    state = EVP_MD_CTX_new();
    CHECK(state != NULL && ks_digest_open(&sha512, "SHA512"));
    EVP_PKEY *shared = pair_make();
    for (unsigned i = 0; i < COUNT; i++) {
        item_make(&own_keys[i], pair_make(), i);
        item_make(&one_key[i], shared, i);
    }
    CHECK(ks_ed25519_kernel_portable.build_wide(&base, &ks_ed25519_base));
    CHECK(ks_ed25519_kernel_portable.build_wide(&issuer, &one_key[0].point));
    combs_build(&ks_ed25519_kernel_portable, COUNT);
    size_t count = cases_of(cases);
    for (size_t round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < count; i++) {
            cases[i].us[round] = measure(&cases[i]);
        }
    }
    double openssl = median(cases[0].us);
    for (size_t i = 0; i < count; i++) {
        double us = median(cases[i].us);
        const char *path = cases[i].kernel == NULL ? "" : cases[i].kernel->path;
        printf("%-9s %-30s %9.2f us %8.2fx\n", path, cases[i].name, us, openssl / us);
    }
    return 0;
}
