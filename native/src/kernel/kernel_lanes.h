/*
 * A `lanes` is eight 64-bit words, one for each of eight signatures: lane k of every operand belongs
 * to signature k, and no operation moves anything between lanes. These are the operations that the
 * kernels are made of, under names that do not need the AVX-512 manual.
 *
 * Other headers have the same names: kernel_one_lane.h over a single word, for CPUs without AVX-512;
 * native/test/lanes_emulated.h over eight plain words, so that the kernels for AVX-512 are tested on
 * every CPU; native/test/lanes_intervals.h over intervals, so that a field's bounds are computed by the
 * very operations that run.
 */
#ifndef KERNEL_LANES_H
#define KERNEL_LANES_H

#include <immintrin.h>
#include <stdint.h>

#define KS_LANES 8

typedef __m512i lanes;
typedef __mmask8 lane_mask; /* bit k speaks of lane k */

#define LANES_INLINE static inline __attribute__((always_inline))

LANES_INLINE lanes lanes_all(uint64_t word) {
    return _mm512_set1_epi64((long long)word);
}
LANES_INLINE lanes lanes_add(lanes a, lanes b) {
    return _mm512_add_epi64(a, b);
}
LANES_INLINE lanes lanes_sub(lanes a, lanes b) {
    return _mm512_sub_epi64(a, b);
}
LANES_INLINE lanes lanes_and(lanes a, lanes b) {
    return _mm512_and_si512(a, b);
}
LANES_INLINE lanes lanes_or(lanes a, lanes b) {
    return _mm512_or_si512(a, b);
}
LANES_INLINE lanes lanes_xor(lanes a, lanes b) {
    return _mm512_xor_si512(a, b);
}
LANES_INLINE lanes lanes_shift_left(lanes a, unsigned bits) {
    return _mm512_slli_epi64(a, bits);
}
/* For numbers that are never negative. */
LANES_INLINE lanes lanes_shift_right(lanes a, unsigned bits) {
    return _mm512_srli_epi64(a, bits);
}
/* For numbers that may be negative: rounds down. */
LANES_INLINE lanes lanes_shift_right_signed(lanes a, unsigned bits) {
    return _mm512_srai_epi64(a, bits);
}
LANES_INLINE lanes lanes_rotate_right(lanes a, unsigned bits) {
    return _mm512_rorv_epi64(a, lanes_all(bits));
}
LANES_INLINE lanes lanes_xor_3(lanes a, lanes b, lanes c) {
    return _mm512_ternarylogic_epi64(a, b, c, 0x96);
}
/* Bit by bit: b where `which` is 1, c where it is 0. */
LANES_INLINE lanes lanes_select(lanes which, lanes b, lanes c) {
    return _mm512_ternarylogic_epi64(which, b, c, 0xca);
}
/* Bit by bit: what two or three of them have. */
LANES_INLINE lanes lanes_majority(lanes a, lanes b, lanes c) {
    return _mm512_ternarylogic_epi64(a, b, c, 0xe8);
}
/* sum + the low, or the high, 52 bits of the product; of a and b, bits above the 52nd are ignored. */
LANES_INLINE lanes lanes_add_product_low(lanes sum, lanes a, lanes b) {
    return _mm512_madd52lo_epu64(sum, a, b);
}
LANES_INLINE lanes lanes_add_product_high(lanes sum, lanes a, lanes b) {
    return _mm512_madd52hi_epu64(sum, a, b);
}
LANES_INLINE lanes lanes_choose(lane_mask which, lanes where_set, lanes where_clear) {
    return _mm512_mask_blend_epi64(which, where_clear, where_set);
}
LANES_INLINE lane_mask lanes_equal(lanes a, lanes b) {
    return _mm512_cmpeq_epi64_mask(a, b);
}
/* Where a and b have no bit in common. */
LANES_INLINE lane_mask lanes_disjoint(lanes a, lanes b) {
    return _mm512_testn_epi64_mask(a, b);
}
/* The word at base + offset, an offset for each lane, in octets. */
LANES_INLINE lanes lanes_gather(const char *base, lanes offset) {
    return _mm512_i64gather_epi64(offset, base, 1);
}

/* In and out of lanes, by way of memory. */
typedef union lane_words {
    uint64_t word[KS_LANES];
    lanes all;
} lane_words;

#endif
