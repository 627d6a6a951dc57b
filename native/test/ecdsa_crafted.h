/*
 * Signatures with multipliers of our choice. Who knows d may pick u1 and u2 first: with Q = d G and
 * R = u1 G + u2 Q, the numbers r = x(R), s = r / u2 and digest = u1 s are a valid signature.
 *
 * For one curve a program file: p256_crafted.h and p384_crafted.h define what is the curve's.
 */
#ifndef ECDSA_CRAFTED_H
#define ECDSA_CRAFTED_H

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/obj_mac.h>
#include <string.h>

#include "check.h"

typedef struct crafted {
    curve_signature signature; /* with u1 and u2 ready */
    curve_entry point;
    int valid; /* by OpenSSL */
} crafted;

/* A key of which tables of one kind were built: many checks in a row have it in common. */
typedef struct last_key {
    int known;
    int kind;
    curve_entry point;
} last_key;

/* Whether tables of that kind are still to be built of `point`; from here on it is the last one. */
static inline int is_another_key(last_key *last, int kind, const curve_entry *point) {
    if (last->known && last->kind == kind && memcmp(&last->point, point, sizeof *point) == 0) {
        return 0;
    }
    *last = (last_key){.known = 1, .kind = kind, .point = *point};
    return 1;
}

static EC_GROUP *group;
static BN_CTX *bn_scratch;
static const BIGNUM *n;

static void crafting_open(void) {
    group = EC_GROUP_new_by_curve_name(CURVE_NID);
    bn_scratch = BN_CTX_new();
    CHECK(group != NULL && bn_scratch != NULL);
    n = EC_GROUP_get0_order(group);
}

static void crafting_close(void) {
    EC_GROUP_free(group);
    BN_CTX_free(bn_scratch);
}

/* --- numbers modulo n, to be freed by the caller ------------------------------------------------ */

static BIGNUM *number(void) {
    BIGNUM *made = BN_new();
    CHECK(made != NULL);
    return made;
}

/* Negative words stand for n less them. */
static BIGNUM *scalar_word(int64_t word) {
    BIGNUM *out = number();
    CHECK(BN_set_word(out, (BN_ULONG)(word < 0 ? -word : word)) == 1);
    BN_set_negative(out, word < 0);
    CHECK(BN_nnmod(out, out, n, bn_scratch) == 1);
    return out;
}
static BIGNUM *scalar_any(void) {
    BIGNUM *out = number();
    do {
        CHECK(BN_rand_range(out, n) == 1);
    } while (BN_is_zero(out));
    return out;
}
static BIGNUM *scalar_sum(const BIGNUM *a, const BIGNUM *b) {
    BIGNUM *out = number();
    CHECK(BN_mod_add(out, a, b, n, bn_scratch) == 1);
    return out;
}
static BIGNUM *scalar_difference(const BIGNUM *a, const BIGNUM *b) {
    BIGNUM *out = number();
    CHECK(BN_mod_sub(out, a, b, n, bn_scratch) == 1);
    return out;
}
static BIGNUM *scalar_product(const BIGNUM *a, const BIGNUM *b) {
    BIGNUM *out = number();
    CHECK(BN_mod_mul(out, a, b, n, bn_scratch) == 1);
    return out;
}
static BIGNUM *scalar_quotient(const BIGNUM *a, const BIGNUM *b) {
    BIGNUM *inverse = BN_mod_inverse(NULL, b, n, bn_scratch);
    CHECK(inverse != NULL);
    BIGNUM *out = scalar_product(a, inverse);
    BN_free(inverse);
    return out;
}

/* --- signatures --------------------------------------------------------------------------------- */

static void words_write(uint64_t words[CURVE_WORDS], const BIGNUM *from) {
    uint8_t octets[CURVE_OCTETS];
    CHECK(BN_bn2binpad(from, octets, sizeof octets) == sizeof octets);
    ks_words_read(words, octets, CURVE_WORDS);
}

static BIGNUM *words_number(const uint64_t words[CURVE_WORDS]) {
    uint8_t octets[CURVE_OCTETS];
    for (int i = 0; i < CURVE_OCTETS; i++) {
        octets[i] = (uint8_t)(words[CURVE_WORDS - 1 - i / 8] >> (56 - 8 * (i % 8)));
    }
    BIGNUM *out = BN_bin2bn(octets, sizeof octets, NULL);
    CHECK(out != NULL);
    return out;
}

static void point_write(curve_entry *entry, const EC_POINT *point) {
    uint8_t octets[1 + 2 * CURVE_OCTETS];
    CHECK(EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, octets, sizeof octets,
                             bn_scratch) == sizeof octets);
    CHECK(curve_point_read(entry, octets + 1, octets + 1 + CURVE_OCTETS));
}

static int openssl_verifies(const curve_signature *signature, const EC_POINT *point) {
    uint8_t digest[CURVE_OCTETS];
    BIGNUM *e = words_number(signature->digest);
    ECDSA_SIG *both = ECDSA_SIG_new();
    EC_KEY *key = EC_KEY_new_by_curve_name(CURVE_NID);
    CHECK(both != NULL && key != NULL && EC_KEY_set_public_key(key, point) == 1);
    CHECK(BN_bn2binpad(e, digest, sizeof digest) == sizeof digest);
    CHECK(ECDSA_SIG_set0(both, words_number(signature->r), words_number(signature->s)) == 1);
    int valid = ECDSA_do_verify(digest, sizeof digest, both, key) == 1;
    EC_KEY_free(key);
    ECDSA_SIG_free(both);
    BN_free(e);
    return valid;
}

