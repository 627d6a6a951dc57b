/*
 * Ed25519 with the kernels of ed25519/; kernel/kernel_run.h has what happens to a run.
 *
 * What is valid is what OpenSSL's ED25519_verify finds valid: S < L, a key as affine_decode reads it,
 * and the octets of R equal to those of S B - h A, without the cofactor. A kernel's "valid" counts,
 * because S was compared with L before the kernel saw it, the key was found on the curve, and the
 * kernel's last step compares all of R. No random linear combination of signatures is taken: it would
 * accept some that OpenSSL refuses.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "ed25519/ed25519_engine.h"
#include "ed25519/ed25519_key.h"
#include "ks_digest.h"

#define SIGNATURE_BYTES (2 * ED25519_OCTETS)
#define DIGEST_BYTES (2 * ED25519_OCTETS)
#define SCRATCH_ALIGNMENT 64u

/* --- the base point ----------------------------------------------------------------------------- */

/* Built once a process, and then immutable; the kernels' tables are the same. */
static ed25519_wide base_table;
static int base_built;
static pthread_once_t base_once = PTHREAD_ONCE_INIT;

static void base_build(void) {
    base_built = ks_ed25519_kernel_portable.build_wide(&base_table, &ks_ed25519_base);
}

/* NULL if there was no memory when it was to be built: OpenSSL then does all the work. */
static const ed25519_wide *base_find(void) {
    return pthread_once(&base_once, base_build) == 0 && base_built ? &base_table : NULL;
}

/* --- workers ------------------------------------------------------------------------------------ */

typedef struct worker {
    const ed25519_kernel *kernel;
    const ed25519_wide *base;
    void *scratch;
    ks_runner runner;
    ks_digest digest;
    /* Of the items of one run, by their places in it. */
    ed25519_hashed hashed[ED25519_MOST_JOBS];
    ed25519_signature signatures[ED25519_MOST_JOBS];
    ed25519_job jobs[ED25519_MOST_JOBS];
} worker;

static const ks_scheme scheme;

void ks_ed25519_worker_close(void *closed) {
    worker *self = closed;
    if (self != NULL) {
        ks_runner_close(&self->runner);
        ks_digest_close(&self->digest);
        free(self->scratch);
        free(self);
    }
}

void *ks_ed25519_worker_open(const ed25519_kernel *kernel) {
    worker *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    self->kernel = kernel;
    self->base = base_find();
    self->runner = (ks_runner){.scheme = &scheme, .lanes = kernel->lanes, .costs = kernel->costs};
    self->scratch = aligned_alloc(SCRATCH_ALIGNMENT, kernel->scratch_bytes);
    if (self->scratch == NULL || !ks_digest_open(&self->digest, "SHA512")) {
        ks_ed25519_worker_close(self);
        return NULL;
    }
    return self;
}

/* --- sorting ------------------------------------------------------------------------------------ */

/* Where a signature under this key goes. */
static ks_way way_of(const worker *self, const ed25519_key *by) {
    const ks_table *table = by->known.table;
    if (self->base == NULL || (table == NULL && !by->on_curve)) {
        return KS_OPENSSL;
    }
    if (table == NULL) {
        return KS_POINT;
    }
    return table->kind == KS_WIDE_TABLE ? KS_WIDE : KS_COMB;
}

static void job_set_key(ed25519_job *job, ks_way way, const ed25519_key *by) {
    if (way == KS_WIDE) {
        job->key.wide = by->known.table->points;
    } else if (way == KS_COMB) {
        job->key.comb = by->known.table->points;
    } else {
        job->key.point = &by->point;
    }
}

static ks_way job_read(void *context, size_t place, void *key, const ks_verify_item *item,
                       uint8_t *verdict) {
    worker *self = context;
    const ed25519_key *by = key;
    const uint8_t *octets = item->signature.data;
    if (item->signature.size != SIGNATURE_BYTES) {
        return KS_REFUSED;
    }
    ed25519_number s = ed25519_number_read(octets + ED25519_OCTETS);
    ks_way way = ks_ed25519_scalar_in_range(&s) ? way_of(self, by) : KS_OPENSSL;
    if (way == KS_OPENSSL) {
        return way;
    }
    ed25519_signature *signature = &self->signatures[place];
    signature->r = ed25519_number_read(octets);
    signature->s = ks_ed25519_digits(&s, ED25519_WIDE_BITS);
    self->hashed[place] = (ed25519_hashed){octets, by->known.parameters.first.data, item->message};
    self->jobs[place] = (ed25519_job){.signature = signature, .verdict = verdict};
    job_set_key(&self->jobs[place], way, by);
    return way;
}

/* --- verifying ---------------------------------------------------------------------------------- */

