/* One inversion modulo p or modulo n, the group's order. */
#ifndef P256_INVERSE_H
#define P256_INVERSE_H

#include "p256_limbs.h"

typedef struct p256_modulus {
    uint64_t words[P256_WORDS];
    uint64_t inverse_62; /* modulo 2^62 */
} p256_modulus;

extern const p256_modulus ks_p256_field;
extern const p256_modulus ks_p256_order;

/* inverse := 1 / a; 0 has none and gives 0. a is below the modulus. Its time depends on a. */
void ks_p256_invert(uint64_t inverse[P256_WORDS], const uint64_t a[P256_WORDS],
                    const p256_modulus *modulus);

#endif
