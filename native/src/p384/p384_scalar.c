#include "p384_scalar.h"

#include "kernel/kernel_inverse.h"

#define WORDS P384_WORDS
#define DIGIT_BITS P384_DIGIT_BITS
#define MOST_INVERTED P384_MOST_INVERTED
typedef p384_signature signature_numbers;
typedef p384_digits signature_digits;

typedef struct scalar {
    uint64_t word[WORDS];
} scalar;

#define ORDER_WORDS                                                                                \
    0xecec196accc52973, 0x581a0db248b0a77a, 0xc7634d81f4372ddf, 0xffffffffffffffff,                \
        0xffffffffffffffff, 0xffffffffffffffff
static const uint64_t order[WORDS] = {ORDER_WORDS};
static const ks_modulus_384 order_modulus = {.words = {ORDER_WORDS},
                                             .inverse_62 = 0x112b9f76177023bb};
/* -1 / n modulo 2^64, and 2^768 modulo n. */
#define ORDER_INVERSE UINT64_C(0x6ed46089e88fdc45)
static const scalar order_r2 = {{0x2d319b2419b409a9, 0xff3d81e5df1aa419, 0xbc3e483afcb82947,
                                 0xd40d49174aab1cc5, 0x3fb05b7a28266895, 0x0c84ee012b39bf21}};

static void order_invert(uint64_t inverse[WORDS], const uint64_t a[WORDS]) {
    ks_invert_384(inverse, a, &order_modulus);
}

#include "kernel/kernel_scalar.h"

int ks_p384_scalar_in_range(const uint64_t a[P384_WORDS]) {
    return scalar_in_range(a);
}

void ks_p384_multipliers(p384_signature *const *signatures, size_t count) {
    multipliers_compute(signatures, count);
}
