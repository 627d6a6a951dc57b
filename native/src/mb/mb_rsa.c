/*
 * RS256 and PS256 with crypto_mb: the library raises signatures to the power 65537, and nothing more.
 *
 * Whether the result is the encoding that RFC 8017 wants is decided here, over all its octets, so the
 * library is not trusted: wrong numbers cost time and no verdict. What is not found valid, and every key
 * that the library has no code for, is OpenSSL's to decide.
 */
#include <stdlib.h>
#include <string.h>

#include "kernel/kernel_credit.h"
#include "ks_digest.h"
#include "ks_engine.h"
#include "mb_emsa.h"
#include "mb_lanes.h"
#include "mb_library.h"

#define MOST_WORDS (MB_MOST_MODULUS_OCTETS / 8)

/* Eight lanes take as long as two verifications by OpenSSL. */
#define COST_FILLING (2 * KS_COST_OPENSSL)

/* The moduli, in bits, that the library and OpenSSL both take. */
static const int sizes[] = {2048, 3072, 4096};
#define SIZE_COUNT (sizeof sizes / sizeof sizes[0])

static ks_credit credit = KS_CREDIT_FULL;

/* --- keys --------------------------------------------------------------------------------------- */

typedef struct rsa_key {
    void *openssl; /* OpenSSL's key */
    ks_view modulus;
    size_t size;            /* index into `sizes`; SIZE_COUNT if the key is for OpenSSL alone */
    uint64_t n[MOST_WORDS]; /* little-endian */
} rsa_key;

/* OpenSSL has taken the key, so n is odd and has no leading zero octets. */
static size_t size_of(const ks_public_key *parameters) {
    static const uint8_t f4[] = {1, 0, 1};
    const ks_view n = parameters->first, e = parameters->second;
    if (e.size != sizeof f4 || memcmp(e.data, f4, sizeof f4) != 0 || (n.data[0] & 0x80) == 0) {
        return SIZE_COUNT;
    }
    size_t size = 0;
    while (size < SIZE_COUNT && n.size * 8 != (size_t)sizes[size]) {
        size++;
    }
    return size;
}

static void key_close(void *closed) {
    rsa_key *self = closed;
    if (self != NULL) {
        ks_rsa_openssl.key_close(self->openssl);
        free(self);
    }
}

static void *key_open(ks_algorithm algorithm, const ks_public_key *parameters, size_t uses) {
    void *openssl = ks_rsa_openssl.key_open(algorithm, parameters, uses);
    if (openssl == NULL) {
        return NULL;
    }
    rsa_key *self = calloc(1, sizeof *self);
    if (self == NULL) {
        ks_rsa_openssl.key_close(openssl);
        return KS_KEY_NO_MEMORY;
    }
    self->openssl = openssl;
    self->modulus = parameters->first;
    self->size = size_of(parameters);
    if (self->size < SIZE_COUNT) {
        mb_words_read(self->n, self->modulus.data, self->modulus.size);
    }
    return self;
}

/* --- workers ------------------------------------------------------------------------------------ */

typedef struct worker {
    const mb_library *library;
    ks_algorithm algorithm;
    ks_digest digest;
    void *openssl; /* OpenSSL's worker, made when it is first wanted */
    uint8_t *scratch;
    const mb_rsa_method *methods[SIZE_COUNT]; /* NULL: the library has none */
    mb_group groups[SIZE_COUNT];
    uint8_t raised[MB_LANES][MB_MOST_MODULUS_OCTETS];
} worker;

static void worker_close(void *closed) {
    worker *self = closed;
    if (self != NULL) {
        ks_rsa_openssl.worker_close(self->openssl);
        ks_digest_close(&self->digest);
        free(self->scratch);
        free(self);
    }
}

static int methods_find(worker *self) {
    size_t most = 1;
    for (size_t size = 0; size < SIZE_COUNT; size++) {
        const mb_rsa_method *method = self->library->rsa_method(sizes[size]);
        int bytes = method == NULL ? 0 : self->library->rsa_scratch_bytes(method);
        if (bytes > 0) {
            self->methods[size] = method;
            most = (size_t)bytes > most ? (size_t)bytes : most;
        }
    }
    self->scratch = malloc(most);
    return self->scratch != NULL;
}

