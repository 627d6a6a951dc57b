/*
 * ECDSA over P-256, P-384 and P-521 with OpenSSL's low-level interface.
 *
 * OpenSSL 3 deprecates it, and it is used in this file only, because the EVP interface costs a
 * quarter of the rate when every item has a key of its own: EVP makes the curve anew for each key
 * (8 µs beside 56 µs of verification) and wants the signature in DER. Here the curve is made once a
 * process and a key is one point. `bench/verify_batch.py` measures it.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/obj_mac.h>
#include <stdlib.h>

#include "ks_digest.h"
#include "ks_engine.h"

typedef struct curve {
    ks_algorithm algorithm;
    int nid;
    size_t field_bytes;
    const char *digest;
    /* Built once a process, immutable afterwards. */
    EC_GROUP *group;
    BIGNUM *prime;
} curve;

static curve curves[] = {
    {.algorithm = KS_ES256, .nid = NID_X9_62_prime256v1, .field_bytes = 32, .digest = "SHA256"},
    {.algorithm = KS_ES384, .nid = NID_secp384r1, .field_bytes = 48, .digest = "SHA384"},
    {.algorithm = KS_ES512, .nid = NID_secp521r1, .field_bytes = 66, .digest = "SHA512"},
};
#define CURVE_COUNT (sizeof curves / sizeof curves[0])

static CRYPTO_ONCE curves_once = CRYPTO_ONCE_STATIC_INIT;

static void build_curves(void) {
    for (size_t i = 0; i < CURVE_COUNT; i++) {
        EC_GROUP *group = EC_GROUP_new_by_curve_name(curves[i].nid);
        BIGNUM *prime = BN_new();
        if (group == NULL || prime == NULL ||
            EC_GROUP_get_curve(group, prime, NULL, NULL, NULL) != 1) {
            EC_GROUP_free(group);
            BN_free(prime);
            continue; /* curve_of answers NULL for it, for as long as the process lives */
        }
        curves[i].group = group;
        curves[i].prime = prime;
    }
}

static const curve *curve_of(ks_algorithm algorithm) {
    if (CRYPTO_THREAD_run_once(&curves_once, build_curves) != 1) {
        return NULL;
    }
    for (size_t i = 0; i < CURVE_COUNT; i++) {
        if (curves[i].algorithm == algorithm) {
            return curves[i].group == NULL ? NULL : &curves[i];
        }
    }
    return NULL;
}

/* --- keys: a key is its EC_POINT ------------------------------------------------------------- */

static int point_set(const curve *on, EC_POINT *point, BIGNUM *x, BIGNUM *y,
                     const ks_public_key *parameters) {
    int size = (int)on->field_bytes;
    return BN_bin2bn(parameters->first.data, size, x) != NULL &&
           BN_bin2bn(parameters->second.data, size, y) != NULL &&
           /* OpenSSL would reduce them, and one key would have several spellings. */
           BN_cmp(x, on->prime) < 0 && BN_cmp(y, on->prime) < 0 &&
           /* Refuses a point that is not on the curve. */
           EC_POINT_set_affine_coordinates(on->group, point, x, y, NULL) == 1;
}

static void *key_open(ks_algorithm algorithm, const ks_public_key *parameters, size_t uses) {
    (void)uses;
    const curve *on = curve_of(algorithm);
    if (on == NULL || parameters->first.size != on->field_bytes ||
        parameters->second.size != on->field_bytes) {
        return NULL;
    }
    EC_POINT *point = EC_POINT_new(on->group);
    BIGNUM *x = BN_new();
    BIGNUM *y = BN_new();
    if (point == NULL || x == NULL || y == NULL || !point_set(on, point, x, y, parameters)) {
        EC_POINT_free(point);
        point = NULL;
    }
    BN_free(x);
    BN_free(y);
    return point;
}

static void key_close(void *key) {
    EC_POINT_free(key);
}

/* --- workers --------------------------------------------------------------------------------- */

typedef struct worker {
    const curve *on;
    ks_digest digest;
    EC_KEY *key;         /* what ECDSA_do_verify asks for; holds a copy of `loaded` */
    const void *loaded;  /* the EC_POINT that `key` stands for, or NULL */
    ECDSA_SIG *signature; /* owns r and s */
    BIGNUM *r;
    BIGNUM *s;
} worker;

static void worker_close(void *context) {
    worker *self = context;
    if (self == NULL) {
        return;
    }
    ECDSA_SIG_free(self->signature);
    EC_KEY_free(self->key);
    ks_digest_close(&self->digest);
    free(self);
}

static int signature_open(worker *self) {
    self->signature = ECDSA_SIG_new();
    self->r = BN_new();
    self->s = BN_new();
    if (self->signature != NULL && self->r != NULL && self->s != NULL &&
        ECDSA_SIG_set0(self->signature, self->r, self->s) == 1) {
        return 1;
    }
    BN_free(self->r);
    BN_free(self->s);
    return 0;
}

static void *worker_open(ks_algorithm algorithm) {
    worker *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    self->on = curve_of(algorithm);
    self->key = EC_KEY_new();
    if (self->on != NULL && self->key != NULL && EC_KEY_set_group(self->key, self->on->group) == 1 &&
        ks_digest_open(&self->digest, self->on->digest) && signature_open(self)) {
        return self;
    }
    worker_close(self);
    return NULL;
}

static int key_load(worker *self, const EC_POINT *point) {
    if (self->loaded == point) {
        return 1;
    }
    self->loaded = NULL;
    if (EC_KEY_set_public_key(self->key, point) != 1) {
        return 0;
    }
    self->loaded = point;
    return 1;
}

static int verify_one(worker *self, const EC_POINT *point, const ks_verify_item *item) {
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned digest_size = 0;
    size_t half = self->on->field_bytes;
    const uint8_t *signature = item->signature.data;
    if (point == NULL || item->signature.size != 2 * half || !key_load(self, point)) {
        return 0;
    }
    return BN_bin2bn(signature, (int)half, self->r) != NULL &&
           BN_bin2bn(signature + half, (int)half, self->s) != NULL &&
           ks_digest_compute(&self->digest, item->message, digest, &digest_size) &&
           /* Refuses r and s outside 1..n-1; -1 is an error and no less a no. */
           ECDSA_do_verify(digest, (int)digest_size, self->signature, self->key) == 1;
}

static ks_status verify(void *context, void *const *keys, const ks_verify_item *items, size_t count,
                        uint8_t *verdicts) {
    worker *self = context;
    for (size_t i = 0; i < count; i++) {
        verdicts[i] = (uint8_t)verify_one(self, keys[items[i].key], &items[i]);
    }
    return KS_OK;
}

const ks_engine ks_ecdsa_openssl = {
    .path = "openssl",
    .key_open = key_open,
    .key_close = key_close,
    .worker_open = worker_open,
    .worker_close = worker_close,
    .verify = verify,
};
