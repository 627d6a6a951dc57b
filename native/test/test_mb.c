/*
 * The engines on crypto_mb, with a fake of the library that counts its calls and lies (test/fakes). The
 * fake computes with OpenSSL, so what is tested here is ours: which signature goes where, what is checked
 * before and after, and who has the last word.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "fakes/fake_crypto_mb.h"
#include "ks_engine.h"
#include "mb/mb_lanes.h"
#include "mb/mb_library.h"
#include "mb_signers.h"

#define LANES MB_LANES
#define MANY 40u
#define FORGERIES 640u
/* Of 64 signatures, each of which earns a 128th: more than a filling costs. */
#define MOST_ROUNDS 8u

static fake_control *fake;

static void fake_find(void) {
    CHECK(ks_mb_library_loaded() != NULL);
    fake = dlsym(ks_mb_library_loaded()->handle, "fake_crypto_mb");
    CHECK(fake != NULL);
}

static unsigned calls_of(ks_algorithm algorithm) {
    return atomic_load(algorithm == KS_ES384 ? &fake->es384_calls : &fake->rsa_calls);
}

static void verify(const signer *by, const ks_verify_item *items, size_t count, uint8_t *verdicts) {
    CHECK(ks_verify_batch(by->algorithm, &by->parameters, 1, items, count, 1, verdicts) == KS_OK);
}

/* Good signatures, until the library is trusted with as much as it can be. */
static void credit_fill(const signer *by, const signed_item *good) {
    ks_verify_item items[MB_MOST_JOBS];
    uint8_t verdicts[MB_MOST_JOBS];
    for (size_t i = 0; i < MB_MOST_JOBS; i++) {
        items[i] = good->item;
    }
    unsigned before = calls_of(by->algorithm);
    for (size_t round = 0; calls_of(by->algorithm) < before + 2; round++) {
        CHECK(round < MOST_ROUNDS);
        verify(by, items, MB_MOST_JOBS, verdicts);
        CHECK(memchr(verdicts, 0, sizeof verdicts) == NULL);
    }
}

/* One bent signature in each lane, from one item to several fillings. */
static void check_every_lane(const signer *by) {
    static signed_item good[MANY];
    ks_verify_item items[MANY];
    uint8_t verdicts[MANY], bent[SIGNER_MOST_OCTETS];
    for (size_t i = 0; i < MANY; i++) {
        signer_sign(by, i, &good[i]);
    }
    for (size_t count = 1; count <= MANY; count += count < 10 ? 1 : 7) {
        for (size_t at = 0; at <= count; at += count < 10 ? 1 : 5) {
            for (size_t i = 0; i < count; i++) {
                items[i] = good[i].item;
            }
            if (at < count) {
                memcpy(bent, good[at].signature, sizeof bent);
                bent[(at * 37 + count) % good[at].item.signature.size] ^= 0x10;
                items[at].signature.data = bent;
            }
            verify(by, items, count, verdicts);
            for (size_t i = 0; i < count; i++) {
                CHECK(verdicts[i] == (i != at));
            }
        }
    }
}

/* How many calls a number of good signatures makes, with all the credit there can be. */
static void check_calls(const signer *by, size_t least) {
    signed_item good;
    ks_verify_item items[MANY];
    uint8_t verdicts[MANY];
    signer_sign(by, 1, &good);
    for (size_t i = 0; i < MANY; i++) {
        items[i] = good.item;
    }
    credit_fill(by, &good);
    for (size_t count = 1; count <= MANY; count += count < 20 ? 1 : 5) {
        unsigned before = calls_of(by->algorithm);
        verify(by, items, count, verdicts);
        unsigned wanted = (unsigned)(count / LANES + (count % LANES >= least));
        CHECK(calls_of(by->algorithm) - before == wanted);
    }
}

/* Forgeries soon stop going to the library, and good signatures bring it back. */
static void check_credit(const signer *by) {
    static ks_verify_item items[FORGERIES];
    static uint8_t verdicts[FORGERIES];
    signed_item good, bad;
    signer_sign(by, 1, &good);
    signer_sign(by, 2, &bad);
    bad.signature[bad.item.signature.size - 1] ^= 1;
    credit_fill(by, &good);
    for (size_t i = 0; i < FORGERIES; i++) {
        items[i] = bad.item;
    }
    unsigned before = calls_of(by->algorithm);
    verify(by, items, FORGERIES, verdicts);
    CHECK(memchr(verdicts, 1, sizeof verdicts) == NULL);
    unsigned made = calls_of(by->algorithm) - before;
    CHECK(made >= 2 && made <= KS_MOST_CREDIT / KS_COST_OPENSSL + FORGERIES / KS_COST_OPENSSL + 1);
    credit_fill(by, &good);
}

