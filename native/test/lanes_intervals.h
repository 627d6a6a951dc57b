/*
 * The operations of kernel/kernel_lanes.h over intervals: a `lanes` is the range that one 64-bit word may be
 * in, and every operation checks that its result still fits one. Compiling p256_field_lanes.h with
 * these computes the bounds of its limbs by the operations that run in the kernel.
 */
#ifndef LANES_INTERVALS_H
#define LANES_INTERVALS_H

#include <stdint.h>

#include "check.h"

__extension__ typedef __int128 integer;

typedef struct lanes {
    integer low, high; /* both included */
} lanes;

typedef uint8_t lane_mask;

#define LANES_INLINE static inline __attribute__((unused))

/* A range that a signed 64-bit word holds. */
LANES_INLINE lanes lanes_range(integer low, integer high) {
    CHECK(low <= high && low >= INT64_MIN && high <= INT64_MAX);
    return (lanes){low, high};
}

LANES_INLINE lanes lanes_all(uint64_t word) {
    return lanes_range((integer)word, (integer)word);
}
LANES_INLINE lanes lanes_add(lanes a, lanes b) {
    return lanes_range(a.low + b.low, a.high + b.high);
}
LANES_INLINE lanes lanes_sub(lanes a, lanes b) {
    return lanes_range(a.low - b.high, a.high - b.low);
}
/* `b` is a mask of the lowest bits. */
LANES_INLINE lanes lanes_and(lanes a, lanes b) {
    CHECK(b.low == b.high && (b.low & (b.low + 1)) == 0);
    return a.low >= 0 && a.high <= b.high ? a : lanes_range(0, b.high);
}
LANES_INLINE lanes lanes_shift_left(lanes a, unsigned bits) {
    integer factor = (integer)1 << bits;
    return lanes_range(a.low * factor, a.high * factor);
}
LANES_INLINE lanes lanes_shift_right(lanes a, unsigned bits) {
    CHECK(a.low >= 0);
    return lanes_range(a.low >> bits, a.high >> bits);
}
LANES_INLINE lanes lanes_shift_right_signed(lanes a, unsigned bits) {
    return lanes_range(a.low >> bits, a.high >> bits);
}

/* What the multiplier makes of an operand: its lowest 52 bits. */
LANES_INLINE integer lanes_most_52(lanes a) {
    integer most = ((integer)1 << 52) - 1;
    return a.low >= 0 && a.high <= most ? a.high : most;
}
LANES_INLINE lanes lanes_add_product_low(lanes sum, lanes a, lanes b) {
    integer product = lanes_most_52(a) * lanes_most_52(b), most = ((integer)1 << 52) - 1;
    return lanes_range(sum.low, sum.high + (product < most ? product : most));
}
LANES_INLINE lanes lanes_add_product_high(lanes sum, lanes a, lanes b) {
    integer product = lanes_most_52(a) * lanes_most_52(b);
    return lanes_range(sum.low, sum.high + (product >> 52));
}
LANES_INLINE lanes lanes_choose(lane_mask which, lanes where_set, lanes where_clear) {
    (void)which;
    return lanes_range(where_set.low < where_clear.low ? where_set.low : where_clear.low,
                       where_set.high > where_clear.high ? where_set.high : where_clear.high);
}
LANES_INLINE lane_mask lanes_equal(lanes a, lanes b) {
    return a.low <= b.high && b.low <= a.high;
}

#endif
