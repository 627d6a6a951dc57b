/* ks_verify_batch against signatures that OpenSSL makes here. */
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <string.h>

#include "check.h"
#include "ks_engine.h"
#include "ks_verify.h"

#define KEY_BYTES 1024u
#define SIGNATURE_BYTES 1024u
#define COUNT 70u /* two runs of items and a bit */

typedef struct algorithm_case {
    ks_algorithm algorithm;
    const char *type;
    const char *curve;
    const char *digest;
    size_t field_bytes; /* of ECDSA */
} algorithm_case;

static const algorithm_case cases[] = {
    {KS_ES256, "EC", "P-256", "SHA256", 32}, {KS_ES384, "EC", "P-384", "SHA384", 48},
    {KS_ES512, "EC", "P-521", "SHA512", 66}, {KS_ED25519, "ED25519", NULL, NULL, 0},
    {KS_RS256, "RSA", NULL, "SHA256", 0},    {KS_PS256, "RSA", NULL, "SHA256", 0},
};
#define CASE_COUNT (sizeof cases / sizeof cases[0])

/* A key pair, its public half as ks_public_key wants it, and one signature of `message`. */
typedef struct signer {
    EVP_PKEY *key;
    uint8_t first[KEY_BYTES];
    uint8_t second[KEY_BYTES];
    ks_public_key parameters;
    uint8_t signature[SIGNATURE_BYTES];
    ks_verify_item item;
} signer;

static const uint8_t message[] = "eyJhbGciOiJFUzI1NiJ9.e30";

static ks_view number_read(EVP_PKEY *key, const char *name, size_t width, uint8_t *into) {
    BIGNUM *number = NULL;
    CHECK(EVP_PKEY_get_bn_param(key, name, &number) == 1);
    size_t size = width != 0 ? width : (size_t)BN_num_bytes(number);
    CHECK(size <= KEY_BYTES && BN_bn2binpad(number, into, (int)size) >= 0);
    BN_free(number);
    return (ks_view){into, size};
}

static void key_read(signer *self, const algorithm_case *of) {
    if (of->field_bytes != 0) {
        self->parameters.first =
            number_read(self->key, OSSL_PKEY_PARAM_EC_PUB_X, of->field_bytes, self->first);
        self->parameters.second =
            number_read(self->key, OSSL_PKEY_PARAM_EC_PUB_Y, of->field_bytes, self->second);
    } else if (of->algorithm == KS_ED25519) {
        size_t size = KEY_BYTES;
        CHECK(EVP_PKEY_get_raw_public_key(self->key, self->first, &size) == 1);
        self->parameters = (ks_public_key){.first = {self->first, size}};
    } else {
        self->parameters.first = number_read(self->key, OSSL_PKEY_PARAM_RSA_N, 0, self->first);
        self->parameters.second = number_read(self->key, OSSL_PKEY_PARAM_RSA_E, 0, self->second);
    }
}

/* DER to r ‖ s. */
static size_t signature_flatten(uint8_t *signature, size_t size, size_t field_bytes) {
    const uint8_t *at = signature;
    ECDSA_SIG *parsed = d2i_ECDSA_SIG(NULL, &at, (long)size);
    CHECK(parsed != NULL);
    CHECK(BN_bn2binpad(ECDSA_SIG_get0_r(parsed), signature, (int)field_bytes) >= 0);
    CHECK(BN_bn2binpad(ECDSA_SIG_get0_s(parsed), signature + field_bytes, (int)field_bytes) >= 0);
    ECDSA_SIG_free(parsed);
    return 2 * field_bytes;
}

static void message_sign(signer *self, const algorithm_case *of) {
    size_t size = SIGNATURE_BYTES;
    EVP_PKEY_CTX *settings = NULL;
    EVP_MD_CTX *state = EVP_MD_CTX_new();
    CHECK(EVP_DigestSignInit_ex(state, &settings, of->digest, NULL, NULL, self->key, NULL) == 1);
    if (of->algorithm == KS_PS256) {
        CHECK(EVP_PKEY_CTX_set_rsa_padding(settings, RSA_PKCS1_PSS_PADDING) == 1);
        CHECK(EVP_PKEY_CTX_set_rsa_pss_saltlen(settings, RSA_PSS_SALTLEN_DIGEST) == 1);
    }
    CHECK(EVP_DigestSign(state, self->signature, &size, message, sizeof message) == 1);
    EVP_MD_CTX_free(state);
    if (of->field_bytes != 0) {
        size = signature_flatten(self->signature, size, of->field_bytes);
    }
    self->item = (ks_verify_item){{message, sizeof message}, {self->signature, size}, 0};
}

