/*
 * Numbers of Ed25519 (RFC 8032 §5.1) where they are in no limbs: four words of 64 bits, the lowest
 * first, and little-endian octets outside. So tables and points are the same for every kernel, whatever
 * limbs it calculates in.
 *
 *   p = 2^255 - 19, the field's prime
 *   L = 2^252 + 27742317777372353535851937790883648493, the order of the base point
 *   -x² + y² = 1 + d x² y², d = -121665 / 121666
 */
#ifndef ED25519_WORDS_H
#define ED25519_WORDS_H

#include <stdint.h>

#define ED25519_WORDS 4
#define ED25519_OCTETS 32

typedef struct ed25519_number {
    uint64_t word[ED25519_WORDS];
} ed25519_number;

/* Of an encoded point: y below, and the lowest bit of x on top (RFC 8032 §5.1.2). */
#define ED25519_SIGN_WORD 3
#define ED25519_SIGN_BIT 63

static inline ed25519_number ed25519_number_read(const uint8_t octets[ED25519_OCTETS]) {
    ed25519_number out;
    for (int i = 0; i < ED25519_WORDS; i++) {
        uint64_t word = 0;
        for (int j = 8; j-- > 0;) {
            word = word << 8 | octets[8 * i + j];
        }
        out.word[i] = word;
    }
    return out;
}

static inline int ed25519_number_below(const ed25519_number *a, const ed25519_number *b) {
    for (int i = ED25519_WORDS - 1; i >= 0; i--) {
        if (a->word[i] != b->word[i]) {
            return a->word[i] < b->word[i];
        }
    }
    return 0;
}

#endif
