/* The encodings of RFC 8017 §9: what OpenSSL encodes is taken, and nothing with another octet. */
#include <openssl/bn.h>
#include <string.h>

#include "check.h"
#include "mb/mb_emsa.h"
#include "mb_signers.h"

/* The encoded message: the signature raised to the public exponent. */
static void encoding_of(const signer *by, const signed_item *item, uint8_t *encoded) {
    int size = (int)by->parameters.first.size;
    BN_CTX *context = BN_CTX_new();
    BIGNUM *s = BN_bin2bn(item->signature, size, NULL);
    BIGNUM *n = BN_bin2bn(by->first, size, NULL);
    BIGNUM *e = BN_bin2bn(by->second, (int)by->parameters.second.size, NULL);
    CHECK(BN_mod_exp(s, s, e, n, context) == 1 && BN_bn2binpad(s, encoded, size) == size);
    BN_free(e);
    BN_free(n);
    BN_free(s);
    BN_CTX_free(context);
}

static int is_right(ks_digest *sha256, ks_algorithm algorithm, const uint8_t *encoded, size_t size,
                    const uint8_t *digest) {
    return algorithm == KS_RS256 ? ks_mb_emsa_is_pkcs1(encoded, size, digest)
                                 : ks_mb_emsa_is_pss(sha256, encoded, size, digest);
}

static void check_encoding(const signer *by, unsigned bits) {
    ks_algorithm algorithm = by->algorithm;
    uint8_t encoded[SIGNER_MOST_OCTETS], digest[EVP_MAX_MD_SIZE];
    unsigned written = 0;
    size_t size = bits / 8;
    signed_item item;
    ks_digest sha256;
    CHECK(ks_digest_open(&sha256, "SHA256"));
    signer_sign(by, bits, &item);
    encoding_of(by, &item, encoded);
    CHECK(ks_digest_compute(&sha256, item.item.message, digest, &written));
    CHECK(is_right(&sha256, algorithm, encoded, size, digest));
    for (size_t at = 0; at < size; at++) {
        for (unsigned bit = 0; bit < 8; bit += at < 2 || at + 68 > size ? 1 : 7) {
            encoded[at] ^= (uint8_t)(1u << bit);
            CHECK(!is_right(&sha256, algorithm, encoded, size, digest));
            encoded[at] ^= (uint8_t)(1u << bit);
        }
    }
    for (size_t at = 0; at < MB_SHA256_OCTETS; at++) {
        digest[at] ^= 1;
        CHECK(!is_right(&sha256, algorithm, encoded, size, digest));
        digest[at] ^= 1;
    }
    CHECK(!is_right(&sha256, algorithm, encoded, size - 1, digest));
    CHECK(!is_right(&sha256, algorithm, encoded + 1, size - 1, digest));
    CHECK(!is_right(&sha256, algorithm, encoded, 0, digest));
    CHECK(!is_right(&sha256, algorithm, encoded, MB_MOST_MODULUS_OCTETS + 1, digest));
    for (int salt = 0; algorithm == KS_PS256 && salt <= 64; salt += 8) {
        signer_sign_salted(by, bits, salt, &item);
        encoding_of(by, &item, encoded);
        CHECK(is_right(&sha256, algorithm, encoded, size, digest) == (salt == 32));
    }
    ks_digest_close(&sha256);
}

void test_mb_emsa(void) {
    for (unsigned bits = 2048; bits <= 4096; bits += 2048) {
        signer by;
        signer_open(&by, KS_RS256, bits, 65537);
        check_encoding(&by, bits);
        by.algorithm = KS_PS256;
        check_encoding(&by, bits);
        signer_close(&by);
    }
}