/* Whatever the library does, good signatures are valid and bent ones under RSA are not. */
static void check_lies(const signer *by) {
    static const fake_lie lies[] = {FAKE_WRONG, FAKE_IDLE, FAKE_REFUSING};
    signed_item items_of[LANES];
    ks_verify_item items[LANES];
    uint8_t verdicts[LANES];
    for (size_t i = 0; i < LANES; i++) {
        signer_sign(by, i, &items_of[i]);
        items[i] = items_of[i].item;
    }
    for (size_t lie = 0; lie < sizeof lies / sizeof lies[0]; lie++) {
        credit_fill(by, &items_of[0]);
        unsigned before = calls_of(by->algorithm);
        atomic_store(&fake->lie, lies[lie]);
        verify(by, items, LANES, verdicts);
        CHECK(memchr(verdicts, 0, sizeof verdicts) == NULL);
        atomic_store(&fake->lie, FAKE_HONEST);
        credit_fill(by, &items_of[0]);
        atomic_store(&fake->lie, lies[lie]);
        if (by->algorithm != KS_ES384) {
            for (size_t i = 0; i < LANES; i++) {
                items_of[i].signature[i] ^= 1;
            }
            verify(by, items, LANES, verdicts);
            CHECK(memchr(verdicts, 1, sizeof verdicts) == NULL);
            for (size_t i = 0; i < LANES; i++) {
                items_of[i].signature[i] ^= 1;
            }
        }
        CHECK(calls_of(by->algorithm) > before);
        atomic_store(&fake->lie, FAKE_HONEST);
    }
}

#define SIZES 4u

/* --- RSA ------------------------------------------------------------------------------------------ */

/* The same signature with n added, where that is as long: it is congruent, and must not be valid. */
static void check_signatures_above_the_modulus(const signer *by) {
    signed_item raised;
    size_t size = by->parameters.first.size;
    unsigned carry = 1;
    for (uint64_t counter = 0; carry != 0; counter++) {
        signer_sign(by, counter, &raised);
        carry = 0;
        for (size_t i = size; i-- > 0;) {
            carry += (unsigned)raised.signature[i] + by->first[i];
            raised.signature[i] = (uint8_t)carry;
            carry >>= 8;
        }
    }
    ks_verify_item items[LANES];
    uint8_t verdicts[LANES];
    for (size_t i = 0; i < LANES; i++) {
        items[i] = raised.item;
    }
    unsigned before = calls_of(by->algorithm);
    verify(by, items, LANES, verdicts);
    CHECK(memchr(verdicts, 1, sizeof verdicts) == NULL);
    CHECK(calls_of(by->algorithm) == before);
}

/* Under a key that the library has no code for: valid, by OpenSSL's word. */
static void check_other_key(signer *by, ks_algorithm algorithm) {
    signed_item good;
    ks_verify_item items[LANES];
    uint8_t verdicts[LANES];
    by->algorithm = algorithm;
    signer_sign(by, 1, &good);
    for (size_t lane = 0; lane < LANES; lane++) {
        items[lane] = good.item;
    }
    unsigned before = calls_of(algorithm);
    verify(by, items, LANES, verdicts);
    CHECK(memchr(verdicts, 0, sizeof verdicts) == NULL && calls_of(algorithm) == before);
}

static void check_other_keys(void) {
    static const struct {
        unsigned bits;
        unsigned long exponent;
    } others[] = {{2048, 65539}, {2055, 65537}, {2056, 65537}, {2560, 65537}};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        signer by;
        signer_open(&by, KS_RS256, others[i].bits, others[i].exponent);
        check_other_key(&by, KS_RS256);
        check_other_key(&by, KS_PS256);
        signer_close(&by);
    }
}

/* Items of all sizes in turns, each under the key of its own: a call for each size that fills. */
static void check_sizes_are_grouped(signer by[SIZES], ks_algorithm algorithm) {
    static signed_item good[8 * SIZES];
    ks_public_key keys[SIZES];
    ks_verify_item items[8 * SIZES];
    uint8_t verdicts[8 * SIZES];
    for (size_t i = 0; i < SIZES; i++) {
        by[i].algorithm = algorithm;
        keys[i] = by[i].parameters;
    }
    for (uint32_t i = 0; i < 8 * SIZES; i++) {
        signer_sign(&by[i % SIZES], i, &good[i]);
        items[i] = good[i].item;
        items[i].key = i % SIZES;
    }
    credit_fill(&by[0], &good[0]);
    unsigned before = calls_of(algorithm);
    CHECK(ks_verify_batch(algorithm, keys, SIZES, items, 8 * SIZES, 1, verdicts) == KS_OK);
    CHECK(memchr(verdicts, 0, sizeof verdicts) == NULL && calls_of(algorithm) - before == SIZES);
    for (uint32_t i = 0; i < 8 * SIZES; i++) {
        items[i].key = (i + 1) % SIZES; /* another's key, as long in one case of four */
    }
    CHECK(ks_verify_batch(algorithm, keys, SIZES, items, 8 * SIZES, 1, verdicts) == KS_OK);
    CHECK(memchr(verdicts, 1, sizeof verdicts) == NULL);
}

