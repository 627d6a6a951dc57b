/*
 * Numbers modulo p, the prime of NIST P-256 (FIPS 186-5, SP 800-186 §3.2.1.3), as lanes compute with
 * them and as a key's point is in memory. Without lanes p256_words.h is what computes.
 *
 *   p = 2^256 - 2^224 + 2^192 + 2^96 - 1
 *
 * A number is five limbs of 52 bits, the lowest first: a = Σ limb[i] · 2^(52 i). 52 bits is what the
 * AVX-512 IFMA instructions multiply, and 5 · 52 = 260 leaves four bits above p for sums that were
 * not reduced. Products are Montgomery's (Math. Comp. 44, 1985) with R = 2^260: a stands for
 * a · R mod p, and a product of a and b is a · b / R.
 */
#ifndef P256_LIMBS_H
#define P256_LIMBS_H

#include <stdint.h>

#include "kernel/kernel_words.h"

#define P256_LIMBS 5
#define P256_LIMB_BITS 52
#define P256_LIMB_MASK ((UINT64_C(1) << P256_LIMB_BITS) - 1)
#define P256_WORDS 4 /* of 64 bits, where a number is not in limbs */
#define P256_OCTETS 32

static const uint64_t p256_prime[P256_LIMBS] = {0xfffffffffffff, 0x00fffffffffff, 0x0000000000000,
                                                0x0001000000000, 0x0ffffffff0000};
/* 1 and R in Montgomery's form: R and R² modulo p. */
static const uint64_t p256_one[P256_LIMBS] = {0x0000000000010, 0xf000000000000, 0xfffffffffffff,
                                              0xffeffffffffff, 0x00000000fffff};
static const uint64_t p256_r1[P256_LIMBS] = {0x0000000000300, 0xffffffff00000, 0xffffefffffffb,
                                             0xfdfffffffffff, 0x0000004ffffff};

/* p - n, in words, n being the group's order: an r below it stands for the x coordinates r and r + n. */
#define P256_PRIME_LESS_ORDER 0x0c46353d039cdaae, 0x4319055358e8617b, 0, 0
/* n in Montgomery's form. */
static const uint64_t p256_order[P256_LIMBS] = {0x69483335f5689, 0x3d3fe99319ad1, 0x2e96b789b1054,
                                                0xfeb0c0166ce65, 0x08648c209fe30};

/* The limbs of a number below 2^256. */
static inline void p256_limbs_of(uint64_t limbs[P256_LIMBS], const uint64_t words[P256_WORDS]) {
    limbs[0] = words[0] & P256_LIMB_MASK;
    limbs[1] = (words[0] >> 52 | words[1] << 12) & P256_LIMB_MASK;
    limbs[2] = (words[1] >> 40 | words[2] << 24) & P256_LIMB_MASK;
    limbs[3] = (words[2] >> 28 | words[3] << 36) & P256_LIMB_MASK;
    limbs[4] = words[3] >> 16;
}

static inline void p256_words_read(uint64_t words[P256_WORDS], const uint8_t octets[P256_OCTETS]) {
    ks_words_read(words, octets, P256_WORDS);
}

static inline int p256_words_below(const uint64_t a[P256_WORDS], const uint64_t b[P256_WORDS]) {
    return ks_words_below(a, b, P256_WORDS);
}

static inline int p256_words_are_zero(const uint64_t a[P256_WORDS]) {
    return ks_words_are_zero(a, P256_WORDS);
}

#endif