static int digest_by_openssl(worker *self, uint8_t digest[DIGEST_BYTES], const ed25519_hashed *of) {
    uint8_t out[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    const ks_view parts[] = {{of->r, ED25519_OCTETS}, {of->a, ED25519_OCTETS}, of->message};
    if (!ks_digest_compute_parts(&self->digest, parts, 3, out, &size) || size != DIGEST_BYTES) {
        return 0;
    }
    memcpy(digest, out, DIGEST_BYTES);
    return 1;
}

static int hashed_by_kernel(const worker *self, size_t place) {
    return self->kernel->hash != NULL &&
           self->hashed[place].message.size <= ED25519_MOST_HASHED;
}

/* Those that the kernel hashes, side by side. */
static void digests_by_kernel(worker *self, uint8_t (*digests)[DIGEST_BYTES], const size_t *places,
                              size_t count) {
    ed25519_hashed inputs[ED25519_MOST_JOBS] = {{NULL, NULL, {NULL, 0}}};
    uint8_t out[ED25519_MOST_JOBS][DIGEST_BYTES];
    size_t of[ED25519_MOST_JOBS], taken = 0;
    for (size_t i = 0; i < count; i++) {
        if (hashed_by_kernel(self, places[i])) {
            inputs[taken] = self->hashed[places[i]];
            of[taken++] = i;
        }
    }
    if (taken > 0) {
        self->kernel->hash(out, inputs, taken);
    }
    for (size_t k = 0; k < taken; k++) {
        memcpy(digests[of[k]], out[k], DIGEST_BYTES);
    }
}

static int digests_read(worker *self, uint8_t (*digests)[DIGEST_BYTES], const size_t *places,
                        size_t count) {
    digests_by_kernel(self, digests, places, count);
    for (size_t i = 0; i < count; i++) {
        if (!hashed_by_kernel(self, places[i]) &&
            !digest_by_openssl(self, digests[i], &self->hashed[places[i]])) {
            return 0;
        }
    }
    return 1;
}

static void jobs_verify(void *context, ks_way way, const size_t *places, size_t count) {
    worker *self = context;
    uint8_t digests[ED25519_MOST_JOBS][DIGEST_BYTES];
    ed25519_job jobs[ED25519_MOST_JOBS];
    if (!digests_read(self, digests, places, count)) {
        return; /* and OpenSSL is asked about all of them */
    }
    for (size_t i = 0; i < count; i++) {
        ed25519_number h = ks_ed25519_scalar_reduce(digests[i]);
        unsigned width = way == KS_WIDE ? ED25519_WIDE_BITS : ED25519_NARROW_BITS;
        self->signatures[places[i]].h = ks_ed25519_digits(&h, width);
        jobs[i] = self->jobs[places[i]];
    }
    if (way == KS_WIDE) {
        self->kernel->verify_wide(self->base, jobs, count);
    } else if (way == KS_COMB) {
        self->kernel->verify_comb(self->base, jobs, count);
    } else {
        self->kernel->verify_point(self->base, jobs, count, self->scratch);
    }
}

static const ks_scheme scheme = {
    .algorithm = KS_ED25519,
    .openssl = &ks_ed25519_openssl,
    .credit = &ks_ed25519_credit,
    .key_openssl = ks_ed25519_key_openssl,
    .key_proved = ks_ed25519_key_proved,
    .job_read = job_read,
    .jobs_verify = jobs_verify,
};

ks_status ks_ed25519_verify(void *context, void *const *keys, const ks_verify_item *items,
                            size_t count, uint8_t *verdicts) {
    worker *self = context;
    return ks_runner_verify(&self->runner, self, keys, items, count, verdicts);
}

/* --- the engines -------------------------------------------------------------------------------- */

static void *key_open_portable(ks_algorithm algorithm, const ks_public_key *parameters,
                               size_t uses) {
    (void)algorithm;
    return ks_ed25519_key_open(&ks_ed25519_kernel_portable, parameters, uses);
}

static void *worker_open_portable(ks_algorithm algorithm) {
    (void)algorithm;
    return ks_ed25519_worker_open(&ks_ed25519_kernel_portable);
}

const ks_engine ks_ed25519_portable = {
    .path = "portable",
    .key_open = key_open_portable,
    .keys_ready = ks_ed25519_keys_ready,
    .key_close = ks_ed25519_key_close,
    .worker_open = worker_open_portable,
    .worker_close = ks_ed25519_worker_close,
    .verify = ks_ed25519_verify,
};

#if defined(__x86_64__)
static void *key_open_ifma(ks_algorithm algorithm, const ks_public_key *parameters, size_t uses) {
    (void)algorithm;
    return ks_ed25519_key_open(&ks_ed25519_kernel_ifma, parameters, uses);
}

static void *worker_open_ifma(ks_algorithm algorithm) {
    (void)algorithm;
    return ks_ed25519_worker_open(&ks_ed25519_kernel_ifma);
}

const ks_engine ks_ed25519_ifma = {
    .path = "ifma",
    .key_open = key_open_ifma,
    .keys_ready = ks_ed25519_keys_ready,
    .key_close = ks_ed25519_key_close,
    .worker_open = worker_open_ifma,
    .worker_close = ks_ed25519_worker_close,
    .verify = ks_ed25519_verify,
};
#endif
