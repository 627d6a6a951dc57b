/*
 * The operations of kernel/kernel_lanes.h over eight plain words, so that what was written for AVX-512
 * IFMA is compiled and run on any CPU. Included first, it takes that header's place.
 */
#ifndef KERNEL_LANES_H
#define KERNEL_LANES_H

#include <stdint.h>
#include <string.h>

#define KS_LANES_EMULATED 1
#define KS_LANES 8

__extension__ typedef unsigned __int128 lanes_product;

typedef struct lanes {
    uint64_t word[KS_LANES];
} lanes;
typedef uint8_t lane_mask;

/* Not always_inline: the sanitizers would describe every step of every lane. */
#define LANES_INLINE static inline __attribute__((unused))

#define LANES_EACH(expression)                  \
    do {                                        \
        lanes out;                              \
        for (int k = 0; k < KS_LANES; k++) {    \
            out.word[k] = (expression);         \
        }                                       \
        return out;                             \
    } while (0)

#define LANES_ASK(condition)                               \
    do {                                                   \
        unsigned out = 0;                                  \
        for (int k = 0; k < KS_LANES; k++) {               \
            out |= (unsigned)(condition) << k;             \
        }                                                  \
        return (lane_mask)out;                             \
    } while (0)

LANES_INLINE lanes lanes_all(uint64_t word) {
    LANES_EACH(word);
}
LANES_INLINE lanes lanes_add(lanes a, lanes b) {
    LANES_EACH(a.word[k] + b.word[k]);
}
LANES_INLINE lanes lanes_sub(lanes a, lanes b) {
    LANES_EACH(a.word[k] - b.word[k]);
}
LANES_INLINE lanes lanes_and(lanes a, lanes b) {
    LANES_EACH(a.word[k] & b.word[k]);
}
LANES_INLINE lanes lanes_or(lanes a, lanes b) {
    LANES_EACH(a.word[k] | b.word[k]);
}
LANES_INLINE lanes lanes_xor(lanes a, lanes b) {
    LANES_EACH(a.word[k] ^ b.word[k]);
}
LANES_INLINE lanes lanes_shift_left(lanes a, unsigned bits) {
    LANES_EACH(a.word[k] << bits);
}
LANES_INLINE lanes lanes_shift_right(lanes a, unsigned bits) {
    LANES_EACH(a.word[k] >> bits);
}
LANES_INLINE lanes lanes_shift_right_signed(lanes a, unsigned bits) {
    LANES_EACH((uint64_t)((int64_t)a.word[k] >> bits));
}
LANES_INLINE lanes lanes_rotate_right(lanes a, unsigned bits) {
    LANES_EACH(a.word[k] >> bits | a.word[k] << (64 - bits));
}

LANES_INLINE lanes lanes_xor_3(lanes a, lanes b, lanes c) {
    LANES_EACH(a.word[k] ^ b.word[k] ^ c.word[k]);
}
LANES_INLINE lanes lanes_select(lanes which, lanes b, lanes c) {
    LANES_EACH((which.word[k] & b.word[k]) | (~which.word[k] & c.word[k]));
}
LANES_INLINE lanes lanes_majority(lanes a, lanes b, lanes c) {
    LANES_EACH((a.word[k] & b.word[k]) | (a.word[k] & c.word[k]) | (b.word[k] & c.word[k]));
}

#define LANES_52 ((UINT64_C(1) << 52) - 1)

LANES_INLINE lanes lanes_add_product_low(lanes sum, lanes a, lanes b) {
    LANES_EACH(sum.word[k] + ((a.word[k] & LANES_52) * (b.word[k] & LANES_52) & LANES_52));
}
LANES_INLINE lanes lanes_add_product_high(lanes sum, lanes a, lanes b) {
    LANES_EACH(sum.word[k] +
               (uint64_t)((lanes_product)(a.word[k] & LANES_52) * (b.word[k] & LANES_52) >> 52));
}
LANES_INLINE lanes lanes_choose(lane_mask which, lanes where_set, lanes where_clear) {
    LANES_EACH(which >> k & 1 ? where_set.word[k] : where_clear.word[k]);
}
LANES_INLINE lane_mask lanes_equal(lanes a, lanes b) {
    LANES_ASK(a.word[k] == b.word[k]);
}
LANES_INLINE lane_mask lanes_disjoint(lanes a, lanes b) {
    LANES_ASK((a.word[k] & b.word[k]) == 0);
}
LANES_INLINE lanes lanes_gather(const char *base, lanes offset) {
    lanes out;
    for (int k = 0; k < KS_LANES; k++) {
        uintptr_t at = (uintptr_t)base + (uintptr_t)offset.word[k];
        memcpy(&out.word[k], (const void *)at, sizeof out.word[k]);
    }
    return out;
}

typedef union lane_words {
    uint64_t word[KS_LANES];
    lanes all;
} lane_words;

#endif
