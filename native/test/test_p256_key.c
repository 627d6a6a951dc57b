/* Keys of P-256 in the cache: which have tables, and who pays for them. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/obj_mac.h>
#include <openssl/sha.h>

#include "check.h"
#include "p256/p256_key.h"

typedef struct octets {
    uint8_t x[P256_OCTETS], y[P256_OCTETS];
} octets;

/* d G for a d that no other test has. */
static octets point_of(const EC_GROUP *group, BN_ULONG which) {
    octets out;
    EC_POINT *point = EC_POINT_new(group);
    BIGNUM *x = BN_new(), *y = BN_new(), *d = BN_new();
    CHECK(point != NULL && x != NULL && y != NULL && d != NULL && BN_set_word(d, which) == 1);
    CHECK(EC_POINT_mul(group, point, d, NULL, NULL, NULL) == 1);
    CHECK(EC_POINT_get_affine_coordinates(group, point, x, y, NULL) == 1);
    CHECK(BN_bn2binpad(x, out.x, P256_OCTETS) == P256_OCTETS);
    CHECK(BN_bn2binpad(y, out.y, P256_OCTETS) == P256_OCTETS);
    BN_free(x);
    BN_free(y);
    BN_free(d);
    EC_POINT_free(point);
    return out;
}

/* The kind of table that a key has for a batch; -1 if it has none. `valid`: it verifies something then. */
static int use(const octets *of, size_t uses, int valid) {
    const ks_public_key parameters = {{of->x, P256_OCTETS}, {of->y, P256_OCTETS}};
    void *key = ks_p256_key_open(&ks_p256_kernel_portable, &parameters, uses);
    CHECK(key != NULL && key != KS_KEY_NO_MEMORY);
    ks_p256_keys_ready(&key, 1);
    const ks_table *table = ((const p256_key *)key)->known.table;
    int kind = table == NULL ? -1 : (int)table->kind;
    if (valid) {
        ks_p256_key_proved(key);
    }
    ks_p256_key_close(key);
    return kind;
}

/* Forgers' keys may come as often as they like; a valid signature of a key seen before is one comb. */
static void check_combs_want_a_proof(const octets *holder, const octets *forger) {
    CHECK(use(holder, 1, 0) == -1 && use(forger, 1, 0) == -1);
    CHECK(use(holder, 1, 1) == -1 && use(forger, KS_COMB_USES, 0) == -1);
    CHECK(use(holder, 1, 0) == KS_COMB_TABLE && use(forger, 1, 0) == -1);
    CHECK(use(holder, 1, 0) == KS_COMB_TABLE && use(forger, 1, 0) == -1);
}

/* --- in a batch --------------------------------------------------------------------------------- */

static const uint8_t message[] = "what is signed";

/* A signature by d, whose key `out` is. */
static void sign(const EC_GROUP *group, BN_ULONG which, octets *out, uint8_t *signature) {
    EC_KEY *pair = EC_KEY_new();
    BIGNUM *d = BN_new();
    EC_POINT *point = EC_POINT_new(group);
    uint8_t digest[SHA256_DIGEST_LENGTH];
    CHECK(pair != NULL && d != NULL && point != NULL && BN_set_word(d, which) == 1);
    CHECK(EC_POINT_mul(group, point, d, NULL, NULL, NULL) == 1);
    CHECK(EC_KEY_set_group(pair, group) == 1 && EC_KEY_set_private_key(pair, d) == 1);
    CHECK(EC_KEY_set_public_key(pair, point) == 1);
    CHECK(SHA256(message, sizeof message, digest) != NULL);
    ECDSA_SIG *made = ECDSA_do_sign(digest, sizeof digest, pair);
    CHECK(made != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(made), signature, P256_OCTETS) == P256_OCTETS);
    CHECK(BN_bn2binpad(ECDSA_SIG_get0_s(made), signature + P256_OCTETS, P256_OCTETS) == P256_OCTETS);
    *out = point_of(group, which);
    ECDSA_SIG_free(made);
    EC_POINT_free(point);
    BN_free(d);
    EC_KEY_free(pair);
}

/* Verifies one signature as a batch does; the kind of table that its key had for it. */
static int verify(const octets *by, const uint8_t *signature, uint8_t expected) {
    const ks_engine *engine = &ks_es256_portable;
    const ks_public_key parameters = {{by->x, P256_OCTETS}, {by->y, P256_OCTETS}};
    const ks_verify_item item = {{message, sizeof message}, {signature, 2 * P256_OCTETS}, 0};
    uint8_t verdict = 0;
    void *worker = engine->worker_open(KS_ES256);
    void *key = engine->key_open(KS_ES256, &parameters, 1);
    CHECK(worker != NULL && key != NULL && key != KS_KEY_NO_MEMORY);
    engine->keys_ready(&key, 1);
    CHECK(engine->verify(worker, &key, &item, 1, &verdict) == KS_OK && verdict == expected);
    const ks_table *table = ((const p256_key *)key)->known.table;
    int kind = table == NULL ? -1 : (int)table->kind;
    engine->key_close(key);
    engine->worker_close(worker);
    return kind;
}

/* It is the verdict that proves a key: a holder's second signature finds a comb, and a forger's tenth none. */
static void check_verdicts_are_proofs(const EC_GROUP *group) {
    octets holder, forger;
    uint8_t good[2 * P256_OCTETS], forged[2 * P256_OCTETS];
    sign(group, 25604, &holder, good);
    sign(group, 25605, &forger, forged);
    forged[0] ^= 1;
    CHECK(verify(&holder, good, 1) == -1);
    CHECK(verify(&holder, good, 1) == KS_COMB_TABLE);
    for (int i = 0; i < 10; i++) {
        CHECK(verify(&forger, forged, 0) == -1);
    }
}

static void check_an_issuer_has_a_wide_table(const octets *issuer) {
    CHECK(use(issuer, KS_EPOCH_USES, 0) == KS_WIDE_TABLE);
    CHECK(use(issuer, 1, 0) == KS_WIDE_TABLE);
}

void test_p256_key(void) {
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    CHECK(group != NULL);
    const octets holder = point_of(group, 25601), forger = point_of(group, 25602);
    const octets issuer = point_of(group, 25603);
    check_combs_want_a_proof(&holder, &forger);
    check_an_issuer_has_a_wide_table(&issuer);
    check_verdicts_are_proofs(group);
    EC_GROUP_free(group);
}