static void signer_open(signer *self, const algorithm_case *of) {
    if (of->curve != NULL) {
        self->key = EVP_EC_gen(of->curve);
    } else if (of->digest != NULL) {
        self->key = EVP_RSA_gen(2048);
    } else {
        self->key = EVP_PKEY_Q_keygen(NULL, NULL, of->type);
    }
    CHECK(self->key != NULL);
    key_read(self, of);
    message_sign(self, of);
}

static int verdict_of(const algorithm_case *of, const ks_public_key *key, ks_verify_item item) {
    uint8_t verdict = 7;
    CHECK(ks_verify_batch(of->algorithm, key, 1, &item, 1, 1, &verdict) == KS_OK);
    CHECK(verdict <= 1);
    CHECK(ERR_peek_error() == 0); /* leaves nothing for the thread's next user of OpenSSL */
    return verdict;
}

/* A copy of `from` that ends where the allocation ends, so that ASan sees one octet too many. */
static ks_view exact_copy(ks_view from, size_t size) {
    uint8_t *copy = malloc(size == 0 ? 1 : size);
    CHECK(copy != NULL);
    memset(copy, 0, size == 0 ? 1 : size);
    memcpy(copy, from.data, size < from.size ? size : from.size);
    return (ks_view){copy, size};
}

static void check_one_flipped_bit_is_refused(const algorithm_case *of, signer *by) {
    for (size_t i = 0; i < by->item.signature.size; i += 13) {
        by->signature[i] ^= 1;
        CHECK(!verdict_of(of, &by->parameters, by->item));
        by->signature[i] ^= 1;
    }
    ks_verify_item other = by->item;
    other.message.size--;
    CHECK(!verdict_of(of, &by->parameters, other));
    CHECK(verdict_of(of, &by->parameters, by->item));
}

static void check_other_signature_lengths_are_refused(const algorithm_case *of, const signer *by) {
    size_t right = by->item.signature.size;
    for (size_t size = 0; size <= right + 2; size++) {
        ks_verify_item item = by->item;
        item.signature = exact_copy(by->item.signature, size);
        CHECK(verdict_of(of, &by->parameters, item) == (size == right));
        free((void *)(uintptr_t)item.signature.data);
    }
}

static void check_other_key_lengths_are_refused(const algorithm_case *of, const signer *by) {
    for (size_t size = 0; size <= by->parameters.first.size + 2; size++) {
        if (size == by->parameters.first.size) {
            continue;
        }
        ks_public_key key = by->parameters;
        key.first = exact_copy(by->parameters.first, size);
        CHECK(!verdict_of(of, &key, by->item));
        free((void *)(uintptr_t)key.first.data);
    }
    ks_public_key key = by->parameters;
    key.second = (ks_view){message, sizeof message};
    CHECK(!verdict_of(of, &key, by->item));
    CHECK(!verdict_of(of, &(ks_public_key){{NULL, 0}, {NULL, 0}}, by->item));
}

/* Good and bad items side by side: the bad ones under a wrong key, an unsuitable key, or spoilt. */
static void check_neighbours_do_not_matter(const algorithm_case *of, signer *by, signer *other) {
    uint8_t spoilt[SIGNATURE_BYTES];
    memcpy(spoilt, by->signature, sizeof spoilt);
    spoilt[by->item.signature.size / 2] ^= 0x40;
    ks_public_key keys[3] = {by->parameters, other->parameters, {{NULL, 0}, {NULL, 0}}};
    ks_verify_item items[COUNT];
    uint8_t verdicts[COUNT];
    for (unsigned threads = 1; threads <= 3; threads++) {
        for (uint32_t i = 0; i < COUNT; i++) {
            items[i] = i % 5 == 4 ? other->item : by->item;
            items[i].key = i % 5 == 4 ? 1 : i % 5 < 3 ? i % 5 : 0;
            if (i % 5 == 3) {
                items[i].signature.data = spoilt;
            }
        }
        CHECK(ks_verify_batch(of->algorithm, keys, 3, items, COUNT, threads, verdicts) == KS_OK);
        for (uint32_t i = 0; i < COUNT; i++) {
            CHECK(verdicts[i] == (i % 5 == 0 || i % 5 == 4));
        }
    }
}

/* In the shortest steps that there are, and closed after the first of them. */
static void check_steps(const algorithm_case *of, const signer *by) {
    ks_verify_item items[COUNT];
    uint8_t verdicts[COUNT];
    ks_batch *batch;
    int done = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        items[i] = by->item;
        items[i].signature.size -= i % 2;
    }
    for (unsigned threads = 1; threads <= 3; threads++) {
        CHECK(ks_batch_open(of->algorithm, &by->parameters, 1, items, COUNT, threads, verdicts,
                            &batch) == KS_OK);
        do {
            CHECK(ks_batch_step(batch, 1, &done) == KS_OK);
        } while (!done);
        CHECK(ks_batch_step(batch, 1, &done) == KS_OK && done);
        ks_batch_close(batch);
        for (uint32_t i = 0; i < COUNT; i++) {
            CHECK(verdicts[i] == (i % 2 == 0));
        }
    }
    CHECK(ks_batch_open(of->algorithm, &by->parameters, 1, items, COUNT, 2, verdicts, &batch) ==
          KS_OK);
    CHECK(ks_batch_step(batch, 1, &done) == KS_OK);
    ks_batch_close(batch);
    for (uint32_t i = 0; i < COUNT; i++) {
        CHECK(verdicts[i] == (done && i % 2 == 0)); /* all that are meant, or none */
    }
}

