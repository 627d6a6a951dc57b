/*
 * Signatures with multipliers of our choice. Who knows d may pick u1 and u2 first: with Q = d G and
 * R = u1 G + u2 Q, the numbers r = x(R), s = r / u2 and digest = u1 s are a valid signature.
 */
#ifndef P256_CRAFTED_H
#define P256_CRAFTED_H

#include <openssl/bn.h>

#include "p256/p256_kernel.h"

typedef struct crafted {
    p256_signature signature; /* with u1 and u2 ready */
    p256_entry point;
    int valid; /* by OpenSSL */
} crafted;

void crafting_open(void);
void crafting_close(void);

/* From u1, u2 and d; where R is the point at infinity, r is 1 and the signature not valid. */
crafted craft(const BIGNUM *u1, const BIGNUM *u2, const BIGNUM *d);
crafted craft_words(uint64_t u1, uint64_t u2, uint64_t d);
/* Random ones. */
crafted craft_any(void);

/* Numbers modulo n, to be freed by the caller. Negative words stand for n less them. */
BIGNUM *scalar_word(int64_t word);
BIGNUM *scalar_any(void);
BIGNUM *scalar_sum(const BIGNUM *a, const BIGNUM *b);
BIGNUM *scalar_difference(const BIGNUM *a, const BIGNUM *b);
BIGNUM *scalar_product(const BIGNUM *a, const BIGNUM *b);
BIGNUM *scalar_quotient(const BIGNUM *a, const BIGNUM *b);

/* A valid signature whose R has an x that n is subtracted from: r + n is its x. */
crafted craft_with_x_above_the_order(void);

/* The same signature with digest + n, which is the same digest; 0 if that does not fit 256 bits. */
int crafted_raise_digest(crafted *of);

#endif
