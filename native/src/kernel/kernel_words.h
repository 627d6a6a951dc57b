/* Numbers as 64-bit words, the lowest first, where they are neither limbs nor octets. */
#ifndef KERNEL_WORDS_H
#define KERNEL_WORDS_H

#include <stdint.h>

/* Big-endian octets, eight for each word, as JOSE spells numbers. */
static inline void ks_words_read(uint64_t *words, const uint8_t *octets, int count) {
    for (int i = 0; i < count; i++) {
        uint64_t word = 0;
        for (int j = 0; j < 8; j++) {
            word = word << 8 | octets[8 * (count - 1 - i) + j];
        }
        words[i] = word;
    }
}

static inline int ks_words_below(const uint64_t *a, const uint64_t *b, int count) {
    for (int i = count - 1; i >= 0; i--) {
        if (a[i] != b[i]) {
            return a[i] < b[i];
        }
    }
    return 0;
}

static inline int ks_words_are_zero(const uint64_t *a, int count) {
    uint64_t all = 0;
    for (int i = 0; i < count; i++) {
        all |= a[i];
    }
    return all == 0;
}

#endif
