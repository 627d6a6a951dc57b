/*
 * Numbers modulo p, the prime of NIST P-384 (FIPS 186-5, SP 800-186 §3.2.1.4), as this directory
 * writes them down.
 *
 *   p = 2^384 - 2^128 - 2^96 + 2^32 - 1
 *
 * A number is seven limbs of 56 bits, the lowest first: a = Σ limb[i] · 2^(56 i). 7 · 56 = 392 leaves
 * eight bits above p, and each limb eight bits of its word, for sums that were neither reduced nor
 * carried. Products are Montgomery's (Math. Comp. 44, 1985) with R = 2^392: a stands for a · R mod p,
 * and a product of a and b is a · b / R.
 */
#ifndef P384_LIMBS_H
#define P384_LIMBS_H

#include <stdint.h>

#include "kernel/kernel_words.h"

#define P384_LIMBS 7
#define P384_LIMB_BITS 56
#define P384_LIMB_MASK ((UINT64_C(1) << P384_LIMB_BITS) - 1)
#define P384_WORDS 6 /* of 64 bits, where a number is not in limbs */
#define P384_OCTETS 48

static const uint64_t p384_prime[P384_LIMBS] = {0x000000ffffffff, 0xffff0000000000, 0xfffffffffeffff,
                                                0xffffffffffffff, 0xffffffffffffff, 0xffffffffffffff,
                                                0x00ffffffffffff};
/* 1 and R in Montgomery's form: R and R² modulo p. */
static const uint64_t p384_one[P384_LIMBS] = {0xffff0000000100, 0x00ffffffffffff, 0x00000001000000};
static const uint64_t p384_r1[P384_LIMBS] = {0xfe000000010000, 0x00000000ffffff, 0x00000000000002,
                                             0x0000fffffffe00, 0x01000000020000};

/* p - n, in words, n being the group's order: an r below it stands for the x coordinates r and r + n. */
#define P384_PRIME_LESS_ORDER 0x1313e696333ad68c, 0xa7e5f24cb74f5885, 0x389cb27e0bc8d21f, 0, 0, 0
/* n in Montgomery's form */
static const uint64_t p384_order[P384_LIMBS] = {0xeff5cdc52973ff, 0xac5ac48e112026, 0x55ce630adb2e8f,
                                                0x6767ac08c8e086, 0x7b624c513b93d9, 0xffc7634d81bb9a,
                                                0x00ffffffffffff};

/* The limbs of a number below 2^384: limb i starts eight bits lower in its word than limb i - 1. */
static inline void p384_limbs_of(uint64_t limbs[P384_LIMBS], const uint64_t words[P384_WORDS]) {
    limbs[0] = words[0] & P384_LIMB_MASK;
    for (int i = 1; i < P384_WORDS; i++) {
        limbs[i] = (words[i - 1] >> (64 - 8 * i) | words[i] << 8 * i) & P384_LIMB_MASK;
    }
    limbs[6] = words[5] >> 16;
}

/* The other way; the number is below 2^384 and its limbs below 2^56. */
static inline void p384_words_of(uint64_t words[P384_WORDS], const uint64_t limbs[P384_LIMBS]) {
    for (int i = 0; i < P384_WORDS; i++) {
        words[i] = limbs[i] >> 8 * i | limbs[i + 1] << (56 - 8 * i);
    }
}

#endif
