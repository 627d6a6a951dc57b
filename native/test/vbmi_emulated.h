/*
 * The operations of codec/ks_base64url_vbmi.h in plain C, each as the manual of the instruction states
 * it: so the blocks of 64 characters are tested where no CPU has AVX-512 VBMI.
 */
#ifndef VBMI_EMULATED_H
#define VBMI_EMULATED_H

#include <string.h>

#include "check.h"

#define BYTES 64u

typedef struct block {
    uint8_t byte[BYTES];
} block;

/* VMOVDQU8 with a mask: bytes that are left out are not read. */
static inline block block_load(const uint8_t *from, size_t count, uint8_t filler) {
    block out;
    CHECK(count >= 1 && count <= BYTES);
    memset(out.byte, filler, BYTES);
    memcpy(out.byte, from, count);
    return out;
}
static inline void block_store(uint8_t *to, block from) {
    memcpy(to, from.byte, BYTES);
}
/* VPORQ */
static inline block block_or(block a, block b) {
    for (unsigned i = 0; i < BYTES; i++) {
        a.byte[i] |= b.byte[i];
    }
    return a;
}
/* VPMOVB2M */
static inline int block_has_high_bit(block a) {
    for (unsigned i = 0; i < BYTES; i++) {
        if (a.byte[i] >> 7 != 0) {
            return 1;
        }
    }
    return 0;
}
/* VPERMI2B: bit 6 chooses the table, bits 5 to 0 the byte, bit 7 is not looked at. */
static inline block block_look_up(block low, block which, block high) {
    block out;
    for (unsigned i = 0; i < BYTES; i++) {
        unsigned index = which.byte[i] & 63u;
        out.byte[i] = (which.byte[i] & 64u) != 0 ? high.byte[index] : low.byte[index];
    }
    return out;
}
/* VPERMB: bits 5 to 0. */
static inline block block_permute(block from, block which) {
    block out;
    for (unsigned i = 0; i < BYTES; i++) {
        out.byte[i] = from.byte[which.byte[i] & 63u];
    }
    return out;
}
/* VPMADDUBSW: the sum is cut off at 16 bits with sign, which must not happen here. */
static inline block block_add_pairs_of_bytes(block from, int8_t first, int8_t second) {
    for (unsigned i = 0; i < BYTES; i += 2) {
        int32_t sum = from.byte[i] * first + from.byte[i + 1] * second;
        int16_t half = (int16_t)(sum < INT16_MAX ? sum : INT16_MAX);
        memcpy(from.byte + i, &half, sizeof half);
    }
    return from;
}
/* VPMADDWD */
static inline block block_add_pairs_of_halves(block from, int16_t first, int16_t second) {
    for (unsigned i = 0; i < BYTES; i += 4) {
        int16_t halves[2];
        memcpy(halves, from.byte + i, sizeof halves);
        int32_t sum = halves[0] * first + halves[1] * second;
        memcpy(from.byte + i, &sum, sizeof sum);
    }
    return from;
}

#endif