/* r and s of zero, or above every group order. */
static void check_ecdsa_ranges(const algorithm_case *of, const signer *by) {
    uint8_t changed[SIGNATURE_BYTES];
    for (size_t half = 0; half < 2; half++) {
        ks_verify_item item = by->item;
        memcpy(changed, by->signature, sizeof changed);
        memset(changed + half * of->field_bytes, 0, of->field_bytes);
        item.signature.data = changed;
        CHECK(!verdict_of(of, &by->parameters, item));
        memset(changed + half * of->field_bytes, 0xff, of->field_bytes);
        CHECK(!verdict_of(of, &by->parameters, item));
    }
}

/* --- keys off the curve ------------------------------------------------------------------------- */

static EC_GROUP *group_of(const algorithm_case *of) {
    EC_GROUP *group = EC_GROUP_new_by_curve_name(EC_curve_nist2nid(of->curve));
    CHECK(group != NULL);
    return group;
}

/* x of u1 G, modulo n. */
static void r_of(const EC_GROUP *group, BIGNUM *r, const BIGNUM *u1, BN_CTX *numbers) {
    EC_POINT *sum = EC_POINT_new(group);
    CHECK(sum != NULL && EC_POINT_mul(group, sum, u1, NULL, NULL, numbers) == 1);
    CHECK(EC_POINT_get_affine_coordinates(group, sum, r, NULL, numbers) == 1);
    CHECK(BN_nnmod(r, r, EC_GROUP_get0_order(group), numbers) == 1);
    EC_POINT_free(sum);
}

/*
 * What y = 0 is good for: a "point" (x, 0) is its own opposite on some other curve, and the formulas, which
 * never ask for b, add an even number of it to nothing. So whoever finds an even u2 = u1 r / e, for the x
 * of u1 G as r, has signed the message with s = r / u2.
 */
static void forge(const algorithm_case *of, uint8_t *signature) {
    EC_GROUP *group = group_of(of);
    const BIGNUM *n = EC_GROUP_get0_order(group);
    BN_CTX *numbers = BN_CTX_new();
    BIGNUM *e = BN_new(), *u1 = BN_new(), *u2 = BN_new(), *r = BN_new(), *s = BN_new();
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    CHECK(numbers != NULL && e != NULL && u1 != NULL && u2 != NULL && r != NULL && s != NULL);
    CHECK(EVP_Digest(message, sizeof message, digest, &size, EVP_get_digestbyname(of->digest), NULL) == 1);
    CHECK(BN_bin2bn(digest, (int)size, e) != NULL && BN_nnmod(e, e, n, numbers) == 1);
    do {
        CHECK(BN_rand_range(u1, n) == 1);
        r_of(group, r, u1, numbers);
        CHECK(BN_mod_inverse(u2, e, n, numbers) != NULL && BN_mod_mul(u2, u2, u1, n, numbers) == 1);
        CHECK(BN_mod_mul(u2, u2, r, n, numbers) == 1);
    } while (BN_is_odd(u2) || BN_is_zero(u2));
    CHECK(BN_mod_inverse(s, u2, n, numbers) != NULL && BN_mod_mul(s, s, r, n, numbers) == 1);
    CHECK(BN_bn2binpad(r, signature, (int)of->field_bytes) >= 0);
    CHECK(BN_bn2binpad(s, signature + of->field_bytes, (int)of->field_bytes) >= 0);
    BIGNUM *all[] = {e, u1, u2, r, s};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        BN_free(all[i]);
    }
    BN_CTX_free(numbers);
    EC_GROUP_free(group);
}

/*
 * Neither asked as everybody asks, nor where OpenSSL's engine believes that what it is handed is a key: what
 * the octets are, it finds when it reads them, between two good keys or after itself.
 */
