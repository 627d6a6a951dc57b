#include "mb_emsa.h"

#include <string.h>

#define TRAILER 0xbc
#define SALT_OCTETS MB_SHA256_OCTETS

/* --- EMSA-PKCS1-v1_5: 00 01 FF…FF 00 DigestInfo ------------------------------------------------- */

/* The DER of a DigestInfo for SHA-256, up to the digest (RFC 8017 §9.2, note 1). */
static const uint8_t digest_info[] = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                      0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20};

int ks_mb_emsa_is_pkcs1(const uint8_t *encoded, size_t size, const uint8_t digest[MB_SHA256_OCTETS]) {
    uint8_t expected[MB_MOST_MODULUS_OCTETS];
    const size_t tail = sizeof digest_info + MB_SHA256_OCTETS;
    if (size < tail + 11 || size > sizeof expected) {
        return 0;
    }
    memset(expected, 0xff, size);
    expected[0] = 0;
    expected[1] = 1;
    expected[size - tail - 1] = 0;
    memcpy(expected + size - tail, digest_info, sizeof digest_info);
    memcpy(expected + size - MB_SHA256_OCTETS, digest, MB_SHA256_OCTETS);
    return memcmp(encoded, expected, size) == 0;
}

/* --- EMSA-PSS: maskedDB H BC -------------------------------------------------------------------- */

static int sha256_of(ks_digest *sha256, const uint8_t *data, size_t size,
                     uint8_t out[EVP_MAX_MD_SIZE]) {
    unsigned written = 0;
    return ks_digest_compute(sha256, (ks_view){data, size}, out, &written) &&
           written == MB_SHA256_OCTETS;
}

/* db ^= MGF1(seed), RFC 8017 B.2.1. */
static int mask_lift(ks_digest *sha256, const uint8_t seed[MB_SHA256_OCTETS], uint8_t *db,
                     size_t size) {
    uint8_t counted[MB_SHA256_OCTETS + 4] = {0}, block[EVP_MAX_MD_SIZE];
    memcpy(counted, seed, MB_SHA256_OCTETS);
    for (size_t done = 0, counter = 0; done < size; counter++) {
        /* At most 16 blocks: the counter's other octets stay zero. */
        counted[sizeof counted - 1] = (uint8_t)counter;
        if (!sha256_of(sha256, counted, sizeof counted, block)) {
            return 0;
        }
        for (size_t i = 0; i < MB_SHA256_OCTETS && done < size; i++) {
            db[done++] ^= block[i];
        }
    }
    return 1;
}

/* PS, of zeros, and 01 (step 10). */
static int padding_is_right(const uint8_t *db, size_t size) {
    for (size_t i = 0; i + 1 < size; i++) {
        if (db[i] != 0) {
            return 0;
        }
    }
    return db[size - 1] == 1;
}

int ks_mb_emsa_is_pss(ks_digest *sha256, const uint8_t *encoded, size_t size,
                      const uint8_t digest[MB_SHA256_OCTETS]) {
    uint8_t db[MB_MOST_MODULUS_OCTETS], again[8 + 2 * MB_SHA256_OCTETS] = {0};
    uint8_t computed[EVP_MAX_MD_SIZE];
    if (size < MB_SHA256_OCTETS + SALT_OCTETS + 2 || size > sizeof db) { /* step 3 */
        return 0;
    }
    const size_t db_size = size - MB_SHA256_OCTETS - 1, padding = db_size - SALT_OCTETS;
    const uint8_t *h = encoded + db_size;
    if (encoded[size - 1] != TRAILER || (encoded[0] & 0x80) != 0) { /* steps 4, 6 */
        return 0;
    }
    memcpy(db, encoded, db_size);
    if (!mask_lift(sha256, h, db, db_size)) { /* steps 7, 8 */
        return 0;
    }
    db[0] &= 0x7f; /* step 9 */
    if (!padding_is_right(db, padding)) { /* step 10 */
        return 0;
    }
    memcpy(again + 8, digest, MB_SHA256_OCTETS); /* steps 11, 12 */
    memcpy(again + 8 + MB_SHA256_OCTETS, db + padding, SALT_OCTETS);
    return sha256_of(sha256, again, sizeof again, computed) && /* steps 13, 14 */
           memcmp(computed, h, MB_SHA256_OCTETS) == 0;
}
