/*
 * Batches of ECDSA signatures: every engine that runs here must say what OpenSSL says, item by item.
 *
 * Random octets are never a valid signature, so the input is a program: each step signs with one of a
 * few keys and then bends what it signed, or takes octets as they are. Keys are as many as there are
 * kinds of table, and are the same in every run, so that caches fill.
 *
 * Include with ALGORITHM, CURVE, HASH, OCTETS (of a coordinate) and MOST_ITEMS (of a batch) defined, and
 * OPENSSL_SUPPRESS_DEPRECATED before all else.
 */
#ifndef FUZZ_ECDSA_H
#define FUZZ_ECDSA_H

#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/obj_mac.h>
#include <openssl/sha.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ks_engine.h"

#define KEYS 12u
#define MESSAGES 16u
#define STEP_OCTETS 6u

static EC_KEY *pairs[KEYS];
static uint8_t points[KEYS + 1][2 * OCTETS]; /* the last one is not on the curve */

static void require(int holds) {
    if (!holds) {
        abort();
    }
}

/* Keys 1 to 6 are d = 1 … 6, the base point among them; the others are digests of their number. */
static void pair_make(unsigned i) {
    uint8_t digest[SHA256_DIGEST_LENGTH];
    uint8_t name = (uint8_t)i, octets[1 + 2 * OCTETS];
    require(SHA256(&name, 1, digest) != NULL);
    BIGNUM *d = BN_bin2bn(digest, 31, NULL);
    require(d != NULL && (i >= 6 || BN_set_word(d, i + 1) == 1));
    pairs[i] = EC_KEY_new_by_curve_name(CURVE);
    const EC_GROUP *group = EC_KEY_get0_group(pairs[i]);
    EC_POINT *point = EC_POINT_new(group);
    require(EC_POINT_mul(group, point, d, NULL, NULL, NULL) == 1);
    require(EC_KEY_set_private_key(pairs[i], d) == 1);
    require(EC_KEY_set_public_key(pairs[i], point) == 1);
    require(EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, octets, sizeof octets,
                               NULL) == sizeof octets);
    memcpy(points[i], octets + 1, sizeof points[i]);
    EC_POINT_free(point);
    BN_free(d);
}

static void pairs_make(void) {
    for (unsigned i = 0; i < KEYS; i++) {
        pair_make(i);
    }
    memcpy(points[KEYS], points[KEYS - 1], sizeof points[KEYS]);
    points[KEYS][OCTETS]++;
}

typedef struct batch {
    ks_public_key keys[KEYS + 1];
    ks_verify_item items[MOST_ITEMS];
    uint8_t messages[MOST_ITEMS];
    uint8_t signatures[MOST_ITEMS][2 * OCTETS];
    size_t count;
} batch;

/* k is a digest of the key's number and the message, so that an input means the same in every run. */
static void nonce_make(unsigned key, uint8_t message, BIGNUM **inverse, BIGNUM **r) {
    const uint8_t seed[] = {(uint8_t)key, message};
    uint8_t digest[SHA256_DIGEST_LENGTH];
    const EC_GROUP *group = EC_KEY_get0_group(pairs[key]);
    EC_POINT *point = EC_POINT_new(group);
    BIGNUM *k = BN_bin2bn(SHA256(seed, sizeof seed, digest), 31, NULL);
    BN_CTX *scratch = BN_CTX_new();
    *r = BN_new();
    require(k != NULL && EC_POINT_mul(group, point, k, NULL, NULL, scratch) == 1);
    require(EC_POINT_get_affine_coordinates(group, point, *r, NULL, scratch) == 1);
    require(BN_nnmod(*r, *r, EC_GROUP_get0_order(group), scratch) == 1);
    *inverse = BN_mod_inverse(NULL, k, EC_GROUP_get0_order(group), scratch);
    BN_CTX_free(scratch);
    BN_free(k);
    EC_POINT_free(point);
}

