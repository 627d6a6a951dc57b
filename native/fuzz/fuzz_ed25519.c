/*
 * Batches of Ed25519 signatures: every engine that runs here, that over emulated lanes included, must say
 * what OpenSSL says, item by item.
 *
 * Random octets are never a valid signature, so the input is a program: each step signs with one of a
 * few keys, or takes R and the key of small order, and then bends what it has. Keys are the same in every
 * run, so that caches fill.
 */
#include <openssl/evp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../test/emulated.h"
#include "ks_engine.h"

#define PAIRS 10u
#define KEYS (PAIRS + SPELLINGS)
#define MOST_ITEMS 80u
#define OCTETS 32u
#define STEP_OCTETS 6u
#define MESSAGE_OCTETS 255u

/* y of points of small order, as RFC 8032 spells them and as OpenSSL takes them too, and of none. */
#define SPELLINGS 9u
static const uint8_t spellings[SPELLINGS][2] = {
    {0x00, 0x00}, {0x00, 0x80}, {0x01, 0x00}, {0x01, 0x80}, {0xec, 0x7f},
    {0xed, 0x7f}, {0xee, 0xff}, {0xf0, 0x7f}, {0x02, 0x00},
};

static EVP_PKEY *pairs[PAIRS];
static uint8_t keys[KEYS][OCTETS];
static uint8_t octets_signed[MESSAGE_OCTETS];

static void require(int holds) {
    if (!holds) {
        abort();
    }
}

static void keys_make(void) {
    for (unsigned i = 0; i < PAIRS; i++) {
        uint8_t seed[OCTETS];
        size_t size = OCTETS;
        memset(seed, (int)i, sizeof seed);
        pairs[i] = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof seed);
        require(pairs[i] != NULL && EVP_PKEY_get_raw_public_key(pairs[i], keys[i], &size) == 1);
    }
    for (unsigned i = 0; i < SPELLINGS; i++) {
        uint8_t *key = keys[PAIRS + i];
        memset(key, spellings[i][0] < 0x80 ? 0 : 0xff, OCTETS);
        key[0] = spellings[i][0];
        key[OCTETS - 1] = spellings[i][1];
    }
}

typedef struct batch {
    ks_public_key keys[KEYS];
    ks_verify_item items[MOST_ITEMS];
    uint8_t signatures[MOST_ITEMS][2 * OCTETS];
    size_t count;
} batch;

static void sign(uint8_t signature[2 * OCTETS], unsigned key, size_t length) {
    size_t size = 2 * OCTETS;
    EVP_MD_CTX *state = EVP_MD_CTX_new();
    require(state != NULL && EVP_DigestSignInit(state, NULL, NULL, NULL, pairs[key]) == 1);
    require(EVP_DigestSign(state, signature, &size, octets_signed, length) == 1);
    EVP_MD_CTX_free(state);
}

/* key, length of the message, how to bend, where, with what, for how many items */
static void step(batch *into, const uint8_t octets[STEP_OCTETS]) {
    uint8_t signature[2 * OCTETS];
    unsigned signer = octets[0] % PAIRS, key = signer;
    sign(signature, signer, octets[1]);
    size_t size = sizeof signature;
    switch (octets[2] % 16) {
    case 1:
        key = octets[3] % KEYS;
        break;
    case 2:
        size = octets[3] % sizeof signature;
        break;
    case 3:
        signature[octets[3] % sizeof signature] ^= octets[4];
        break;
    case 4:
        memset(signature + octets[3] % 2 * OCTETS, octets[4], OCTETS);
        break;
    case 5: /* R and the key of small order, and S small: valid for some messages */
        key = PAIRS + octets[3] % SPELLINGS;
        memset(signature, 0, sizeof signature);
        memcpy(signature, keys[PAIRS + octets[4] % SPELLINGS], OCTETS);
        break;
    case 6:
        memcpy(signature, keys[PAIRS + octets[4] % SPELLINGS], OCTETS);
        break;
    default:
        break;
    }
    for (unsigned i = 0; i <= octets[5] % 16u && into->count < MOST_ITEMS; i++) {
        size_t at = into->count++;
        memcpy(into->signatures[at], signature, sizeof signature);
        into->items[at] =
            (ks_verify_item){{octets_signed, octets[1]}, {into->signatures[at], size}, key};
    }
}

static void verdicts_of(const ks_engine *engine, const batch *of, uint8_t verdicts[MOST_ITEMS]) {
    void *opened[KEYS];
    memset(verdicts, 0, MOST_ITEMS);
    for (unsigned i = 0; i < KEYS; i++) {
        size_t uses = 0;
        for (size_t item = 0; item < of->count; item++) {
            uses += of->items[item].key == i;
        }
        opened[i] = engine->key_open(KS_ED25519, &of->keys[i], uses);
    }
    if (engine->keys_ready != NULL) {
        engine->keys_ready(opened, KEYS);
    }
    void *worker = engine->worker_open(KS_ED25519);
    require(worker != NULL);
    require(engine->verify(worker, opened, of->items, of->count, verdicts) == KS_OK);
    engine->worker_close(worker);
    for (unsigned i = 0; i < KEYS; i++) {
        engine->key_close(opened[i]);
    }
}

static void check_same(const ks_engine *engine, const batch *of, const uint8_t *expected) {
    uint8_t found[MOST_ITEMS];
    verdicts_of(engine, of, found);
    require(memcmp(expected, found, of->count) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static batch of;
    uint8_t expected[MOST_ITEMS];
    if (pairs[0] == NULL) {
        keys_make();
    }
    of.count = 0;
    for (unsigned i = 0; i < KEYS; i++) {
        of.keys[i] = (ks_public_key){{keys[i], OCTETS}, {NULL, 0}};
    }
    for (; size >= STEP_OCTETS; data += STEP_OCTETS, size -= STEP_OCTETS) {
        step(&of, data);
    }
    verdicts_of(&ks_ed25519_openssl, &of, expected);
    check_same(&ks_ed25519_portable, &of, expected);
    check_same(&ed25519_emulated, &of, expected);
#if defined(__x86_64__)
    if (ks_cpu_has_ifma()) {
        check_same(&ks_ed25519_ifma, &of, expected);
    }
#endif
    return 0;
}
