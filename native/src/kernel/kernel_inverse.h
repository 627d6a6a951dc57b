/* One inversion modulo a prime of up to 256 or 384 bits: a field's, or a group's order. */
#ifndef KERNEL_INVERSE_H
#define KERNEL_INVERSE_H

#include <stdint.h>

#define KS_INVERSE_WORDS 4 /* of 64 bits, the lowest first */

typedef struct ks_modulus {
    uint64_t words[KS_INVERSE_WORDS];
    uint64_t inverse_62; /* 1 / modulus, modulo 2^62 */
} ks_modulus;

/* inverse := 1 / a; 0 has none and gives 0. a is below the modulus. Its time depends on a. */
void ks_invert(uint64_t inverse[KS_INVERSE_WORDS], const uint64_t a[KS_INVERSE_WORDS],
               const ks_modulus *modulus);

#define KS_INVERSE_384_WORDS 6

typedef struct ks_modulus_384 {
    uint64_t words[KS_INVERSE_384_WORDS];
    uint64_t inverse_62;
} ks_modulus_384;

/* The same for longer numbers. */
void ks_invert_384(uint64_t inverse[KS_INVERSE_384_WORDS], const uint64_t a[KS_INVERSE_384_WORDS],
                   const ks_modulus_384 *modulus);

#endif
