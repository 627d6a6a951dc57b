/*
 * How fast OpenSSL alone verifies: keys, digests and signatures are ready before the clock starts, but for
 * `_from_octets`, where they are read meanwhile.
 * Each function answers the nanoseconds of CPU time that `count` verifications took, or -1 if one failed.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* --- ECDSA: one key an item; `size` is that of a coordinate and of a digest ------------------ */

static EC_KEY *point_key(int curve, const uint8_t *xy, size_t size) {
    EC_KEY *key = EC_KEY_new_by_curve_name(curve);
    BIGNUM *x = BN_bin2bn(xy, (int)size, NULL);
    BIGNUM *y = BN_bin2bn(xy + size, (int)size, NULL);
    EC_KEY_set_public_key_affine_coordinates(key, x, y);
    BN_free(x);
    BN_free(y);
    return key;
}

static ECDSA_SIG *flat_signature(const uint8_t *rs, size_t size) {
    ECDSA_SIG *signature = ECDSA_SIG_new();
    ECDSA_SIG_set0(signature, BN_bin2bn(rs, (int)size, NULL), BN_bin2bn(rs + size, (int)size, NULL));
    return signature;
}

/* `points`: x ‖ y, `digests`, `signatures`: r ‖ s, one of each an item. */
static int64_t ecdsa_ns(int curve, size_t size, const uint8_t *points, const uint8_t *digests,
                        const uint8_t *signatures, size_t count) {
    EC_KEY **keys = calloc(count, sizeof *keys);
    ECDSA_SIG **ready = calloc(count, sizeof *ready);
    for (size_t i = 0; i < count; i++) {
        keys[i] = point_key(curve, points + 2 * size * i, size);
        ready[i] = flat_signature(signatures + 2 * size * i, size);
    }
    size_t valid = 0;
    int64_t start = now_ns();
    for (size_t i = 0; i < count; i++) {
        valid += ECDSA_do_verify(digests + size * i, (int)size, ready[i], keys[i]) == 1;
    }
    int64_t taken = now_ns() - start;
    for (size_t i = 0; i < count; i++) {
        EC_KEY_free(keys[i]);
        ECDSA_SIG_free(ready[i]);
    }
    free(keys);
    free(ready);
    return valid == count ? taken : -1;
}

int64_t floor_es256_ns(const uint8_t *points, const uint8_t *digests, const uint8_t *signatures,
                       size_t count) {
    return ecdsa_ns(NID_X9_62_prime256v1, 32, points, digests, signatures, count);
}

/*
 * What a verifier does that meets keys and messages for the first time: it hashes a message, reads a key, and
 * OpenSSL looks whether it is a point.
 */
int64_t floor_es256_from_octets_ns(const uint8_t *points, const uint8_t *messages,
                                   size_t message_size, const uint8_t *signatures, size_t count) {
    EC_KEY *key = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    EVP_MD *sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    EVP_MD_CTX *state = EVP_MD_CTX_new();
    uint8_t point[65] = {POINT_CONVERSION_UNCOMPRESSED}, digest[32];
    size_t valid = 0;
    int64_t start = now_ns();
    for (size_t i = 0; i < count; i++) {
        EVP_DigestInit_ex2(state, sha256, NULL);
        EVP_DigestUpdate(state, messages + message_size * i, message_size);
        EVP_DigestFinal_ex(state, digest, NULL);
        memcpy(point + 1, points + 64 * i, 64);
        int is_point = EC_KEY_oct2key(key, point, sizeof point, NULL) == 1;
        ECDSA_SIG *signature = flat_signature(signatures + 64 * i, 32);
        valid += is_point && ECDSA_do_verify(digest, sizeof digest, signature, key) == 1;
        ECDSA_SIG_free(signature);
    }
    int64_t taken = now_ns() - start;
    EVP_MD_CTX_free(state);
    EVP_MD_free(sha256);
    EC_KEY_free(key);
    return valid == count ? taken : -1;
}

int64_t floor_es384_ns(const uint8_t *points, const uint8_t *digests, const uint8_t *signatures,
                       size_t count) {
    return ecdsa_ns(NID_secp384r1, 48, points, digests, signatures, count);
}

/* --- RS256: one key for all, e = 65537 ------------------------------------------------------- */

static EVP_PKEY *modulus_key(const uint8_t *modulus, size_t size) {
    EVP_PKEY *key = NULL;
    BIGNUM *n = BN_bin2bn(modulus, (int)size, NULL);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n);
    OSSL_PARAM_BLD_push_uint(build, OSSL_PKEY_PARAM_RSA_E, 65537);
    OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *maker = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    EVP_PKEY_fromdata_init(maker);
    EVP_PKEY_fromdata(maker, &key, EVP_PKEY_PUBLIC_KEY, parameters);
    EVP_PKEY_CTX_free(maker);
    OSSL_PARAM_free(parameters);
    OSSL_PARAM_BLD_free(build);
    BN_free(n);
    return key;
}

/* `digests`: 32 octets, `signatures`: as long as the modulus, one of each an item. */
int64_t floor_rs256_ns(const uint8_t *modulus, size_t size, const uint8_t *digests,
                       const uint8_t *signatures, size_t count) {
    EVP_PKEY *key = modulus_key(modulus, size);
    EVP_PKEY_CTX *verifier = EVP_PKEY_CTX_new(key, NULL);
    EVP_PKEY_verify_init(verifier);
    EVP_PKEY_CTX_set_rsa_padding(verifier, RSA_PKCS1_PADDING);
    EVP_PKEY_CTX_set_signature_md(verifier, EVP_sha256());
    size_t valid = 0;
    int64_t start = now_ns();
    for (size_t i = 0; i < count; i++) {
        valid += EVP_PKEY_verify(verifier, signatures + size * i, size, digests + 32 * i, 32) == 1;
    }
    int64_t taken = now_ns() - start;
    EVP_PKEY_CTX_free(verifier);
    EVP_PKEY_free(key);
    return valid == count ? taken : -1;
}

/* --- Ed25519: one key an item; the message is hashed inside ---------------------------------- */

int64_t floor_ed25519_ns(const uint8_t *points, const uint8_t *messages, size_t message_size,
                         const uint8_t *signatures, size_t count) {
    EVP_PKEY **keys = calloc(count, sizeof *keys);
    for (size_t i = 0; i < count; i++) {
        keys[i] = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, points + 32 * i, 32);
    }
    EVP_MD_CTX *state = EVP_MD_CTX_new();
    size_t valid = 0;
    int64_t start = now_ns();
    for (size_t i = 0; i < count; i++) {
        EVP_MD_CTX_reset(state);
        EVP_DigestVerifyInit(state, NULL, NULL, NULL, keys[i]);
        valid += EVP_DigestVerify(state, signatures + 64 * i, 64, messages + message_size * i,
                                  message_size) == 1;
    }
    int64_t taken = now_ns() - start;
    EVP_MD_CTX_free(state);
    for (size_t i = 0; i < count; i++) {
        EVP_PKEY_free(keys[i]);
    }
    free(keys);
    return valid == count ? taken : -1;
}
