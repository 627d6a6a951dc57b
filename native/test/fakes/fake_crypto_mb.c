/*
 * See the header. Built four times: as it is; with FAKE_INAPPLICABLE, for no CPU at all; with
 * FAKE_INCOMPLETE, without a function; with FAKE_YES_MAN, to whom every ES384 signature is valid.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "fake_crypto_mb.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/obj_mac.h>

#include "mb/mb_library.h"

#define SIGNATURE_ERROR 8u

struct mb_rsa_method {
    int bits;
};

fake_control fake_crypto_mb;

int mbx_is_crypto_mb_applicable(uint64_t features);
const mb_rsa_method *mbx_RSA_pub65537_Method(int bits);
int mbx_RSA_Method_BufSize(const mb_rsa_method *method);
mb_status mbx_rsa_public_mb8(const uint8_t *const x[MB_LANES], uint8_t *const result[MB_LANES],
                             const uint64_t *const n[MB_LANES], int bits,
                             const mb_rsa_method *method, uint8_t *scratch);
mb_status mbx_nistp384_ecdsa_verify_mb8(const uint8_t *const r[MB_LANES],
                                        const uint8_t *const s[MB_LANES],
                                        const uint8_t *const digest[MB_LANES],
                                        const uint64_t *const x[MB_LANES],
                                        const uint64_t *const y[MB_LANES],
                                        const uint64_t *const z[MB_LANES], uint8_t *scratch);

int mbx_is_crypto_mb_applicable(uint64_t features) {
    (void)features;
#if defined(FAKE_INAPPLICABLE)
    return 0;
#else
    return 1;
#endif
}

const mb_rsa_method *mbx_RSA_pub65537_Method(int bits) {
    static const mb_rsa_method methods[] = {{1024}, {2048}, {3072}, {4096}};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        if (methods[i].bits == bits) {
            return &methods[i];
        }
    }
    return NULL;
}

int mbx_RSA_Method_BufSize(const mb_rsa_method *method) {
    return method->bits;
}

/* Little-endian words are little-endian octets on x86-64, which alone has the true library. */
static BIGNUM *number_of(const uint64_t *words, size_t count) {
    return BN_lebin2bn((const uint8_t *)words, (int)(8 * count), NULL);
}

static int raise(const uint8_t *x, uint8_t *result, const uint64_t *n, int size) {
    BN_CTX *context = BN_CTX_new();
    BIGNUM *base = BN_bin2bn(x, size, NULL), *exponent = BN_new();
    BIGNUM *modulus = number_of(n, (size_t)size / 8);
    int done = context != NULL && base != NULL && exponent != NULL && modulus != NULL &&
               BN_set_word(exponent, 65537) == 1 &&
               BN_mod_exp(base, base, exponent, modulus, context) == 1 &&
               BN_bn2binpad(base, result, size) == size;
    BN_free(modulus);
    BN_free(exponent);
    BN_free(base);
    BN_CTX_free(context);
    return done;
}

mb_status mbx_rsa_public_mb8(const uint8_t *const x[MB_LANES], uint8_t *const result[MB_LANES],
                             const uint64_t *const n[MB_LANES], int bits,
                             const mb_rsa_method *method, uint8_t *scratch) {
    mb_status status = 0;
    int lie = atomic_load(&fake_crypto_mb.lie);
    atomic_fetch_add(&fake_crypto_mb.rsa_calls, 1);
    scratch[method->bits - 1] = 0xa5; /* all of it is the library's */
    for (size_t lane = 0; lane < MB_LANES && lie != FAKE_IDLE; lane++) {
        if (!raise(x[lane], result[lane], n[lane], bits / 8) || lie == FAKE_REFUSING) {
            status |= SIGNATURE_ERROR << (4 * lane);
        }
        if (lie == FAKE_WRONG) {
            result[lane][bits / 8 - 1] ^= 1;
        }
    }
    return status;
}

#if !defined(FAKE_INCOMPLETE)
static int verifies(const uint8_t *r, const uint8_t *s, const uint8_t *digest, const uint64_t *x,
                    const uint64_t *y) {
    EC_KEY *key = EC_KEY_new_by_curve_name(NID_secp384r1);
    ECDSA_SIG *signature = ECDSA_SIG_new();
    BIGNUM *qx = number_of(x, MB_P384_WORDS), *qy = number_of(y, MB_P384_WORDS);
    int valid = key != NULL && signature != NULL && qx != NULL && qy != NULL &&
                ECDSA_SIG_set0(signature, BN_bin2bn(r, MB_P384_OCTETS, NULL),
                               BN_bin2bn(s, MB_P384_OCTETS, NULL)) == 1 &&
                EC_KEY_set_public_key_affine_coordinates(key, qx, qy) == 1 &&
                ECDSA_do_verify(digest, MB_P384_OCTETS, signature, key) == 1;
    BN_free(qy);
    BN_free(qx);
    ECDSA_SIG_free(signature);
    EC_KEY_free(key);
    return valid;
}

mb_status mbx_nistp384_ecdsa_verify_mb8(const uint8_t *const r[MB_LANES],
                                        const uint8_t *const s[MB_LANES],
                                        const uint8_t *const digest[MB_LANES],
                                        const uint64_t *const x[MB_LANES],
                                        const uint64_t *const y[MB_LANES],
                                        const uint64_t *const z[MB_LANES], uint8_t *scratch) {
    mb_status status = 0;
    int lie = atomic_load(&fake_crypto_mb.lie);
    (void)z;
    (void)scratch;
    atomic_fetch_add(&fake_crypto_mb.es384_calls, 1);
#if defined(FAKE_YES_MAN)
    lie = FAKE_WRONG;
#endif
    if (lie == FAKE_WRONG || lie == FAKE_IDLE) {
        return 0;
    }
    for (size_t lane = 0; lane < MB_LANES; lane++) {
        if (lie == FAKE_REFUSING || !verifies(r[lane], s[lane], digest[lane], x[lane], y[lane])) {
            status |= SIGNATURE_ERROR << (4 * lane);
        }
    }
    return status;
}
#endif
