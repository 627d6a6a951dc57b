/*
 * Numbers modulo p in four words of 64 bits, the lowest first, always below p, with Montgomery's product
 * for R = 2^256: what a kernel without lanes computes with.
 */
#ifndef P256_WORDS_H
#define P256_WORDS_H

#include <stdatomic.h>
#include <stdint.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "p256_limbs.h"

typedef struct p256_words {
    uint64_t word[P256_WORDS];
} p256_words;

#define P256_PRIME_TOP UINT64_C(0xffffffff00000001)
static const p256_words p256_prime_words = {{0xffffffffffffffff, 0x00000000ffffffff, 0, P256_PRIME_TOP}};

#define P256_INLINE static inline __attribute__((always_inline))

/* --- one word ----------------------------------------------------------------------------------- */

/* 0 or 1 */
typedef unsigned char p256_carry;

/* *sum := a + b + carry; returns what does not fit. */
P256_INLINE p256_carry word_add(uint64_t *sum, uint64_t a, uint64_t b, p256_carry carry) {
#if defined(__x86_64__)
    unsigned long long out;
    carry = _addcarry_u64(carry, a, b, &out);
    *sum = out;
    return carry;
#else
    __extension__ unsigned __int128 out = (unsigned __int128)a + b + carry;
    *sum = (uint64_t)out;
    return (p256_carry)(out >> 64);
#endif
}

/* *difference := a - b - borrow; returns what was borrowed. */
P256_INLINE p256_carry word_sub(uint64_t *difference, uint64_t a, uint64_t b, p256_carry borrow) {
#if defined(__x86_64__)
    unsigned long long out;
    borrow = _subborrow_u64(borrow, a, b, &out);
    *difference = out;
    return borrow;
#else
    __extension__ unsigned __int128 out = (unsigned __int128)a - b - borrow;
    *difference = (uint64_t)out;
    return (p256_carry)((out >> 64) & 1);
#endif
}

/* --- sums --------------------------------------------------------------------------------------- */

/* a - p if that is not negative; a is below 2p, the bit above its words in `above`. */
P256_INLINE p256_words words_reduce(p256_words a, uint64_t above) {
    p256_words less;
    uint64_t ignored;
    p256_carry borrow = 0;
    for (int i = 0; i < P256_WORDS; i++) {
        borrow = word_sub(&less.word[i], a.word[i], p256_prime_words.word[i], borrow);
    }
    borrow = word_sub(&ignored, above, 0, borrow);
    uint64_t where_negative = 0 - (uint64_t)borrow; /* a mask: no CPU foresees this branch */
    for (int i = 0; i < P256_WORDS; i++) {
        less.word[i] ^= (less.word[i] ^ a.word[i]) & where_negative;
    }
    return less;
}

P256_INLINE p256_words words_add(p256_words a, p256_words b) {
    p256_carry carry = 0;
    for (int i = 0; i < P256_WORDS; i++) {
        carry = word_add(&a.word[i], a.word[i], b.word[i], carry);
    }
    return words_reduce(a, carry);
}

P256_INLINE p256_words words_sub(p256_words a, p256_words b) {
    p256_carry borrow = 0, carry = 0;
    for (int i = 0; i < P256_WORDS; i++) {
        borrow = word_sub(&a.word[i], a.word[i], b.word[i], borrow);
    }
    uint64_t where_negative = 0 - (uint64_t)borrow;
    for (int i = 0; i < P256_WORDS; i++) {
        carry = word_add(&a.word[i], a.word[i], where_negative & p256_prime_words.word[i], carry);
    }
    return a;
}

/* --- products ----------------------------------------------------------------------------------- */

/*
 * *out := a · b / 2^256 modulo p, below p, for a and b below 2^256 with a · b < 2^256 p; `out` may be one
 * of them. p256_words.c says how.
 */
typedef void p256_product(p256_words *out, const p256_words *a, const p256_words *b);

p256_product ks_p256_product_in_c;
#if defined(__x86_64__)
p256_product ks_p256_product_x86_64;
p256_product ks_p256_product_adx; /* only where ks_p256_has_adx() */
int ks_p256_has_adx(void);
#endif

/* The fastest that this CPU has. */
extern p256_product *_Atomic ks_p256_product;

P256_INLINE p256_words words_product(p256_words a, p256_words b) {
    p256_words out;
    atomic_load_explicit(&ks_p256_product, memory_order_relaxed)(&out, &a, &b);
    return out;
}

#endif
