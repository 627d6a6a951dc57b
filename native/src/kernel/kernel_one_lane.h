/*
 * The operations of kernel_lanes.h over one 64-bit word: one signature at a time, for CPUs without
 * AVX-512. The IFMA multiplier has no place here; a field multiplies in its own way.
 */
#ifndef KERNEL_LANES_H
#define KERNEL_LANES_H

#include <stdint.h>
#include <string.h>

#define KS_LANES 1

typedef uint64_t lanes;
typedef unsigned lane_mask; /* 1 or 0 */

#define LANES_INLINE static inline __attribute__((always_inline))

LANES_INLINE lanes lanes_all(uint64_t word) {
    return word;
}
LANES_INLINE lanes lanes_add(lanes a, lanes b) {
    return a + b;
}
LANES_INLINE lanes lanes_sub(lanes a, lanes b) {
    return a - b;
}
LANES_INLINE lanes lanes_and(lanes a, lanes b) {
    return a & b;
}
LANES_INLINE lanes lanes_or(lanes a, lanes b) {
    return a | b;
}
LANES_INLINE lanes lanes_shift_left(lanes a, unsigned bits) {
    return a << bits;
}
LANES_INLINE lanes lanes_shift_right(lanes a, unsigned bits) {
    return a >> bits;
}
LANES_INLINE lanes lanes_choose(lane_mask which, lanes where_set, lanes where_clear) {
    return which ? where_set : where_clear;
}
LANES_INLINE lane_mask lanes_equal(lanes a, lanes b) {
    return a == b;
}
LANES_INLINE lane_mask lanes_disjoint(lanes a, lanes b) {
    return (a & b) == 0;
}
LANES_INLINE lanes lanes_gather(const char *base, lanes offset) {
    uint64_t word;
    memcpy(&word, base + offset, sizeof word);
    return word;
}

typedef union lane_words {
    uint64_t word[KS_LANES];
    lanes all;
} lane_words;

#endif
