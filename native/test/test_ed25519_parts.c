/* The parts of the Ed25519 kernels that have an answer of their own: hashes, reductions, decoded keys. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <string.h>

#include "check.h"
#include "ed25519/ed25519_key.h"
#include "ed25519_crafted.h"
#include "emulated.h"

#define LANES 8u

/* --- reduction ---------------------------------------------------------------------------------- */

static void check_reduction(void) {
    BIGNUM *order = edwards_order(), *number = BN_new(), *rest = BN_new();
    BN_CTX *scratch = BN_CTX_new();
    uint8_t digest[2 * ED25519_OCTETS];
    for (unsigned i = 0; i < 4096; i++) {
        memset(digest, i % 2 ? 0xff : 0, sizeof digest);
        if (i > 128) { /* else 2^i less or more than the numbers next to it */
            CHECK(RAND_bytes(digest, (int)(1 + i % sizeof digest)) == 1);
        }
        CHECK(BN_lebin2bn(digest, sizeof digest, number) != NULL);
        if (i > 2048) { /* next to a multiple of L */
            CHECK(BN_div(NULL, rest, number, order, scratch) == 1 && BN_sub(number, number, rest) == 1);
            CHECK((i % 2 ? BN_add_word(number, i % 3) : BN_sub_word(number, i % 3)) == 1);
            CHECK(!BN_is_negative(number) || BN_set_word(number, i) == 1);
        }
        CHECK(BN_bn2lebinpad(number, digest, sizeof digest) == sizeof digest);
        CHECK(BN_mod(rest, number, order, scratch) == 1);
        ed25519_number expected = number_write(rest), found = ks_ed25519_scalar_reduce(digest);
        CHECK(memcmp(&expected, &found, sizeof found) == 0);
    }
    BN_free(order);
    BN_free(number);
    BN_free(rest);
    BN_CTX_free(scratch);
}

/* --- keys --------------------------------------------------------------------------------------- */

static void octets_of(uint8_t octets[ED25519_OCTETS], const BIGNUM *y, int sign) {
    CHECK(BN_bn2lebinpad(y, octets, ED25519_OCTETS) == ED25519_OCTETS);
    octets[ED25519_OCTETS - 1] |= (uint8_t)(sign << 7);
}

/* y near 0, near p and up to 2^255 - 1, each with both signs. */
static void check_decoding(const ed25519_kernel *kernel) {
    BIGNUM *y = BN_new(), *prime = edwards_prime();
    unsigned there = 0, odd_zero = 0;
    for (unsigned i = 0; i < 120; i++) {
        CHECK(BN_set_word(y, i % 60) == 1);
        CHECK(i < 60 || (BN_add(y, y, prime) == 1 && BN_sub_word(y, 41) == 1));
        edwards expected;
        int on_curve = edwards_with_y(&expected, y);
        for (int sign = 0; sign < 2; sign++) {
            uint8_t octets[ED25519_OCTETS], found_there[3] = {7, 7, 7};
            octets_of(octets, y, sign);
            ed25519_number key = ed25519_number_read(octets), keys[3] = {key, key, key};
            ed25519_point found[3];
            kernel->keys_decode(found, found_there, keys, 3);
            for (int k = 0; k < 3; k++) {
                CHECK(found_there[k] == on_curve);
            }
            if (on_curve) {
                there++;
                odd_zero += sign == 1 && BN_is_zero(expected.x);
                int turns = sign == 0 && !BN_is_zero(expected.x); /* found is -A */
                CHECK(!turns || BN_sub(expected.x, prime, expected.x) == 1);
                ed25519_point point = edwards_point(&expected);
                CHECK(memcmp(&point.x, &found[2].x, sizeof point.x) == 0);
                CHECK(!turns || BN_sub(expected.x, prime, expected.x) == 1);
            }
        }
        if (on_curve) {
            edwards_free(&expected);
        }
    }
    CHECK(there > 40 && odd_zero == 3); /* 1, p - 1 and p + 1 */
    BN_free(y);
    BN_free(prime);
}

/* --- hashing ------------------------------------------------------------------------------------ */

