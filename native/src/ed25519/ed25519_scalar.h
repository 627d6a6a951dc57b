/*
 * Arithmetic modulo L, the order of the base point: S and the hash, as digits.
 *
 * Representation. ed25519_words.h, below L.
 */
#ifndef ED25519_SCALAR_H
#define ED25519_SCALAR_H

#include "ed25519_words.h"

/*
 * Digits. A multiplier u is written in base 2^w with digits from -2^(w-1) to 2^(w-1) - 1, so that half
 * of the multiples do. With
 *
 *   word = u + Σ 2^(w-1) · 2^(w i)
 *
 * the w bits of `word` from bit w i on, less 2^(w-1), are the digit of weight 2^(w i), whatever
 * neighbours it has; w divides 260. A digit may be 0: the formulas of this curve add the neutral point
 * like any other, so a table simply has it. (Odd digits without 0, as P-256 has them, would write L - u
 * for an even u; but a hostile key may have a part of small order, on which L - u is not -u.)
 */
#define ED25519_DIGIT_BITS 260u
#define ED25519_DIGIT_WORDS 5u

typedef struct ed25519_digits {
    uint64_t word[ED25519_DIGIT_WORDS];
} ed25519_digits;

/* The widths that the kernels' tables have. */
#define ED25519_WIDE_BITS 10u
#define ED25519_NARROW_BITS 5u

/* S of a signature must be below L (RFC 8032 §5.1.7 step 1); 0 is. */
int ks_ed25519_scalar_in_range(const ed25519_number *s);

/* The 64 octets of a SHA-512 digest, little-endian, modulo L. */
ed25519_number ks_ed25519_scalar_reduce(const uint8_t digest[2 * ED25519_OCTETS]);

/* `width` is one of the two above. */
ed25519_digits ks_ed25519_digits(const ed25519_number *u, unsigned width);

#endif