static void check_sizes(void) {
    static const unsigned bits[SIZES] = {2048, 3072, 4096, 2048};
    static signer by[SIZES];
    for (size_t i = 0; i < SIZES; i++) {
        signer_open(&by[i], KS_RS256, bits[i], 65537);
    }
    check_sizes_are_grouped(by, KS_RS256);
    check_sizes_are_grouped(by, KS_PS256);
    for (size_t i = 0; i < SIZES; i++) {
        signer_close(&by[i]);
    }
}

static void check_salt_is_as_long_as_the_digest(const signer *by) {
    static const int salts[] = {0, 31, 33, 64};
    for (size_t i = 0; i < sizeof salts / sizeof salts[0]; i++) {
        signed_item odd;
        ks_verify_item items[LANES];
        uint8_t verdicts[LANES];
        signer_sign_salted(by, i, salts[i], &odd);
        for (size_t lane = 0; lane < LANES; lane++) {
            items[lane] = odd.item;
        }
        verify(by, items, LANES, verdicts);
        CHECK(memchr(verdicts, 1, sizeof verdicts) == NULL);
    }
}

static void check_rsa(ks_algorithm algorithm) {
    signer by;
    signer_open(&by, algorithm, 2048, 65537);
    check_every_lane(&by);
    check_calls(&by, 3);
    check_credit(&by);
    check_lies(&by);
    check_signatures_above_the_modulus(&by);
    if (algorithm == KS_PS256) {
        check_salt_is_as_long_as_the_digest(&by);
    }
    signer_close(&by);
}

/* --- ES384 ---------------------------------------------------------------------------------------- */

/* Where the library would say "valid" to everything, numbers and keys are still ours to refuse. */
static void check_what_the_library_must_not_see(const signer *by) {
    signed_item good;
    signer_sign(by, 1, &good);
    credit_fill(by, &good);
    atomic_store(&fake->lie, FAKE_WRONG);
    unsigned before = calls_of(KS_ES384);
    for (size_t half = 0; half < 2; half++) {
        static const uint8_t order[48] = {
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
            0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf, 0x58, 0x1a, 0x0d, 0xb2,
            0x48, 0xb0, 0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73};
        static const uint8_t zero[48];
        const uint8_t *refused[] = {zero, order};
        for (size_t i = 0; i < 2; i++) {
            signed_item bad = good;
            ks_verify_item items[LANES];
            uint8_t verdicts[LANES];
            memcpy(bad.signature + 48 * half, refused[i], 48);
            for (size_t lane = 0; lane < LANES; lane++) {
                items[lane] = bad.item;
                items[lane].signature.data = bad.signature;
            }
            verify(by, items, LANES, verdicts);
            CHECK(memchr(verdicts, 1, sizeof verdicts) == NULL);
        }
    }
    signer off_curve = *by;
    ks_verify_item items[LANES];
    uint8_t verdicts[LANES];
    off_curve.second[47] ^= 1;
    off_curve.parameters = (ks_public_key){{off_curve.first, 48}, {off_curve.second, 48}};
    for (size_t lane = 0; lane < LANES; lane++) {
        items[lane] = good.item;
    }
    verify(&off_curve, items, LANES, verdicts);
    CHECK(memchr(verdicts, 1, sizeof verdicts) == NULL);
    CHECK(calls_of(KS_ES384) == before);
    atomic_store(&fake->lie, FAKE_HONEST);
}

static void check_es384(void) {
    signer by;
    signer_open(&by, KS_ES384, 0, 0);
    check_every_lane(&by);
    check_calls(&by, 2);
    check_credit(&by);
    check_lies(&by);
    check_what_the_library_must_not_see(&by);
    signer_close(&by);
}

void test_mb(void) {
    fake_find();
    check_rsa(KS_RS256);
    check_rsa(KS_PS256);
    check_other_keys();
    check_sizes();
    check_es384();
}
