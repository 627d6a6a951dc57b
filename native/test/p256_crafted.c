#define OPENSSL_SUPPRESS_DEPRECATED

#include "p256_crafted.h"

#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/obj_mac.h>
#include <string.h>

#include "check.h"

static EC_GROUP *group;
static BN_CTX *scratch;
static const BIGNUM *n;

void crafting_open(void) {
    group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    scratch = BN_CTX_new();
    CHECK(group != NULL && scratch != NULL);
    n = EC_GROUP_get0_order(group);
}

void crafting_close(void) {
    EC_GROUP_free(group);
    BN_CTX_free(scratch);
}

/* --- numbers modulo n --------------------------------------------------------------------------- */

static BIGNUM *number(void) {
    BIGNUM *made = BN_new();
    CHECK(made != NULL);
    return made;
}

BIGNUM *scalar_word(int64_t word) {
    BIGNUM *out = number();
    CHECK(BN_set_word(out, (BN_ULONG)(word < 0 ? -word : word)) == 1);
    BN_set_negative(out, word < 0);
    CHECK(BN_nnmod(out, out, n, scratch) == 1);
    return out;
}
BIGNUM *scalar_any(void) {
    BIGNUM *out = number();
    do {
        CHECK(BN_rand_range(out, n) == 1);
    } while (BN_is_zero(out));
    return out;
}
BIGNUM *scalar_sum(const BIGNUM *a, const BIGNUM *b) {
    BIGNUM *out = number();
    CHECK(BN_mod_add(out, a, b, n, scratch) == 1);
    return out;
}
BIGNUM *scalar_difference(const BIGNUM *a, const BIGNUM *b) {
    BIGNUM *out = number();
    CHECK(BN_mod_sub(out, a, b, n, scratch) == 1);
    return out;
}
BIGNUM *scalar_product(const BIGNUM *a, const BIGNUM *b) {
    BIGNUM *out = number();
    CHECK(BN_mod_mul(out, a, b, n, scratch) == 1);
    return out;
}
BIGNUM *scalar_quotient(const BIGNUM *a, const BIGNUM *b) {
    BIGNUM *inverse = BN_mod_inverse(NULL, b, n, scratch);
    CHECK(inverse != NULL);
    BIGNUM *out = scalar_product(a, inverse);
    BN_free(inverse);
    return out;
}

/* --- signatures --------------------------------------------------------------------------------- */

static void words_write(uint64_t words[P256_WORDS], const BIGNUM *from) {
    uint8_t octets[P256_OCTETS];
    CHECK(BN_bn2binpad(from, octets, sizeof octets) == sizeof octets);
    p256_words_read(words, octets);
}

static BIGNUM *words_number(const uint64_t words[P256_WORDS]) {
    uint8_t octets[P256_OCTETS];
    for (int i = 0; i < P256_OCTETS; i++) {
        octets[i] = (uint8_t)(words[P256_WORDS - 1 - i / 8] >> (56 - 8 * (i % 8)));
    }
    BIGNUM *out = BN_bin2bn(octets, sizeof octets, NULL);
    CHECK(out != NULL);
    return out;
}

static void point_write(p256_entry *entry, const EC_POINT *point) {
    uint8_t octets[1 + 2 * P256_OCTETS];
    CHECK(EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, octets, sizeof octets,
                             scratch) == sizeof octets);
    CHECK(ks_p256_point_read(entry, octets + 1, octets + 1 + P256_OCTETS));
}

static int openssl_verifies(const p256_signature *signature, const EC_POINT *point) {
    uint8_t digest[P256_OCTETS];
    BIGNUM *e = words_number(signature->digest);
    ECDSA_SIG *both = ECDSA_SIG_new();
    EC_KEY *key = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
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
    p256_signature *alone = &out.signature;
    ks_p256_multipliers(&alone, 1);
    BN_free(digest);
    BN_free(s);
    return out;
}

crafted craft(const BIGNUM *u1, const BIGNUM *u2, const BIGNUM *d) {
    EC_POINT *q = EC_POINT_new(group), *sum = EC_POINT_new(group);
    BIGNUM *r = number();
    CHECK(q != NULL && sum != NULL && EC_POINT_mul(group, q, d, NULL, NULL, scratch) == 1);
    CHECK(EC_POINT_mul(group, sum, u1, q, u2, scratch) == 1);
    if (EC_POINT_is_at_infinity(group, sum)) {
        CHECK(BN_one(r) == 1);
    } else {
        CHECK(EC_POINT_get_affine_coordinates(group, sum, r, NULL, scratch) == 1);
        CHECK(BN_nnmod(r, r, n, scratch) == 1);
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

crafted craft_words(uint64_t u1, uint64_t u2, uint64_t d) {
    return craft_and_free(scalar_word((int64_t)u1), scalar_word((int64_t)u2),
                          scalar_word((int64_t)d));
}

crafted craft_any(void) {
    return craft_and_free(scalar_any(), scalar_any(), scalar_any());
}

/* R first: x from n on until one is on the curve; then Q = (R - u1 G) / u2, of nobody knows which d. */
crafted craft_with_x_above_the_order(void) {
    EC_POINT *q = EC_POINT_new(group), *sum = EC_POINT_new(group);
    BIGNUM *x = BN_dup(n), *one = scalar_word(1), *u1 = scalar_any(), *u2 = scalar_any();
    CHECK(q != NULL && sum != NULL && x != NULL);
    do {
        CHECK(BN_add_word(x, 1) == 1);
    } while (EC_POINT_set_compressed_coordinates(group, sum, x, 0, scratch) != 1);
    BIGNUM *share = scalar_quotient(one, u2), *minus = scalar_product(u1, share), *r = number();
    CHECK(BN_sub(minus, n, minus) == 1 && BN_sub(r, x, n) == 1);
    CHECK(EC_POINT_mul(group, q, minus, sum, share, scratch) == 1);
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

int crafted_raise_digest(crafted *of) {
    BIGNUM *digest = words_number(of->signature.digest);
    CHECK(BN_add(digest, digest, n) == 1);
    int fits = BN_num_bits(digest) <= 256;
    if (fits) {
        words_write(of->signature.digest, digest);
        p256_signature *alone = &of->signature;
        ks_p256_multipliers(&alone, 1);
    }
    BN_free(digest);
    return fits;
}