/* The signature with this r under the key at `point`. */
static crafted crafted_of(const BIGNUM *u1, const BIGNUM *u2, const BIGNUM *r,
                          const EC_POINT *point) {
    crafted out;
    memset(&out, 0, sizeof out);
    BIGNUM *s = scalar_quotient(r, u2), *digest = scalar_product(u1, s);
    words_write(out.signature.r, r);
    words_write(out.signature.s, s);
    words_write(out.signature.digest, digest);
    point_write(&out.point, point);
    out.valid = openssl_verifies(&out.signature, point);
    curve_signature *alone = &out.signature;
    curve_multipliers(&alone, 1);
    BN_free(digest);
    BN_free(s);
    return out;
}

/* From u1, u2 and d; where R is the point at infinity, r is 1 and the signature not valid. */
static crafted craft(const BIGNUM *u1, const BIGNUM *u2, const BIGNUM *d) {
    EC_POINT *q = EC_POINT_new(group), *sum = EC_POINT_new(group);
    BIGNUM *r = number();
    CHECK(q != NULL && sum != NULL && EC_POINT_mul(group, q, d, NULL, NULL, bn_scratch) == 1);
    CHECK(EC_POINT_mul(group, sum, u1, q, u2, bn_scratch) == 1);
    if (EC_POINT_is_at_infinity(group, sum)) {
        CHECK(BN_one(r) == 1);
    } else {
        CHECK(EC_POINT_get_affine_coordinates(group, sum, r, NULL, bn_scratch) == 1);
        CHECK(BN_nnmod(r, r, n, bn_scratch) == 1);
    }
    crafted out = crafted_of(u1, u2, r, q);
    CHECK(out.valid == !EC_POINT_is_at_infinity(group, sum));
    BN_free(r);
    EC_POINT_free(sum);
    EC_POINT_free(q);
    return out;
}

static crafted craft_and_free(BIGNUM *u1, BIGNUM *u2, BIGNUM *d) {
    crafted out = craft(u1, u2, d);
    BN_free(u1);
    BN_free(u2);
    BN_free(d);
    return out;
}

static crafted craft_words(uint64_t u1, uint64_t u2, uint64_t d) {
    return craft_and_free(scalar_word((int64_t)u1), scalar_word((int64_t)u2),
                          scalar_word((int64_t)d));
}

static crafted craft_any(void) {
    return craft_and_free(scalar_any(), scalar_any(), scalar_any());
}

/* A valid signature whose R has an x that n is subtracted from: r + n is its x.
 * R first: x from n on until one is on the curve; then Q = (R - u1 G) / u2, of nobody knows which d. */
static crafted craft_with_x_above_the_order(void) {
    EC_POINT *q = EC_POINT_new(group), *sum = EC_POINT_new(group);
    BIGNUM *x = BN_dup(n), *one = scalar_word(1), *u1 = scalar_any(), *u2 = scalar_any();
    CHECK(q != NULL && sum != NULL && x != NULL);
    do {
        CHECK(BN_add_word(x, 1) == 1);
    } while (EC_POINT_set_compressed_coordinates(group, sum, x, 0, bn_scratch) != 1);
    BIGNUM *share = scalar_quotient(one, u2), *minus = scalar_product(u1, share), *r = number();
    CHECK(BN_sub(minus, n, minus) == 1 && BN_sub(r, x, n) == 1);
    CHECK(EC_POINT_mul(group, q, minus, sum, share, bn_scratch) == 1);
    crafted out = crafted_of(u1, u2, r, q);
    CHECK(out.valid);
    BIGNUM *all[] = {x, one, u1, u2, share, minus, r};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        BN_free(all[i]);
    }
    EC_POINT_free(sum);
    EC_POINT_free(q);
    return out;
}

/* Not valid, and nearly so: r + n is x, but only modulo p. Who tries r + n for any r finds it valid. */
static crafted craft_with_x_past_the_prime(void) {
    EC_POINT *q = EC_POINT_new(group), *sum = EC_POINT_new(group);
    BIGNUM *p = number(), *r = number(), *u1 = scalar_any(), *u2 = scalar_any(), *d = scalar_any();
    CHECK(q != NULL && sum != NULL && EC_GROUP_get_curve(group, p, NULL, NULL, bn_scratch) == 1);
    CHECK(EC_POINT_mul(group, q, d, NULL, NULL, bn_scratch) == 1);
    CHECK(EC_POINT_mul(group, sum, u1, q, u2, bn_scratch) == 1);
    CHECK(EC_POINT_get_affine_coordinates(group, sum, r, NULL, bn_scratch) == 1);
    CHECK(BN_sub(p, p, n) == 1 && BN_add(r, r, p) == 1);
    CHECK(BN_cmp(r, n) < 0); /* but for one x in 2^128, since p - n is short */
    crafted out = crafted_of(u1, u2, r, q);
    CHECK(!out.valid);
    BIGNUM *all[] = {p, r, u1, u2, d};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        BN_free(all[i]);
    }
    EC_POINT_free(sum);
    EC_POINT_free(q);
    return out;
}

/* The same signature with digest + n, which is the same digest; 0 if that does not fit the octets. */
static int crafted_raise_digest(crafted *of) {
    BIGNUM *digest = words_number(of->signature.digest);
    CHECK(BN_add(digest, digest, n) == 1);
    int fits = BN_num_bytes(digest) <= CURVE_OCTETS;
    if (fits) {
        words_write(of->signature.digest, digest);
        curve_signature *alone = &of->signature;
        curve_multipliers(&alone, 1);
    }
    BN_free(digest);
    return fits;
}

#endif
