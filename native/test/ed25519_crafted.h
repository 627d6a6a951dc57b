/*
 * Points of edwards25519 by big numbers and the textbook's addition law, so that tests know points that
 * no key generator makes: of small order, of mixed order, and encoded as nobody should.
 */
#ifndef ED25519_CRAFTED_H
#define ED25519_CRAFTED_H

#include <openssl/bn.h>

#include "ed25519/ed25519_kernel.h"

typedef struct edwards {
    BIGNUM *x, *y;
} edwards;

void edwards_open(void);
void edwards_close(void);

/* Points, to be freed by the caller. */
edwards edwards_base(void);
edwards edwards_sum(const edwards *a, const edwards *b);
edwards edwards_multiple(const BIGNUM *times, const edwards *of);
/* The eight points whose order divides 8: 0 the neutral one, 1 of order 8, and k is k times point 1. */
edwards edwards_torsion(unsigned k);
void edwards_free(edwards *point);

/* The point with this y, reduced, and an even x; 0 if there is none. */
int edwards_with_y(edwards *out, const BIGNUM *y);

ed25519_point edwards_point(const edwards *of);
/* times · B + torsion k, encoded (RFC 8032 §5.1.2). */
void edwards_encode(uint8_t octets[ED25519_OCTETS], const BIGNUM *times, unsigned torsion);
void edwards_encode_point(uint8_t octets[ED25519_OCTETS], const edwards *of);

/* Numbers, to be freed by the caller. */
BIGNUM *edwards_order(void);
BIGNUM *edwards_prime(void);
BIGNUM *number_word(int64_t word); /* modulo L */
BIGNUM *number_any(void);          /* below L */
ed25519_number number_write(const BIGNUM *of);

/* What a verifier is given. The signature of `message`, an octet. */
typedef struct crafted25519 {
    uint8_t key[ED25519_OCTETS];
    uint8_t signature[2 * ED25519_OCTETS];
    uint8_t message;
    int valid; /* by OpenSSL */
} crafted25519;

/*
 * With the S that is right for the key secret · B and R = nonce · B. The octets may say something else:
 * the same points with others of small order added, or spelt in another way.
 */
crafted25519 craft25519(const BIGNUM *secret, const uint8_t key[ED25519_OCTETS],
                        const BIGNUM *nonce, const uint8_t r[ED25519_OCTETS], uint8_t message);
/* A valid one. */
crafted25519 craft25519_any(void);

/* Asks OpenSSL again, after a change. */
void crafted25519_settle(crafted25519 *of);

/* What a kernel is given; 0 if S is not below L, and it must not be. */
int crafted25519_read(ed25519_signature *signature, const crafted25519 *of, unsigned width);

#endif
