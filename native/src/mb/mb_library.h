/*
 * crypto_mb's functions, as its headers crypto_mb/rsa.h, ec_nistp384.h, cpu_features.h and status.h have
 * them in interface version 13. mb_library.c is the only file that loads them.
 *
 * Each call serves eight lanes; no pointer may be NULL, so lanes without work repeat another's.
 */
#ifndef MB_LIBRARY_H
#define MB_LIBRARY_H

#include <stddef.h>
#include <stdint.h>

#define MB_LANES 8u
#define MB_P384_OCTETS 48u
#define MB_P384_WORDS 6u

/* Four bits a lane, 0 for "all right": lane i's are bits 4 i to 4 i + 3. */
typedef uint32_t mb_status;

typedef struct mb_rsa_method mb_rsa_method; /* the library's own */

typedef struct mb_library {
    void *handle; /* of dlopen, never closed */
    /* Whether the CPU has what it needs; 0 has it look for itself. */
    int (*applicable)(uint64_t features);
    /* x^65537 mod n for a modulus of exactly `bits` bits: 1024, 2048, 3072 or 4096; NULL for others. */
    const mb_rsa_method *(*rsa_method)(int bits);
    int (*rsa_scratch_bytes)(const mb_rsa_method *method);
    /* x and the result big-endian, bits / 8 octets; n little-endian words. Wants x < n, checks nothing. */
    mb_status (*rsa_public)(const uint8_t *const x[MB_LANES], uint8_t *const result[MB_LANES],
                            const uint64_t *const n[MB_LANES], int bits,
                            const mb_rsa_method *method, uint8_t *scratch);
    /*
     * 0 where the signature is valid. r, s and the digest big-endian, 48 octets; the key little-endian
     * words, affine if z is NULL. Does not ask whether the key is on the curve, refuses digests of zero
     * and from n on, and does not use its scratch.
     */
    mb_status (*es384_verify)(const uint8_t *const r[MB_LANES], const uint8_t *const s[MB_LANES],
                              const uint8_t *const digest[MB_LANES],
                              const uint64_t *const x[MB_LANES], const uint64_t *const y[MB_LANES],
                              const uint64_t *const z[MB_LANES], uint8_t *scratch);
} mb_library;

static inline int mb_lane_is_good(mb_status status, size_t lane) {
    return (status >> (4 * lane) & 0xf) == 0;
}

/* `octets` big-endian, a multiple of eight of them, as little-endian words. */
static inline void mb_words_read(uint64_t *words, const uint8_t *octets, size_t size) {
    for (size_t i = 0; i < size / 8; i++) {
        uint64_t word = 0;
        for (size_t j = 0; j < 8; j++) {
            word = word << 8 | octets[size - 8 * (i + 1) + j];
        }
        words[i] = word;
    }
}

/*
 * Loads the library at `path` and tries it on a known signature. On success NULL is returned and
 * `*library` is ready; otherwise a static string that says why not.
 */
const char *ks_mb_library_open(mb_library *library, const char *path);

/* What ks_mb_load loaded, immutable from then on; NULL if nothing. */
const mb_library *ks_mb_library_loaded(void);

/* Why it loaded nothing: a static string. */
const char *ks_mb_library_refusal(void);

#endif
