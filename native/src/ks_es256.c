/*
 * ES256 with the kernels of p256/; kernel/kernel_run.h has what happens to a run.
 *
 * A kernel's "valid" counts, because the key was checked to be on the curve and r and s to be in range
 * before the kernel saw them, and the kernel's last step compares x coordinates in full. Every key and
 * number that this file does not like is OpenSSL's, and so is every lane that met an exception in the
 * formulas.
 */
#include <pthread.h>
#include <stdlib.h>

#include "ks_digest.h"
#include "ks_engine.h"
#include "p256/p256_kernel.h"
#include "p256/p256_key.h"

#define SIGNATURE_BYTES (2 * P256_OCTETS)
#define TABLE_ALIGNMENT 64u
#define SCRATCH_ALIGNMENT 64u

/* --- the base point ----------------------------------------------------------------------------- */

/* A kernel's table of G: built once a process, when the kernel is first used, and immutable afterwards. */
static const void *base_for(const p256_kernel *kernel) {
    void *table = aligned_alloc(TABLE_ALIGNMENT, kernel->wide_bytes);
    if (table != NULL && !kernel->build_wide(table, &ks_p256_base)) {
        free(table);
        table = NULL;
    }
    return table;
}

static const void *base_portable;
static pthread_once_t base_portable_once = PTHREAD_ONCE_INIT;

static void base_portable_build(void) {
    base_portable = base_for(&ks_p256_kernel_portable);
}

#if defined(__x86_64__)
static const void *base_ifma;
static pthread_once_t base_ifma_once = PTHREAD_ONCE_INIT;

static void base_ifma_build(void) {
    base_ifma = base_for(&ks_p256_kernel_ifma);
}
#endif

/* NULL if there was no memory when it was to be built: OpenSSL then does all the work. */
static const void *base_of(const p256_kernel *kernel) {
#if defined(__x86_64__)
    if (kernel == &ks_p256_kernel_ifma) {
        return pthread_once(&base_ifma_once, base_ifma_build) == 0 ? base_ifma : NULL;
    }
#endif
    (void)kernel;
    return pthread_once(&base_portable_once, base_portable_build) == 0 ? base_portable : NULL;
}

/* --- workers ------------------------------------------------------------------------------------ */

typedef struct worker {
    const p256_kernel *kernel;
    const void *g; /* the kernel's table of the base point */
    void *scratch;
    ks_runner runner;
    ks_digest digest;
    /* Of the items of one run, by their places in it. */
    const ks_verify_item *items[P256_MOST_JOBS];
    p256_signature signatures[P256_MOST_JOBS];
    p256_job jobs[P256_MOST_JOBS];
} worker;

static void worker_close(void *closed) {
    worker *self = closed;
    if (self != NULL) {
        ks_runner_close(&self->runner);
        ks_digest_close(&self->digest);
        free(self->scratch);
        free(self);
    }
}

static const ks_scheme scheme;

static void *worker_open_for(const p256_kernel *kernel) {
    worker *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    self->kernel = kernel;
    self->g = base_of(kernel);
    self->runner = (ks_runner){.scheme = &scheme, .lanes = kernel->lanes, .costs = kernel->costs};
    if (kernel->scratch_bytes > 0) {
        self->scratch = aligned_alloc(SCRATCH_ALIGNMENT, kernel->scratch_bytes);
    }
    if ((kernel->scratch_bytes > 0 && self->scratch == NULL) ||
        !ks_digest_open(&self->digest, "SHA256")) {
        worker_close(self);
        return NULL;
    }
    return self;
}

/* --- sorting ------------------------------------------------------------------------------------ */

/* Where a signature under this key goes. */
static ks_way way_of(const worker *self, const p256_key *by) {
    const ks_table *table = by->known.table;
    if (self->g == NULL || !by->on_curve) {
        return KS_OPENSSL;
    }
    if (table != NULL && table->kind == KS_WIDE_TABLE) {
        return KS_WIDE;
    }
    if (table != NULL && self->kernel->verify_comb != NULL) {
        return KS_COMB;
    }
    return self->kernel->verify_point != NULL ? KS_POINT : KS_OPENSSL;
}

