/*
 * ES384 with crypto_mb. The library's "valid" counts, so here the library is trusted: it says so or not,
 * and gives no number that could be compared. What it does not look at is checked before it sees a
 * signature: that the key is on the curve (OpenSSL has opened it) and that r and s are in 1..n-1.
 * Everything that it does not find valid is OpenSSL's to decide.
 */
#include <stdlib.h>
#include <string.h>

#include "kernel/kernel_credit.h"
#include "ks_digest.h"
#include "ks_engine.h"
#include "mb_lanes.h"
#include "mb_library.h"

#define SIGNATURE_BYTES (2 * MB_P384_OCTETS)

/* Eight lanes take about as long as one verification by OpenSSL. */
#define COST_FILLING KS_COST_OPENSSL

static ks_credit credit = KS_CREDIT_FULL;

/* --- keys --------------------------------------------------------------------------------------- */

typedef struct es384_key {
    void *openssl; /* OpenSSL's key: that there is one says that x, y < p are on the curve */
    uint64_t x[MB_P384_WORDS];
    uint64_t y[MB_P384_WORDS];
} es384_key;

static void key_close(void *closed) {
    es384_key *self = closed;
    if (self != NULL) {
        ks_ecdsa_openssl.key_close(self->openssl);
        free(self);
    }
}

static void *key_open(ks_algorithm algorithm, const ks_public_key *parameters, size_t uses) {
    void *openssl = ks_ecdsa_openssl.key_open(algorithm, parameters, uses);
    if (openssl == NULL) {
        return NULL;
    }
    es384_key *self = calloc(1, sizeof *self);
    if (self == NULL) {
        ks_ecdsa_openssl.key_close(openssl);
        return KS_KEY_NO_MEMORY;
    }
    self->openssl = openssl;
    mb_words_read(self->x, parameters->first.data, MB_P384_OCTETS);
    mb_words_read(self->y, parameters->second.data, MB_P384_OCTETS);
    return self;
}

/* --- workers ------------------------------------------------------------------------------------ */

typedef struct worker {
    const mb_library *library;
    ks_digest digest;
    void *openssl; /* OpenSSL's worker, made when it is first wanted */
    mb_group group;
} worker;

static void worker_close(void *closed) {
    worker *self = closed;
    if (self != NULL) {
        ks_ecdsa_openssl.worker_close(self->openssl);
        ks_digest_close(&self->digest);
        free(self);
    }
}

static void *worker_open(ks_algorithm algorithm) {
    (void)algorithm;
    worker *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    /* This engine is chosen only when there is one. */
    self->library = ks_mb_library_loaded();
    if (self->library == NULL || !ks_digest_open(&self->digest, "SHA384")) {
        worker_close(self);
        return NULL;
    }
    return self;
}

/* --- verifying ---------------------------------------------------------------------------------- */

/* 1..n-1, n being the order of P-384's base point (FIPS 186-4 D.1.2.4). */
static int in_range(const uint8_t number[MB_P384_OCTETS]) {
    static const uint8_t zero[MB_P384_OCTETS];
    static const uint8_t order[MB_P384_OCTETS] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf, 0x58, 0x1a, 0x0d, 0xb2,
        0x48, 0xb0, 0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73,
    };
    return memcmp(number, zero, MB_P384_OCTETS) != 0 && memcmp(number, order, MB_P384_OCTETS) < 0;
}

static int suits_library(const ks_verify_item *item) {
    return in_range(item->signature.data) && in_range(item->signature.data + MB_P384_OCTETS);
}

/* The last job also fills the lanes that are left. */
static void fill(void *context, const mb_job *jobs, size_t count) {
    worker *self = context;
    uint8_t digests[MB_LANES][EVP_MAX_MD_SIZE];
    const uint8_t *r[MB_LANES], *s[MB_LANES], *digest[MB_LANES];
    const uint64_t *x[MB_LANES], *y[MB_LANES];
    unsigned written = 0;
    for (size_t lane = 0; lane < count; lane++) {
        if (!ks_digest_compute(&self->digest, jobs[lane].item->message, digests[lane], &written)) {
            return; /* and OpenSSL is asked about all of them */
        }
    }
    for (size_t lane = 0; lane < MB_LANES; lane++) {
        size_t from = lane < count ? lane : count - 1;
        const es384_key *by = jobs[from].key;
        r[lane] = jobs[from].item->signature.data;
        s[lane] = r[lane] + MB_P384_OCTETS;
        digest[lane] = digests[from];
        x[lane] = by->x;
        y[lane] = by->y;
    }
    mb_status status = self->library->es384_verify(r, s, digest, x, y, NULL, NULL);
    for (size_t lane = 0; lane < count; lane++) {
        *jobs[lane].verdict = (uint8_t)mb_lane_is_good(status, lane);
    }
}

static ks_status openssl_verify(worker *self, const es384_key *by, const ks_verify_item *item,
                                uint8_t *verdict) {
    if (self->openssl == NULL) {
        self->openssl = ks_ecdsa_openssl.worker_open(KS_ES384);
    }
    if (self->openssl == NULL) {
        return KS_E_MEMORY;
    }
    ks_verify_item alone = {item->message, item->signature, 0};
    return ks_ecdsa_openssl.verify(self->openssl, &by->openssl, &alone, 1, verdict);
}

static ks_status run_verify(worker *self, void *const *keys, const ks_verify_item *items,
                            size_t count, uint8_t *verdicts) {
    mb_group *group = &self->group;
    group->count = 0;
    for (size_t i = 0; i < count; i++) {
        const es384_key *by = keys[items[i].key];
        if (by != NULL && items[i].signature.size == SIGNATURE_BYTES && suits_library(&items[i])) {
            group->jobs[group->count++] = (mb_job){by, &items[i], &verdicts[i]};
        }
    }
    ks_mb_group_verify(group, &credit, COST_FILLING, fill, self);
    ks_status status = KS_OK;
    for (size_t i = 0; i < count && status == KS_OK; i++) {
        const es384_key *by = keys[items[i].key];
        if (by != NULL && verdicts[i] == 0) {
            status = openssl_verify(self, by, &items[i], &verdicts[i]);
        }
    }
    return status;
}

static ks_status verify(void *context, void *const *keys, const ks_verify_item *items, size_t count,
                        uint8_t *verdicts) {
    ks_status status = KS_OK;
    for (size_t from = 0; from < count && status == KS_OK; from += MB_MOST_JOBS) {
        size_t run = count - from < MB_MOST_JOBS ? count - from : MB_MOST_JOBS;
        status = run_verify(context, keys, items + from, run, verdicts + from);
    }
    return status;
}

const ks_engine ks_es384_mb = {
    .path = "crypto_mb",
    .key_open = key_open,
    .key_close = key_close,
    .worker_open = worker_open,
    .worker_close = worker_close,
    .verify = verify,
};