static void sign(uint8_t signature[2 * OCTETS], unsigned key, uint8_t message) {
    uint8_t digest[OCTETS]; /* the hash is as long as the field */
    BIGNUM *inverse, *r;
    nonce_make(key, message, &inverse, &r);
    require(HASH(&message, 1, digest) != NULL);
    ECDSA_SIG *made = ECDSA_do_sign_ex(digest, sizeof digest, inverse, r, pairs[key]);
    require(made != NULL);
    require(BN_bn2binpad(ECDSA_SIG_get0_r(made), signature, OCTETS) == OCTETS);
    require(BN_bn2binpad(ECDSA_SIG_get0_s(made), signature + OCTETS, OCTETS) == OCTETS);
    ECDSA_SIG_free(made);
    BN_free(inverse);
    BN_free(r);
}

/* The same, made once: signing takes longer than verifying. */
static const uint8_t *signature_of(unsigned key, uint8_t message) {
    static uint8_t made[KEYS][MESSAGES][2 * OCTETS];
    static uint8_t is_made[KEYS][MESSAGES];
    if (!is_made[key][message]) {
        sign(made[key][message], key, message);
        is_made[key][message] = 1;
    }
    return made[key][message];
}

/* key, message, how to bend, where, with what, for how many items */
static void step(batch *into, const uint8_t octets[STEP_OCTETS]) {
    uint8_t signature[2 * OCTETS];
    unsigned signer = octets[0] % KEYS, key = octets[2] % 16 == 1 ? octets[3] % (KEYS + 1) : signer;
    uint8_t message = octets[1] % MESSAGES;
    memcpy(signature, signature_of(signer, message), sizeof signature);
    size_t size = octets[2] % 16 == 2 ? octets[3] % sizeof signature : sizeof signature;
    if (octets[2] % 16 == 3) {
        signature[octets[3] % sizeof signature] ^= octets[4];
    } else if (octets[2] % 16 == 4) {
        memset(signature + octets[3] % 2 * OCTETS, octets[4], OCTETS);
    } else if (octets[2] % 16 == 5) {
        memset(signature, 0, OCTETS - 1);
    }
    for (unsigned i = 0; i <= octets[5] % 16u && into->count < MOST_ITEMS; i++) {
        size_t at = into->count++;
        memcpy(into->signatures[at], signature, sizeof signature);
        into->messages[at] = message;
        into->items[at] = (ks_verify_item){{&into->messages[at], 1}, {into->signatures[at], size}, key};
    }
}

static void verdicts_of(const ks_engine *engine, const batch *of, uint8_t verdicts[MOST_ITEMS]) {
    void *keys[KEYS + 1];
    memset(verdicts, 0, MOST_ITEMS);
    for (unsigned i = 0; i <= KEYS; i++) {
        size_t uses = 0;
        for (size_t item = 0; item < of->count; item++) {
            uses += of->items[item].key == i;
        }
        keys[i] = engine->key_open(ALGORITHM, &of->keys[i], uses);
    }
    if (engine->keys_ready != NULL) {
        engine->keys_ready(keys, KEYS + 1);
    }
    void *worker = engine->worker_open(ALGORITHM);
    require(worker != NULL);
    require(engine->verify(worker, keys, of->items, of->count, verdicts) == KS_OK);
    engine->worker_close(worker);
    for (unsigned i = 0; i <= KEYS; i++) {
        engine->key_close(keys[i]);
    }
}

/* The batch that an input describes. */
static const batch *batch_read(const uint8_t *data, size_t size) {
    static batch of;
    if (pairs[0] == NULL) {
        pairs_make();
    }
    of.count = 0;
    for (unsigned i = 0; i <= KEYS; i++) {
        of.keys[i] = (ks_public_key){{points[i], OCTETS}, {points[i] + OCTETS, OCTETS}};
    }
    for (; size >= STEP_OCTETS && of.count < MOST_ITEMS; data += STEP_OCTETS, size -= STEP_OCTETS) {
        step(&of, data);
    }
    return &of;
}

static void check_engine(const ks_engine *engine, const batch *of) {
    uint8_t expected[MOST_ITEMS], found[MOST_ITEMS];
    verdicts_of(&ks_ecdsa_openssl, of, expected);
    verdicts_of(engine, of, found);
    require(memcmp(expected, found, of->count) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
