/*
 * ES384 with the kernel of p384/; kernel/kernel_run.h has what happens to a run.
 *
 * A kernel's "valid" counts, because the key was checked to be on the curve and r and s to be in range
 * before the kernel saw them, and the kernel's last step compares x coordinates in full. Every key and
 * number that this file does not like is OpenSSL's, and so is every sum that met an exception in the
 * formulas.
 */
#include <pthread.h>
#include <stdlib.h>

#include "ks_digest.h"
#include "ks_engine.h"
#include "p384/p384_kernel.h"
#include "p384/p384_key.h"

#define SIGNATURE_BYTES (2 * P384_OCTETS)

/* --- the base point ----------------------------------------------------------------------------- */

/* Built once a process, immutable afterwards. */
static p384_wide base_table;
static int base_built;
static pthread_once_t base_once = PTHREAD_ONCE_INIT;

static void base_build(void) {
    base_built = ks_p384_build_wide(&base_table, &ks_p384_base);
}

/* NULL if it could not be built: OpenSSL then does all the work. */
static const p384_wide *base_find(void) {
    return pthread_once(&base_once, base_build) == 0 && base_built ? &base_table : NULL;
}

/* --- workers ------------------------------------------------------------------------------------ */

typedef struct worker {
    const p384_wide *g;
    ks_runner runner;
    ks_digest digest;
    /* Of the items of one run, by their places in it. */
    const ks_verify_item *items[P384_MOST_JOBS];
    p384_signature signatures[P384_MOST_JOBS];
    p384_job jobs[P384_MOST_JOBS];
} worker;

static void worker_close(void *closed) {
    worker *self = closed;
    if (self != NULL) {
        ks_runner_close(&self->runner);
        ks_digest_close(&self->digest);
        free(self);
    }
}

static const ks_scheme scheme;
static const ks_costs costs = {{[KS_WIDE] = 20, [KS_COMB] = 28, [KS_POINT] = 56}}; /* bench/es384.c */

static void *worker_open(ks_algorithm algorithm) {
    (void)algorithm;
    worker *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    self->g = base_find();
    self->runner = (ks_runner){.scheme = &scheme, .lanes = 1, .costs = costs};
    if (!ks_digest_open(&self->digest, "SHA384")) {
        worker_close(self);
        return NULL;
    }
    return self;
}

/* --- sorting ------------------------------------------------------------------------------------ */

/* Where a signature under this key goes. */
static ks_way way_of(const worker *self, const p384_key *by) {
    const ks_table *table = by->known.table;
    if (self->g == NULL || !by->on_curve) {
        return KS_OPENSSL;
    }
    if (table == NULL) {
        return KS_POINT;
    }
    return table->kind == KS_WIDE_TABLE ? KS_WIDE : KS_COMB;
}

static void job_set_key(p384_job *job, ks_way way, const p384_key *by) {
    if (way == KS_WIDE) {
        job->key.wide = by->known.table->points;
    } else if (way == KS_COMB) {
        job->key.comb = by->known.table->points;
    } else {
        job->key.point = &by->point;
    }
}

/* Reads r and s; 0 if they are out of range, and a kernel must not see them. */
static int signature_read(p384_signature *signature, const ks_verify_item *item) {
    ks_words_read(signature->r, item->signature.data, P384_WORDS);
    ks_words_read(signature->s, item->signature.data + P384_OCTETS, P384_WORDS);
    return ks_p384_scalar_in_range(signature->r) && ks_p384_scalar_in_range(signature->s);
}

static ks_way job_read(void *context, size_t place, void *key, const ks_verify_item *item,
                       uint8_t *verdict) {
    worker *self = context;
    p384_key *by = key;
    if (item->signature.size != SIGNATURE_BYTES) {
        return KS_REFUSED;
    }
    ks_way way = way_of(self, by);
    if (way == KS_OPENSSL || !signature_read(&self->signatures[place], item)) {
        return KS_OPENSSL;
    }
    self->items[place] = item;
    self->jobs[place] = (p384_job){.signature = &self->signatures[place], .verdict = verdict};
    job_set_key(&self->jobs[place], way, by);
    return way;
}

/* --- verifying ---------------------------------------------------------------------------------- */

static int digest_read(worker *self, p384_signature *signature, const ks_verify_item *item) {
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (!ks_digest_compute(&self->digest, item->message, digest, &size) || size != P384_OCTETS) {
        return 0;
    }
    ks_words_read(signature->digest, digest, P384_WORDS);
    return 1;
}

static void jobs_verify(void *context, ks_way way, const size_t *places, size_t count) {
    worker *self = context;
    p384_signature *signatures[P384_MOST_JOBS];
    p384_job jobs[P384_MOST_JOBS];
    for (size_t i = 0; i < count; i++) {
        jobs[i] = self->jobs[places[i]];
        signatures[i] = jobs[i].signature;
        if (!digest_read(self, signatures[i], self->items[places[i]])) {
            return; /* and OpenSSL is asked about all of them */
        }
    }
    ks_p384_multipliers(signatures, count);
    if (way == KS_WIDE) {
        ks_p384_verify_wide(self->g, jobs, count);
    } else if (way == KS_COMB) {
        ks_p384_verify_comb(self->g, jobs, count);
    } else {
        ks_p384_verify_point(self->g, jobs, count);
    }
}

static ks_credit credit = KS_CREDIT_FULL;

static const ks_scheme scheme = {
    .algorithm = KS_ES384,
    .openssl = &ks_ecdsa_openssl,
    .credit = &credit,
    .key_openssl = ks_p384_key_openssl,
    .key_proved = ks_p384_key_proved,
    .job_read = job_read,
    .jobs_verify = jobs_verify,
};

static ks_status verify(void *context, void *const *keys, const ks_verify_item *items, size_t count,
                        uint8_t *verdicts) {
    worker *self = context;
    return ks_runner_verify(&self->runner, self, keys, items, count, verdicts);
}

static void *key_open(ks_algorithm algorithm, const ks_public_key *parameters, size_t uses) {
    (void)algorithm;
    return ks_p384_key_open(parameters, uses);
}

const ks_engine ks_es384_portable = {
    .path = "portable",
    .key_open = key_open,
    .key_close = ks_p384_key_close,
    .worker_open = worker_open,
    .worker_close = worker_close,
    .verify = verify,
};
