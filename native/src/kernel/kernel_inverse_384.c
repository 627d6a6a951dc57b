#include "kernel_inverse.h"

#define WORDS KS_INVERSE_384_WORDS
typedef ks_modulus_384 modulus_words;
#include "kernel_division_steps.h"

void ks_invert_384(uint64_t inverse[KS_INVERSE_384_WORDS], const uint64_t a[KS_INVERSE_384_WORDS],
                   const ks_modulus_384 *modulus) {
    invert(inverse, a, modulus);
}
