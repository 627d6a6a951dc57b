/*
 * Points as they come to any kernel: read, checked to be on the curve, and in memory in limbs; and what
 * every kernel needs once for a table.
 */
#ifndef P256_POINT_H
#define P256_POINT_H

#include <stddef.h>

#include "p256_limbs.h"

/* An affine point of kernel_formulas.h, in limbs. */
typedef struct p256_entry {
    uint64_t x[P256_LIMBS];
    uint64_t y[P256_LIMBS];
} p256_entry;

/* The base point (SP 800-186 §3.2.1.3). */
extern const p256_entry ks_p256_base;

/* 1 and the point's entry if x and y are below p and on the curve, else 0. */
int ks_p256_point_read(p256_entry *point, const uint8_t x[P256_OCTETS],
                       const uint8_t y[P256_OCTETS]);

/* points[i] := 2^(spacing i) · point */
#define P256_MOST_POWERS 33u
void ks_p256_powers(p256_entry *points, size_t count, unsigned spacing, const p256_entry *point);

/* Each element becomes its inverse, with one inversion for all; one that is 0 stays 0. */
#define P256_MOST_FIELD_INVERTED 32u
void ks_p256_invert_all(uint64_t (*elements)[P256_LIMBS], size_t count);

#endif