/* Messages of unlike lengths side by side, around the ends of blocks. */
static void check_hashes(const ed25519_kernel *kernel) {
    static uint8_t octets[ED25519_MOST_HASHED + 64];
    static const size_t strides[] = {0, 1, 17, 128, 500};
    CHECK(RAND_bytes(octets, sizeof octets) == 1);
    for (size_t size = 0; size < 320; size += size < 200 ? 5 : 31) {
        ed25519_hashed inputs[LANES + 3];
        uint8_t found[LANES + 3][SHA512_DIGEST_LENGTH], expected[SHA512_DIGEST_LENGTH];
        size_t count = 1 + size % (LANES + 3);
        for (size_t i = 0; i < count; i++) {
            size_t length = size + i * strides[size % 5] % ED25519_MOST_HASHED;
            inputs[i] = (ed25519_hashed){octets + i, octets + 32 + i, {octets + 64, length}};
        }
        inputs[count - 1].message.size = size % 7 == 0 ? ED25519_MOST_HASHED : size;
        kernel->hash(found, inputs, count);
        for (size_t i = 0; i < count; i++) {
            SHA512_CTX state;
            CHECK(SHA512_Init(&state) == 1 && SHA512_Update(&state, octets + i, 32) == 1);
            CHECK(SHA512_Update(&state, octets + 32 + i, 32) == 1);
            CHECK(SHA512_Update(&state, octets + 64, inputs[i].message.size) == 1);
            CHECK(SHA512_Final(expected, &state) == 1);
            CHECK(memcmp(found[i], expected, sizeof expected) == 0);
        }
    }
}

/* --- combs -------------------------------------------------------------------------------------- */

/* `proved` is whether a signature was valid under it since. */
static int has_table(const uint8_t octets[ED25519_OCTETS], int proved) {
    const ks_public_key parameters = {{octets, ED25519_OCTETS}, {NULL, 0}};
    void *key = ks_ed25519_key_open(&ks_ed25519_kernel_portable, &parameters, 1);
    CHECK(key != NULL);
    ks_ed25519_keys_ready(&key, 1);
    int found = ((const ed25519_key *)key)->known.table != NULL;
    if (proved) {
        ks_ed25519_key_proved(key);
    }
    ks_ed25519_key_close(key);
    return found;
}

/* Forgers' keys may come as often as they like; one valid signature is one comb. */
static void check_combs_want_a_proof(void) {
    crafted25519 forger = craft25519_any(), holder = craft25519_any();
    for (unsigned i = 0; i < 4; i++) {
        CHECK(!has_table(forger.key, 0) && !has_table(holder.key, i == 3));
    }
    CHECK(has_table(holder.key, 0) && has_table(holder.key, 0));
    CHECK(!has_table(forger.key, 0));
}

/* A stream of new keys finds its way back to the kernel after credit was lost. */
static void check_keys_earn_credit(void) {
    crafted25519 any = craft25519_any();
    ks_credit_settle(&ks_ed25519_credit, -2 * KS_MOST_CREDIT);
    for (unsigned i = 0; i < 3 * KS_MOST_CREDIT; i++) {
        any.key[0]++;
        (void)has_table(any.key, 0);
    }
    CHECK(ks_credit_for(&ks_ed25519_credit, ks_ed25519_kernel_portable.costs.of[KS_POINT], 1) == 1);
    ks_credit_settle(&ks_ed25519_credit, KS_MOST_CREDIT);
}

/* --- all of it ---------------------------------------------------------------------------------- */

static void check_kernel(const ed25519_kernel *kernel) {
    check_decoding(kernel);
    if (kernel->hash != NULL) {
        check_hashes(kernel);
    }
}

void test_ed25519_parts(void) {
    edwards_open();
    check_reduction();
    check_combs_want_a_proof();
    check_keys_earn_credit();
    check_kernel(&ks_ed25519_kernel_portable);
    check_kernel(&ed25519_kernel_emulated);
    edwards_close();
    ERR_clear_error();
}

void test_ed25519_parts_ifma(void) {
#if defined(__x86_64__)
    edwards_open();
    check_kernel(&ks_ed25519_kernel_ifma);
    edwards_close();
    ERR_clear_error();
#endif
}
