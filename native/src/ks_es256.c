/*
 * ES256 with the kernels of p256/: which signature goes to which kernel, and when OpenSSL decides.
 *
 * The rule. A kernel's "valid" counts, because the key was checked to be on the curve and r and s to be
 * in range before the kernel saw them, and the kernel's last step compares x coordinates in full.
 * Everything else is OpenSSL's: every signature that a kernel did not find valid, every key and number
 * that this file did not like, every lane that met an exception in the formulas.
 */
#include <pthread.h>
#include <stdlib.h>

#include "kernel/kernel_credit.h"
#include "ks_digest.h"
#include "ks_engine.h"
#include "p256/p256_kernel.h"
#include "p256/p256_key.h"

#define SIGNATURE_BYTES (2 * P256_OCTETS)
#define SCRATCH_ALIGNMENT 64u

/* --- the base point ----------------------------------------------------------------------------- */

/* Built once a process by the first kernel that is used, immutable afterwards. */
static p256_wide base_table;
static int base_built;
static pthread_once_t base_once = PTHREAD_ONCE_INIT;

static void base_build_portable(void) {
    base_built = ks_p256_kernel_portable.build_wide(&base_table, &ks_p256_base);
}

#if defined(__x86_64__)
static void base_build_ifma(void) {
    base_built = ks_p256_kernel_ifma.build_wide(&base_table, &ks_p256_base);
}
#endif

/* NULL if there was no memory when it was to be built: OpenSSL then does all the work. */
static const p256_wide *base_of(const p256_kernel *kernel) {
    void (*build)(void) = base_build_portable;
#if defined(__x86_64__)
    if (kernel == &ks_p256_kernel_ifma) {
        build = base_build_ifma;
    }
#endif
    (void)kernel;
    return pthread_once(&base_once, build) == 0 && base_built ? &base_table : NULL;
}

/* --- workers ------------------------------------------------------------------------------------ */

/* Items that want the same of a kernel. */
typedef struct group {
    p256_job jobs[P256_MOST_JOBS];
    const ks_verify_item *items[P256_MOST_JOBS];
    size_t count;
} group;

typedef enum kind { WIDE, COMB, POINT, KIND_COUNT, OPENSSL, REFUSED } kind;

typedef struct worker {
    const p256_kernel *kernel;
    const p256_wide *g;
    void *scratch;
    void *openssl; /* OpenSSL's worker, made when it is first wanted */
    ks_digest digest;
    p256_signature signatures[P256_MOST_JOBS];
    group groups[KIND_COUNT];
} worker;

static void worker_close(void *closed) {
    worker *self = closed;
    if (self != NULL) {
        ks_ecdsa_openssl.worker_close(self->openssl);
        ks_digest_close(&self->digest);
        free(self->scratch);
        free(self);
    }
}

