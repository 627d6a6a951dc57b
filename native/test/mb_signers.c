#include "mb_signers.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/rsa.h>
#include <string.h>

#include "check.h"

static ks_view number_read(EVP_PKEY *key, const char *name, size_t width, uint8_t *into) {
    BIGNUM *number = NULL;
    CHECK(EVP_PKEY_get_bn_param(key, name, &number) == 1);
    size_t size = width != 0 ? width : (size_t)BN_num_bytes(number);
    CHECK(size <= SIGNER_MOST_OCTETS && BN_bn2binpad(number, into, (int)size) >= 0);
    BN_free(number);
    return (ks_view){into, size};
}

static EVP_PKEY *rsa_make(unsigned bits, unsigned long exponent) {
    EVP_PKEY *key = NULL;
    BIGNUM *e = BN_new();
    EVP_PKEY_CTX *maker = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    CHECK(e != NULL && BN_set_word(e, exponent) == 1 && EVP_PKEY_keygen_init(maker) == 1);
    CHECK(EVP_PKEY_CTX_set_rsa_keygen_bits(maker, (int)bits) == 1);
    CHECK(EVP_PKEY_CTX_set1_rsa_keygen_pubexp(maker, e) == 1);
    CHECK(EVP_PKEY_generate(maker, &key) == 1);
    EVP_PKEY_CTX_free(maker);
    BN_free(e);
    return key;
}

void signer_open(signer *self, ks_algorithm algorithm, unsigned bits, unsigned long exponent) {
    self->algorithm = algorithm;
    if (algorithm == KS_ES384) {
        self->key = EVP_EC_gen("P-384");
        CHECK(self->key != NULL);
        self->parameters.first = number_read(self->key, OSSL_PKEY_PARAM_EC_PUB_X, 48, self->first);
        self->parameters.second =
            number_read(self->key, OSSL_PKEY_PARAM_EC_PUB_Y, 48, self->second);
    } else {
        self->key = rsa_make(bits, exponent);
        self->parameters.first = number_read(self->key, OSSL_PKEY_PARAM_RSA_N, 0, self->first);
        self->parameters.second = number_read(self->key, OSSL_PKEY_PARAM_RSA_E, 0, self->second);
    }
}

void signer_close(signer *self) {
    EVP_PKEY_free(self->key);
}

/* DER to r ‖ s. */
static size_t signature_flatten(uint8_t *signature, size_t size) {
    const uint8_t *at = signature;
    ECDSA_SIG *parsed = d2i_ECDSA_SIG(NULL, &at, (long)size);
    CHECK(parsed != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(parsed), signature, 48) == 48);
    CHECK(BN_bn2binpad(ECDSA_SIG_get0_s(parsed), signature + 48, 48) == 48);
    ECDSA_SIG_free(parsed);
    return 96;
}

void signer_sign_salted(const signer *self, uint64_t counter, int salt, signed_item *into) {
    size_t size = sizeof into->signature;
    EVP_PKEY_CTX *settings = NULL;
    EVP_MD_CTX *state = EVP_MD_CTX_new();
    const char *digest = self->algorithm == KS_ES384 ? "SHA384" : "SHA256";
    memcpy(into->message, &counter, sizeof counter);
    CHECK(EVP_DigestSignInit_ex(state, &settings, digest, NULL, NULL, self->key, NULL) == 1);
    if (self->algorithm == KS_PS256) {
        CHECK(EVP_PKEY_CTX_set_rsa_padding(settings, RSA_PKCS1_PSS_PADDING) == 1);
        CHECK(EVP_PKEY_CTX_set_rsa_pss_saltlen(settings, salt) == 1);
    }
    CHECK(EVP_DigestSign(state, into->signature, &size, into->message, sizeof into->message) == 1);
    EVP_MD_CTX_free(state);
    if (self->algorithm == KS_ES384) {
        size = signature_flatten(into->signature, size);
    }
    into->item = (ks_verify_item){{into->message, sizeof into->message}, {into->signature, size}, 0};
}

void signer_sign(const signer *self, uint64_t counter, signed_item *into) {
    signer_sign_salted(self, counter, 32, into);
}