static void check_a_key_off_the_curve_verifies_nothing(const algorithm_case *of, const signer *by) {
    uint8_t zeros[KEY_BYTES] = {0}, forged[SIGNATURE_BYTES], verdicts[6] = {0};
    const ks_public_key off_curve = {by->parameters.first, {zeros, of->field_bytes}};
    ks_verify_item odd = by->item;
    forge(of, forged);
    odd.signature.data = forged;
    CHECK(!verdict_of(of, &off_curve, odd));

    void *const keys[] = {ks_ecdsa_key(&off_curve), ks_ecdsa_key(&by->parameters)};
    ks_verify_item items[6];
    static const uint32_t key_of[6] = {0, 1, 0, 0, 1, 1}, is_forged[6] = {1, 0, 0, 1, 0, 0};
    for (size_t i = 0; i < 6; i++) {
        items[i] = is_forged[i] ? odd : by->item;
        items[i].key = key_of[i];
    }
    void *worker = ks_ecdsa_openssl.worker_open(of->algorithm);
    CHECK(worker != NULL);
    CHECK(ks_ecdsa_openssl.verify(worker, keys, items, 6, verdicts) == KS_OK);
    ks_ecdsa_openssl.worker_close(worker);
    for (size_t i = 0; i < 6; i++) {
        CHECK(verdicts[i] == key_of[i]);
    }
    ERR_clear_error();
}

static void check_algorithm(const algorithm_case *of) {
    signer *by = calloc(1, sizeof *by);
    signer *other = calloc(1, sizeof *other);
    CHECK(by != NULL && other != NULL);
    signer_open(by, of);
    signer_open(other, of);
    CHECK(verdict_of(of, &by->parameters, by->item));
    CHECK(!verdict_of(of, &other->parameters, by->item));
    check_one_flipped_bit_is_refused(of, by);
    check_other_signature_lengths_are_refused(of, by);
    check_other_key_lengths_are_refused(of, by);
    check_neighbours_do_not_matter(of, by, other);
    check_steps(of, by);
    if (of->field_bytes != 0) {
        check_ecdsa_ranges(of, by);
        check_a_key_off_the_curve_verifies_nothing(of, by);
    }
    EVP_PKEY_free(by->key);
    EVP_PKEY_free(other->key);
    free(by);
    free(other);
}

static void check_contract(void) {
    static ks_verify_item items[KS_MAX_BATCH];
    static uint8_t verdicts[KS_MAX_BATCH];
    const ks_public_key key = {{NULL, 0}, {NULL, 0}};
    const ks_algorithm unknown = (ks_algorithm)99;

    CHECK(ks_verify_batch(KS_ES256, NULL, 0, NULL, 0, 1, NULL) == KS_OK);
    CHECK(ks_verify_batch(KS_ES256, &key, 1, items, KS_MAX_BATCH + 1, 1, verdicts) ==
          KS_E_TOO_LARGE);
    CHECK(ks_verify_batch(KS_ES256, &key, KS_MAX_BATCH + 1, items, 1, 1, verdicts) ==
          KS_E_TOO_LARGE);
    CHECK(ks_verify_batch(KS_ES256, &key, 1, items, 1, KS_MAX_THREADS + 1, verdicts) ==
          KS_E_TOO_LARGE);

    ks_batch *batch = (ks_batch *)(uintptr_t)1;
    CHECK(ks_batch_open(unknown, &key, 1, items, 1, 1, verdicts, &batch) == KS_E_ARGUMENT);
    CHECK(batch == NULL);
    ks_batch_close(NULL);

    verdicts[0] = 1;
    CHECK(ks_verify_batch(KS_ES256, &key, 1, items, 1, 0, verdicts) == KS_E_ARGUMENT);
    CHECK(verdicts[0] == 0);
    CHECK(ks_verify_batch(unknown, &key, 1, items, 1, 1, verdicts) == KS_E_ARGUMENT);
    items[7].key = 1;
    CHECK(ks_verify_batch(KS_ES256, &key, 1, items, 8, 1, verdicts) == KS_E_ARGUMENT);
    items[7].key = 0;

    memset(verdicts, 1, sizeof verdicts);
    CHECK(ks_verify_batch(KS_ES256, &key, 1, items, KS_MAX_BATCH, KS_MAX_THREADS, verdicts) ==
          KS_OK);
    for (size_t i = 0; i < KS_MAX_BATCH; i++) {
        CHECK(verdicts[i] == 0);
    }
    CHECK(ks_verify_path(unknown) == NULL && ks_verify_path_reason(unknown) == NULL);
    CHECK(ks_verify_path_forced(unknown) == KS_FORCED_NOT);
}

void test_verify(void) {
    check_contract();
    for (size_t i = 0; i < CASE_COUNT; i++) {
        CHECK(ks_verify_path(cases[i].algorithm) != NULL);
        CHECK(ks_verify_path_reason(cases[i].algorithm) != NULL);
        check_algorithm(&cases[i]);
    }
}

void test_verify_ifma(void) {
    for (size_t i = 0; i < CASE_COUNT; i++) {
        if (cases[i].algorithm == KS_ES256 || cases[i].algorithm == KS_ED25519) {
            CHECK(strcmp(ks_verify_path(cases[i].algorithm), "ifma") == 0);
            check_algorithm(&cases[i]);
        }
    }
}
