/*
 * The operations of ks_base64url_blocks.h on an AVX-512 register of 64 bytes, under names that say what
 * they do. `native/test/vbmi_emulated.h` has the same names in plain C, by the same manual, so that the
 * blocks can be tested on a CPU that has no VBMI.
 */
#ifndef KS_BASE64URL_VBMI_H
#define KS_BASE64URL_VBMI_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

typedef __m512i block;

/* The first `count` bytes, 1 to 64; the others are `filler`, and their memory is not touched. */
static inline block block_load(const uint8_t *from, size_t count, uint8_t filler) {
    __mmask64 which = ~UINT64_C(0) >> (64 - count);
    return _mm512_mask_loadu_epi8(_mm512_set1_epi8((char)filler), which, from);
}
static inline void block_store(uint8_t *to, block from) {
    _mm512_storeu_si512(to, from);
}
static inline block block_or(block a, block b) {
    return _mm512_or_si512(a, b);
}
static inline int block_has_high_bit(block a) {
    return _mm512_movepi8_mask(a) != 0;
}
/* For each byte, which of 128 its low seven bits choose. */
static inline block block_look_up(block low, block which, block high) {
    return _mm512_permutex2var_epi8(low, which, high);
}
/* For each byte, which of 64 the low six bits of `which` choose. */
static inline block block_permute(block from, block which) {
    return _mm512_permutexvar_epi8(which, from);
}
/* Bytes 0 and 1, 2 and 3, … as numbers without sign: first · a + second · b, in 16 bits. */
static inline block block_add_pairs_of_bytes(block from, int8_t first, int8_t second) {
    return _mm512_maddubs_epi16(from,
                                _mm512_set1_epi16((int16_t)(second * 256 + (uint8_t)first)));
}
/* The same of halves of 16 bits with sign, in 32. */
static inline block block_add_pairs_of_halves(block from, int16_t first, int16_t second) {
    return _mm512_madd_epi16(from, _mm512_set1_epi32(second * 65536 + (uint16_t)first));
}

#endif
