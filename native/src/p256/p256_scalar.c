#include "p256_scalar.h"

#include "kernel/kernel_inverse.h"

#define WORDS P256_WORDS
#define DIGIT_BITS P256_DIGIT_BITS
#define MOST_INVERTED P256_MOST_INVERTED
typedef p256_signature signature_numbers;
typedef p256_digits signature_digits;

typedef struct scalar {
    uint64_t word[WORDS];
} scalar;

/* `order` apart from the modulus, because the compiler multiplies faster by what it can see. */
#define ORDER_WORDS 0xf3b9cac2fc632551, 0xbce6faada7179e84, 0xffffffffffffffff, 0xffffffff00000000
static const uint64_t order[WORDS] = {ORDER_WORDS};
static const ks_modulus order_modulus = {.words = {ORDER_WORDS}, .inverse_62 = 0x332e375511ff43b1};
/* -1 / n modulo 2^64, and 2^512 modulo n. */
#define ORDER_INVERSE UINT64_C(0xccd1c8aaee00bc4f)
static const scalar order_r2 = {
    {0x83244c95be79eea2, 0x4699799c49bd6fa6, 0x2845b2392b6bec59, 0x66e12d94f3d95620}};

static void order_invert(uint64_t inverse[WORDS], const uint64_t a[WORDS]) {
    ks_invert(inverse, a, &order_modulus);
}

#include "kernel/kernel_scalar.h"

int ks_p256_scalar_in_range(const uint64_t a[P256_WORDS]) {
    return scalar_in_range(a);
}

void ks_p256_multipliers(p256_signature *const *signatures, size_t count) {
    multipliers_compute(signatures, count);
}
