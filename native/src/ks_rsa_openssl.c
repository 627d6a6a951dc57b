/* RSASSA-PKCS1-v1_5 and RSASSA-PSS with SHA-256 (RFC 7518 §3.3, §3.5) with OpenSSL's EVP interface. */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <stdlib.h>

#include "ks_digest.h"
#include "ks_engine.h"

#define MAX_MODULUS_BYTES (KS_MAX_RSA_BITS / 8)
#define MAX_EXPONENT_BYTES (KS_MAX_RSA_EXPONENT_BITS / 8)

_Static_assert(sizeof(BN_ULONG) * 8 >= KS_MAX_RSA_EXPONENT_BITS, "an exponent fits one word");

typedef struct rsa_key {
    EVP_PKEY *key;
    size_t modulus_bytes;
} rsa_key;

/* --- keys ------------------------------------------------------------------------------------ */

/* A big-endian number without leading zeros, of at most `max_bytes`: one value has one spelling. */
static BIGNUM *number_open(ks_view octets, size_t max_bytes) {
    if (octets.size == 0 || octets.size > max_bytes || octets.data[0] == 0) {
        return NULL;
    }
    return BN_bin2bn(octets.data, (int)octets.size, NULL);
}

static int numbers_suit(const BIGNUM *n, const BIGNUM *e) {
    if (n == NULL || e == NULL) {
        return 0;
    }
    int bits = BN_num_bits(n);
    /* number_open has bounded e to what BN_get_word returns. */
    return bits >= KS_MIN_RSA_BITS && bits <= KS_MAX_RSA_BITS && BN_is_odd(n) && BN_is_odd(e) &&
           BN_get_word(e) >= KS_MIN_RSA_EXPONENT;
}

static OSSL_PARAM *parameters_open(const BIGNUM *n, const BIGNUM *e) {
    OSSL_PARAM *parameters = NULL;
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    if (build != NULL && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) == 1) {
        parameters = OSSL_PARAM_BLD_to_param(build);
    }
    OSSL_PARAM_BLD_free(build);
    return parameters;
}

static EVP_PKEY *pkey_open(const BIGNUM *n, const BIGNUM *e) {
    EVP_PKEY *key = NULL;
    OSSL_PARAM *parameters = parameters_open(n, e);
    EVP_PKEY_CTX *maker = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    if (parameters != NULL && maker != NULL && EVP_PKEY_fromdata_init(maker) == 1 &&
        EVP_PKEY_fromdata(maker, &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1) {
        key = NULL;
    }
    EVP_PKEY_CTX_free(maker);
    OSSL_PARAM_free(parameters);
    return key;
}

static void key_close(void *context) {
    rsa_key *self = context;
    if (self != NULL) {
        EVP_PKEY_free(self->key);
        free(self);
    }
}

static void *key_open(ks_algorithm algorithm, const ks_public_key *parameters, size_t uses) {
    (void)uses;
    (void)algorithm;
    rsa_key *self = NULL;
    BIGNUM *n = number_open(parameters->first, MAX_MODULUS_BYTES);
    BIGNUM *e = number_open(parameters->second, MAX_EXPONENT_BYTES);
    if (numbers_suit(n, e) && (self = calloc(1, sizeof *self)) != NULL) {
        self->modulus_bytes = parameters->first.size;
        self->key = pkey_open(n, e);
        if (self->key == NULL) {
            free(self);
            self = NULL;
        }
    }
    BN_free(n);
    BN_free(e);
    return self;
}

/* --- workers --------------------------------------------------------------------------------- */

typedef struct worker {
    ks_algorithm algorithm;
    ks_digest digest;
    EVP_PKEY_CTX *verifier; /* ready for `loaded`, or NULL */
    const rsa_key *loaded;
} worker;

static void *worker_open(ks_algorithm algorithm) {
    worker *self = calloc(1, sizeof *self);
    if (self == NULL || !ks_digest_open(&self->digest, "SHA256")) {
        free(self);
        return NULL;
    }
    self->algorithm = algorithm;
    return self;
}

static void worker_close(void *context) {
    worker *self = context;
    if (self == NULL) {
        return;
    }
    EVP_PKEY_CTX_free(self->verifier);
    ks_digest_close(&self->digest);
    free(self);
}

static int padding_set(const worker *self) {
    if (self->algorithm == KS_RS256) {
        return EVP_PKEY_CTX_set_rsa_padding(self->verifier, RSA_PKCS1_PADDING) == 1;
    }
    /* MGF1 takes the signature's own digest; the salt is exactly as long (RFC 7518 §3.5). */
    return EVP_PKEY_CTX_set_rsa_padding(self->verifier, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(self->verifier, RSA_PSS_SALTLEN_DIGEST) == 1;
}

static int key_load(worker *self, const rsa_key *key) {
    if (self->loaded == key) {
        return 1;
    }
    self->loaded = NULL;
    EVP_PKEY_CTX_free(self->verifier);
    self->verifier = EVP_PKEY_CTX_new(key->key, NULL);
    if (self->verifier == NULL || EVP_PKEY_verify_init(self->verifier) != 1 || !padding_set(self) ||
        EVP_PKEY_CTX_set_signature_md(self->verifier, self->digest.kind) != 1) {
        return 0;
    }
    self->loaded = key;
    return 1;
}

static int verify_one(worker *self, const rsa_key *key, const ks_verify_item *item) {
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned digest_size = 0;
    if (key == NULL || item->signature.size != key->modulus_bytes || !key_load(self, key)) {
        return 0;
    }
    return ks_digest_compute(&self->digest, item->message, digest, &digest_size) &&
           EVP_PKEY_verify(self->verifier, item->signature.data, item->signature.size, digest,
                           digest_size) == 1;
}

static ks_status verify(void *context, void *const *keys, const ks_verify_item *items, size_t count,
                        uint8_t *verdicts) {
    worker *self = context;
    for (size_t i = 0; i < count; i++) {
        verdicts[i] = (uint8_t)verify_one(self, keys[items[i].key], &items[i]);
    }
    return KS_OK;
}

const ks_engine ks_rsa_openssl = {
    .path = "openssl",
    .key_open = key_open,
    .key_close = key_close,
    .worker_open = worker_open,
    .worker_close = worker_close,
    .verify = verify,
};