static void *worker_open(ks_algorithm algorithm) {
    worker *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    self->algorithm = algorithm;
    /* This engine is chosen only when there is one. */
    self->library = ks_mb_library_loaded();
    if (self->library == NULL || !methods_find(self) || !ks_digest_open(&self->digest, "SHA256")) {
        worker_close(self);
        return NULL;
    }
    return self;
}

/* --- verifying ---------------------------------------------------------------------------------- */

static int encoding_is_right(worker *self, const uint8_t *encoded, size_t size, ks_view message) {
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned written = 0;
    if (!ks_digest_compute(&self->digest, message, digest, &written)) {
        return 0;
    }
    return self->algorithm == KS_RS256 ? ks_mb_emsa_is_pkcs1(encoded, size, digest)
                                       : ks_mb_emsa_is_pss(&self->digest, encoded, size, digest);
}

/* Jobs under moduli of one size; the last one also fills the lanes that are left. */
static void fill(void *context, const mb_job *jobs, size_t count) {
    worker *self = context;
    const uint8_t *signatures[MB_LANES];
    uint8_t *raised[MB_LANES];
    const uint64_t *moduli[MB_LANES];
    const rsa_key *first = jobs[0].key;
    for (size_t lane = 0; lane < MB_LANES; lane++) {
        const mb_job *job = &jobs[lane < count ? lane : count - 1];
        signatures[lane] = job->item->signature.data;
        moduli[lane] = ((const rsa_key *)job->key)->n;
        raised[lane] = self->raised[lane];
    }
    /* A lane that the library leaves as it was must not be taken for what another call left there. */
    memset(self->raised, 0, sizeof self->raised);
    mb_status status = self->library->rsa_public(signatures, raised, moduli, sizes[first->size],
                                                 self->methods[first->size], self->scratch);
    for (size_t lane = 0; lane < count; lane++) {
        *jobs[lane].verdict =
            (uint8_t)(mb_lane_is_good(status, lane) &&
                      encoding_is_right(self, raised[lane], first->modulus.size,
                                        jobs[lane].item->message));
    }
}

/* Whether the library may see it: RSAVP1 (RFC 8017 §5.2.2) wants s < n. Both are equally long. */
static int suits_library(const worker *self, const rsa_key *by, const ks_verify_item *item) {
    return by->size < SIZE_COUNT && self->methods[by->size] != NULL &&
           memcmp(item->signature.data, by->modulus.data, by->modulus.size) < 0;
}

static ks_status openssl_verify(worker *self, const rsa_key *by, const ks_verify_item *item,
                                uint8_t *verdict) {
    if (self->openssl == NULL) {
        self->openssl = ks_rsa_openssl.worker_open(self->algorithm);
    }
    if (self->openssl == NULL) {
        return KS_E_MEMORY;
    }
    ks_verify_item alone = {item->message, item->signature, 0};
    return ks_rsa_openssl.verify(self->openssl, &by->openssl, &alone, 1, verdict);
}

static ks_status run_verify(worker *self, void *const *keys, const ks_verify_item *items,
                            size_t count, uint8_t *verdicts) {
    for (size_t size = 0; size < SIZE_COUNT; size++) {
        self->groups[size].count = 0;
    }
    for (size_t i = 0; i < count; i++) {
        const rsa_key *by = keys[items[i].key];
        if (by != NULL && items[i].signature.size == by->modulus.size &&
            suits_library(self, by, &items[i])) {
            mb_group *to = &self->groups[by->size];
            to->jobs[to->count++] = (mb_job){by, &items[i], &verdicts[i]};
        }
    }
    for (size_t size = 0; size < SIZE_COUNT; size++) {
        ks_mb_group_verify(&self->groups[size], &credit, COST_FILLING, fill, self);
    }
    ks_status status = KS_OK;
    for (size_t i = 0; i < count && status == KS_OK; i++) {
        const rsa_key *by = keys[items[i].key];
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

const ks_engine ks_rsa_mb = {
    .path = "crypto_mb",
    .key_open = key_open,
    .key_close = key_close,
    .worker_open = worker_open,
    .worker_close = worker_close,
    .verify = verify,
};