/* Reads r and s; 0 if they are out of range, and a kernel must not see them. */
static int signature_read(p256_signature *signature, const ks_verify_item *item) {
    p256_words_read(signature->r, item->signature.data);
    p256_words_read(signature->s, item->signature.data + P256_OCTETS);
    return ks_p256_scalar_in_range(signature->r) && ks_p256_scalar_in_range(signature->s);
}

static ks_way job_read(void *context, size_t place, void *key, const ks_verify_item *item,
                       uint8_t *verdict) {
    worker *self = context;
    const p256_key *by = key;
    if (item->signature.size != SIGNATURE_BYTES) {
        return KS_REFUSED;
    }
    ks_way way = way_of(self, by);
    if (way == KS_OPENSSL || !signature_read(&self->signatures[place], item)) {
        return KS_OPENSSL;
    }
    p256_job *job = &self->jobs[place];
    *job = (p256_job){.signature = &self->signatures[place], .verdict = verdict};
    if (way == KS_POINT) {
        job->key.point = &by->point;
    } else {
        job->key.table = by->known.table->points;
    }
    self->items[place] = item;
    return way;
}

/* --- verifying ---------------------------------------------------------------------------------- */

static int digest_read(worker *self, p256_signature *signature, const ks_verify_item *item) {
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (!ks_digest_compute(&self->digest, item->message, digest, &size) || size != P256_OCTETS) {
        return 0;
    }
    p256_words_read(signature->digest, digest);
    return 1;
}

static void jobs_verify(void *context, ks_way way, const size_t *places, size_t count) {
    worker *self = context;
    p256_signature *signatures[P256_MOST_JOBS];
    p256_job jobs[P256_MOST_JOBS];
    for (size_t i = 0; i < count; i++) {
        jobs[i] = self->jobs[places[i]];
        signatures[i] = jobs[i].signature;
        if (!digest_read(self, signatures[i], self->items[places[i]])) {
            return; /* and OpenSSL is asked about all of them */
        }
    }
    ks_p256_multipliers(signatures, count);
    if (way == KS_WIDE) {
        self->kernel->verify_wide(self->g, jobs, count);
    } else if (way == KS_COMB) {
        self->kernel->verify_comb(self->g, jobs, count);
    } else {
        self->kernel->verify_point(self->g, jobs, count, self->scratch);
    }
}

static ks_credit credit = KS_CREDIT_FULL;

static const ks_scheme scheme = {
    .algorithm = KS_ES256,
    .openssl = &ks_ecdsa_openssl,
    .credit = &credit,
    .key_openssl = ks_p256_key_openssl,
    .key_proved = ks_p256_key_proved,
    .job_read = job_read,
    .jobs_verify = jobs_verify,
};

static ks_status verify(void *context, void *const *keys, const ks_verify_item *items, size_t count,
                        uint8_t *verdicts) {
    worker *self = context;
    return ks_runner_verify(&self->runner, self, keys, items, count, verdicts);
}

/* --- the engines -------------------------------------------------------------------------------- */

static void *key_open_portable(ks_algorithm algorithm, const ks_public_key *parameters,
                               size_t uses) {
    (void)algorithm;
    return ks_p256_key_open(&ks_p256_kernel_portable, parameters, uses);
}

static void *worker_open_portable(ks_algorithm algorithm) {
    (void)algorithm;
    return worker_open_for(&ks_p256_kernel_portable);
}

const ks_engine ks_es256_portable = {
    .path = "portable",
    .key_open = key_open_portable,
    .keys_ready = ks_p256_keys_ready,
    .key_close = ks_p256_key_close,
    .worker_open = worker_open_portable,
    .worker_close = worker_close,
    .verify = verify,
};

#if defined(__x86_64__)
static void *key_open_ifma(ks_algorithm algorithm, const ks_public_key *parameters, size_t uses) {
    (void)algorithm;
    return ks_p256_key_open(&ks_p256_kernel_ifma, parameters, uses);
}

static void *worker_open_ifma(ks_algorithm algorithm) {
    (void)algorithm;
    return worker_open_for(&ks_p256_kernel_ifma);
}

const ks_engine ks_es256_ifma = {
    .path = "ifma",
    .key_open = key_open_ifma,
    .keys_ready = ks_p256_keys_ready,
    .key_close = ks_p256_key_close,
    .worker_open = worker_open_ifma,
    .worker_close = worker_close,
    .verify = verify,
};
#endif
