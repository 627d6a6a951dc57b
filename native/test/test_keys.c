/* Which keys the engines take: a refused one cannot be told from a bad signature in a verdict. */
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>
#include <string.h>

#include "check.h"
#include "ks_engine.h"

static int opens(const ks_engine *engine, ks_algorithm algorithm, ks_view first, ks_view second) {
    void *key = engine->key_open(algorithm, &(ks_public_key){first, second}, 1);
    engine->key_close(key);
    return key != NULL;
}

/* --- EC ------------------------------------------------------------------------------------- */

#define MOST_FIELD_BYTES 66

typedef struct point {
    uint8_t x[MOST_FIELD_BYTES + 1]; /* one octet more, to be offered as part of a longer x */
    uint8_t y[MOST_FIELD_BYTES + 1];
    size_t size;
} point;

static int point_opens(const ks_engine *engine, ks_algorithm algorithm, const point *at) {
    return opens(engine, algorithm, (ks_view){at->x, at->size},
                 (ks_view){at->y, at->size});
}

static point point_of(const BIGNUM *x, const BIGNUM *y, int size) {
    point at = {.size = (size_t)size};
    CHECK(BN_bn2binpad(x, at.x, size) == size && BN_bn2binpad(y, at.y, size) == size);
    return at;
}

/* The point with the smallest x, for which x + p still fits the field's octets. */
static void smallest_point(const EC_GROUP *group, BIGNUM *x, BIGNUM *y) {
    EC_POINT *found = EC_POINT_new(group);
    CHECK(found != NULL && BN_set_word(x, 1) == 1);
    while (EC_POINT_set_compressed_coordinates(group, found, x, 0, NULL) != 1) {
        CHECK(BN_add_word(x, 1) == 1);
    }
    CHECK(EC_POINT_get_affine_coordinates(group, found, x, y, NULL) == 1);
    EC_POINT_free(found);
}

static void check_curve(const ks_engine *engine, ks_algorithm algorithm, int nid, int size) {
    EC_GROUP *group = EC_GROUP_new_by_curve_name(nid);
    BIGNUM *x = BN_new(), *y = BN_new(), *p = BN_new(), *raised = BN_new();
    CHECK(group != NULL && x != NULL && y != NULL && p != NULL && raised != NULL);
    smallest_point(group, x, y);
    CHECK(EC_GROUP_get_curve(group, p, NULL, NULL, NULL) == 1);

    point at = point_of(x, y, size);
    CHECK(point_opens(engine, algorithm, &at));
    at.y[size - 1] ^= 1;
    CHECK(!point_opens(engine, algorithm, &at)); /* not on the curve */
    at.y[size - 1] ^= 1;
    const ks_view x_octets = {at.x, at.size}, y_octets = {at.y, at.size};
    CHECK(!opens(engine, algorithm, x_octets, (ks_view){at.y, at.size + 1}));
    CHECK(!opens(engine, algorithm, (ks_view){at.x, at.size + 1}, y_octets));

    CHECK(BN_add(raised, x, p) == 1);
    at = point_of(raised, y, size);
    CHECK(!point_opens(engine, algorithm, &at)); /* the same x modulo p, in another spelling */
    BN_zero(x);
    BN_zero(y);
    at = point_of(x, y, size);
    CHECK(!point_opens(engine, algorithm, &at));

    BN_free(raised);
    BN_free(p);
    BN_free(y);
    BN_free(x);
    EC_GROUP_free(group);
}

/* --- RSA ------------------------------------------------------------------------------------ */

static uint8_t modulus[KS_MAX_RSA_BITS / 8 + 1];
static const uint8_t f4[] = {1, 0, 1};

/* A modulus of exactly `bits` bits; no key is built from its factors, so it needs none. */
static ks_view modulus_of(int bits) {
    size_t size = ((size_t)bits + 7) / 8;
    memset(modulus, 0xa5, sizeof modulus);
    modulus[0] = (uint8_t)(1u << ((bits - 1) % 8));
    modulus[size - 1] = 0xa5;
    return (ks_view){modulus, size};
}

static int rsa_opens(ks_view n, ks_view e) {
    return opens(&ks_rsa_openssl, KS_RS256, n, e);
}

static void check_moduli(void) {
    const ks_view e = {f4, sizeof f4};
    CHECK(!rsa_opens(modulus_of(KS_MIN_RSA_BITS - 1), e));
    CHECK(rsa_opens(modulus_of(KS_MIN_RSA_BITS), e));
    CHECK(rsa_opens(modulus_of(KS_MIN_RSA_BITS + 1), e));
    CHECK(rsa_opens(modulus_of(KS_MAX_RSA_BITS), e));
    CHECK(!rsa_opens(modulus_of(KS_MAX_RSA_BITS + 1), e));
    ks_view even = modulus_of(KS_MIN_RSA_BITS);
    modulus[even.size - 1] ^= 1;
    CHECK(!rsa_opens(even, e));
    ks_view padded = modulus_of(KS_MIN_RSA_BITS + 1);
    modulus[0] = 0;
    modulus[1] = 0x80;
    CHECK(!rsa_opens(padded, e));
    CHECK(rsa_opens((ks_view){padded.data + 1, padded.size - 1}, e));
}

static void check_exponents(void) {
    static const struct {
        uint8_t octets[5];
        size_t size;
        int suits;
    } exponents[] = {
        {{3}, 1, 0},
        {{0xff, 0xff}, 2, 0},
        {{1, 0, 0}, 3, 0},
        {{1, 0, 1}, 3, 1},
        {{1, 0, 2}, 3, 0},
        {{1, 0, 3}, 3, 1},
        {{0, 1, 0, 1}, 4, 0},
        {{0xff, 0xff, 0xff, 0xff}, 4, 1},
        {{1, 0, 0, 0, 1}, 5, 0},
        {{0}, 0, 0},
    };
    ks_view n = modulus_of(KS_MIN_RSA_BITS);
    for (size_t i = 0; i < sizeof exponents / sizeof exponents[0]; i++) {
        CHECK(rsa_opens(n, (ks_view){exponents[i].octets, exponents[i].size}) ==
              exponents[i].suits);
    }
}

void test_keys(void) {
    check_curve(&ks_ecdsa_openssl, KS_ES256, NID_X9_62_prime256v1, 32);
    check_curve(&ks_es256_portable, KS_ES256, NID_X9_62_prime256v1, 32);
#if defined(__x86_64__)
    check_curve(&ks_es256_ifma, KS_ES256, NID_X9_62_prime256v1, 32);
#endif
    check_curve(&ks_ecdsa_openssl, KS_ES384, NID_secp384r1, 48);
    check_curve(&ks_es384_portable, KS_ES384, NID_secp384r1, 48);
    check_curve(&ks_ecdsa_openssl, KS_ES512, NID_secp521r1, 66);
    check_moduli();
    check_exponents();
}