static void *worker_open_for(const p256_kernel *kernel) {
    worker *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    self->kernel = kernel;
    self->g = base_of(kernel);
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

/* What a signature under this key wants. */
static kind kind_of(const worker *self, const p256_key *by) {
    if (self->g == NULL || !by->on_curve) {
        return OPENSSL;
    }
    if (by->table != NULL && by->table->kind == KS_WIDE_TABLE) {
        return WIDE;
    }
    if (by->table != NULL && self->kernel->verify_comb != NULL) {
        return COMB;
    }
    return self->kernel->verify_point != NULL ? POINT : OPENSSL;
}

/* Reads r and s; 0 if they are out of range, and a kernel must not see them. */
static int signature_read(p256_signature *signature, const ks_verify_item *item) {
    p256_words_read(signature->r, item->signature.data);
    p256_words_read(signature->s, item->signature.data + P256_OCTETS);
    return ks_p256_scalar_in_range(signature->r) && ks_p256_scalar_in_range(signature->s);
}

static void group_add(group *to, kind of, const p256_key *by, p256_signature *signature,
                      const ks_verify_item *item, uint8_t *verdict) {
    p256_job *job = &to->jobs[to->count];
    *job = (p256_job){.signature = signature, .verdict = verdict};
    if (of == WIDE) {
        job->key.wide = by->table->points;
    } else if (of == COMB) {
        job->key.comb = by->table->points;
    } else {
        job->key.point = &by->point;
    }
    to->items[to->count++] = item;
}

/* --- verifying ---------------------------------------------------------------------------------- */

static unsigned cost_of(const p256_kernel *kernel, kind of) {
    return of == WIDE ? kernel->costs.wide : of == COMB ? kernel->costs.comb : kernel->costs.point;
}

static void kernel_call(const worker *self, kind of, const p256_job *jobs, size_t count) {
    if (of == WIDE) {
        self->kernel->verify_wide(self->g, jobs, count);
    } else if (of == COMB) {
        self->kernel->verify_comb(self->g, jobs, count);
    } else {
        self->kernel->verify_point(self->g, jobs, count, self->scratch);
    }
}

static int digest_read(worker *self, p256_signature *signature, const ks_verify_item *item) {
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (!ks_digest_compute(&self->digest, item->message, digest, &size) || size != P256_OCTETS) {
        return 0;
    }
    p256_words_read(signature->digest, digest);
    return 1;
}

/* Jobs from..to of a group; how many of them are valid. */
static size_t jobs_verify(worker *self, kind of, const group *all, size_t from, size_t to) {
    p256_signature *signatures[P256_MOST_JOBS];
    const p256_job *jobs = all->jobs + from;
    size_t count = to - from, valid = 0;
    for (size_t i = 0; i < count; i++) {
        signatures[i] = jobs[i].signature;
        if (!digest_read(self, signatures[i], all->items[from + i])) {
            return 0; /* and OpenSSL is asked about all of them */
        }
    }
    ks_p256_multipliers(signatures, count);
    kernel_call(self, of, jobs, count);
    for (size_t i = 0; i < count; i++) {
        valid += *jobs[i].verdict;
    }
    return valid;
}

/* Fillings that are cheaper than OpenSSL: the last one may have too few signatures for that. */
static size_t fillings_of(size_t count, unsigned lanes, unsigned cost) {
    return count / lanes + (count % lanes * KS_COST_OPENSSL > cost);
}

static ks_credit credit = KS_CREDIT_FULL;

/* What credit does not pay for, or too few lanes would share, stays for OpenSSL. */
static void group_verify(worker *self, kind of, const group *all) {
    unsigned lanes = self->kernel->lanes, cost = cost_of(self->kernel, of);
    for (size_t done = 0; done < all->count;) {
        size_t left = all->count - done;
        size_t fillings = ks_credit_for(&credit, cost, fillings_of(left, lanes, cost));
        if (fillings == 0) {
            ks_credit_settle(&credit, (long)left);
            return;
        }
        size_t count = fillings * lanes < left ? fillings * lanes : left;
        size_t valid = jobs_verify(self, of, all, done, done + count);
        ks_credit_settle(&credit, (long)(valid * KS_COST_OPENSSL) - (long)(fillings * cost));
        done += count;
    }
}

static ks_status openssl_verify(worker *self, p256_key *by, const ks_verify_item *item,
                                uint8_t *verdict) {
    if (self->openssl == NULL) {
        self->openssl = ks_ecdsa_openssl.worker_open(KS_ES256);
    }
    void *for_openssl = ks_p256_key_openssl(by);
    if (self->openssl == NULL) {
        return KS_E_MEMORY;
    }
    if (for_openssl == NULL) {
        return KS_OK; /* and the verdict stays 0, as for any key that OpenSSL does not take */
    }
    ks_verify_item alone = {item->message, item->signature, 0};
    return ks_ecdsa_openssl.verify(self->openssl, &for_openssl, &alone, 1, verdict);
}

static ks_status run_verify(worker *self, void *const *keys, const ks_verify_item *items,
                            size_t count, uint8_t *verdicts) {
    kind kinds[P256_MOST_JOBS];
    for (int of = 0; of < KIND_COUNT; of++) {
        self->groups[of].count = 0;
    }
    for (size_t i = 0; i < count; i++) {
        const p256_key *by = keys[items[i].key];
        p256_signature *signature = &self->signatures[i];
        kinds[i] = by == NULL || items[i].signature.size != SIGNATURE_BYTES ? REFUSED
                                                                           : kind_of(self, by);
        if (kinds[i] < KIND_COUNT && signature_read(signature, &items[i])) {
            group_add(&self->groups[kinds[i]], kinds[i], by, signature, &items[i], &verdicts[i]);
        }
    }
    for (int of = 0; of < KIND_COUNT; of++) {
        group_verify(self, (kind)of, &self->groups[of]);
    }
    ks_status status = KS_OK;
    for (size_t i = 0; i < count && status == KS_OK; i++) {
        if (kinds[i] != REFUSED && verdicts[i] == 0) {
            status = openssl_verify(self, keys[items[i].key], &items[i], &verdicts[i]);
        }
    }
    return status;
}

static ks_status verify(void *context, void *const *keys, const ks_verify_item *items, size_t count,
                        uint8_t *verdicts) {
    ks_status status = KS_OK;
    for (size_t from = 0; from < count && status == KS_OK; from += P256_MOST_JOBS) {
        size_t run = count - from < P256_MOST_JOBS ? count - from : P256_MOST_JOBS;
        status = run_verify(context, keys, items + from, run, verdicts + from);
    }
    return status;
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
