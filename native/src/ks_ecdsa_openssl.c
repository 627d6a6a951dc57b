/*
 * ECDSA over P-256, P-384 and P-521 with OpenSSL's low-level interface.
 *
 * OpenSSL 3 deprecates it, and it is used in this file only, because the EVP interface costs a
 * quarter of the rate when every item has a key of its own: EVP makes the curve anew for each key
 * (8 µs beside 56 µs of verification) and wants the signature in DER. Here the curve is made once a
 * process, and a key is its octets, which a worker reads into the one EC_KEY that it has: a point of
 * its own for every key costs more to allocate than to read again. `bench/verify_batch.py` measures it.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/obj_mac.h>
#include <stdlib.h>
#include <string.h>

#include "ks_digest.h"
#include "ks_engine.h"

typedef struct curve {
    ks_algorithm algorithm;
    int nid;
    size_t field_bytes;
    const char *digest;
    /* Built once a process, immutable afterwards. */
    EC_GROUP *group;
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
        /* Where there is none, curve_of answers NULL for as long as the process lives. */
        curves[i].group = EC_GROUP_new_by_curve_name(curves[i].nid);
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

/* --- points ---------------------------------------------------------------------------------- */

#define MOST_FIELD_BYTES (KS_MAX_POINT_BYTES / 2)

/* The uncompressed form (SEC 1 §2.3.3). */
typedef struct encoded_point {
    uint8_t form;
    uint8_t xy[2 * MOST_FIELD_BYTES];
} encoded_point;
_Static_assert(sizeof(encoded_point) == 1 + 2 * MOST_FIELD_BYTES, "what OpenSSL reads");

static void point_encode(const curve *on, encoded_point *out, const ks_public_key *key) {
    out->form = POINT_CONVERSION_UNCOMPRESSED;
    memcpy(out->xy, key->first.data, on->field_bytes);
    memcpy(out->xy + on->field_bytes, key->second.data, on->field_bytes);
}

static int is_point(const curve *on, const encoded_point *encoded) {
    EC_POINT *point = EC_POINT_new(on->group);
    /* Refuses what is not on the curve, and coordinates of p or above. */
    int is = point != NULL && EC_POINT_oct2point(on->group, point, &encoded->form,
                                                 1 + 2 * on->field_bytes, NULL) == 1;
    EC_POINT_free(point);
    return is;
}

/* --- keys: a key is the parameters, which outlive it ----------------------------------------- */

static void *key_open(ks_algorithm algorithm, const ks_public_key *parameters, size_t uses) {
    (void)uses;
    encoded_point encoded;
    const curve *on = curve_of(algorithm);
    if (on == NULL || parameters->first.size != on->field_bytes ||
        parameters->second.size != on->field_bytes) {
        return NULL;
    }
    point_encode(on, &encoded, parameters);
    return is_point(on, &encoded) ? ks_ecdsa_key(parameters) : NULL;
}

static void key_close(void *key) {
    (void)key;
}

/* --- workers --------------------------------------------------------------------------------- */

typedef struct worker {
    const curve *on;
    ks_digest digest;
    EC_KEY *key; /* what ECDSA_do_verify asks for */
    encoded_point point; /* what `key` holds, if it is `loaded` */
    int loaded;
    BN_CTX *numbers;      /* for reading points */
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
    BN_CTX_free(self->numbers);
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
    self->numbers = BN_CTX_new();
    if (self->on != NULL && self->key != NULL && self->numbers != NULL &&
        EC_KEY_set_group(self->key, self->on->group) == 1 &&
        ks_digest_open(&self->digest, self->on->digest) && signature_open(self)) {
        return self;
    }
    worker_close(self);
    return NULL;
}

static int key_load(worker *self, const ks_public_key *key) {
    encoded_point wanted;
    size_t size = 1 + 2 * self->on->field_bytes;
    point_encode(self->on, &wanted, key);
    if (self->loaded && memcmp(&self->point, &wanted, size) == 0) {
        return 1;
    }
    memcpy(&self->point, &wanted, size);
    self->loaded = EC_KEY_oct2key(self->key, &wanted.form, size, self->numbers) == 1;
    return self->loaded;
}

static int verify_one(worker *self, const ks_public_key *key, const ks_verify_item *item) {
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned digest_size = 0;
    size_t half = self->on->field_bytes;
    const uint8_t *signature = item->signature.data;
    if (key == NULL || item->signature.size != 2 * half || !key_load(self, key)) {
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
