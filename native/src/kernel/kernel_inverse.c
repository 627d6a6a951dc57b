#include "kernel_inverse.h"

#define WORDS KS_INVERSE_WORDS
typedef ks_modulus modulus_words;
#include "kernel_division_steps.h"

void ks_invert(uint64_t inverse[KS_INVERSE_WORDS], const uint64_t a[KS_INVERSE_WORDS],
               const ks_modulus *modulus) {
    invert(inverse, a, modulus);
}
