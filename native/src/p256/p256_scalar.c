#include "p256_scalar.h"

#include <string.h>

#include "kernel/kernel_inverse.h"

__extension__ typedef unsigned __int128 wide;

typedef struct scalar {
    uint64_t word[P256_WORDS];
} scalar;

/* `order` apart from the modulus, because the compiler multiplies faster by what it can see. */
#define ORDER_WORDS 0xf3b9cac2fc632551, 0xbce6faada7179e84, 0xffffffffffffffff, 0xffffffff00000000
static const uint64_t order[P256_WORDS] = {ORDER_WORDS};
static const ks_modulus order_modulus = {.words = {ORDER_WORDS}, .inverse_62 = 0x332e375511ff43b1};
/* -1 / n modulo 2^64, and 2^512 modulo n. */
#define ORDER_INVERSE UINT64_C(0xccd1c8aaee00bc4f)
static const scalar order_r2 = {
    {0x83244c95be79eea2, 0x4699799c49bd6fa6, 0x2845b2392b6bec59, 0x66e12d94f3d95620}};

int ks_p256_scalar_in_range(const uint64_t a[P256_WORDS]) {
    return !p256_words_are_zero(a) && p256_words_below(a, order);
}

/* a - n if that is not negative; a is below 2n, its bit 256 in `above`. */
static scalar order_reduce(scalar a, uint64_t above) {
    scalar less;
    uint64_t borrow = 0;
    for (int i = 0; i < P256_WORDS; i++) {
        wide difference = (wide)a.word[i] - order[i] - borrow;
        less.word[i] = (uint64_t)difference;
        borrow = (uint64_t)(difference >> 64) & 1;
    }
    return above >= borrow ? less : a;
}

/* sum += a · b. What does not fit the five words is returned. */
static inline uint64_t words_add_product(uint64_t sum[P256_WORDS + 1],
                                         const uint64_t a[P256_WORDS], uint64_t b) {
    wide carry = 0;
    for (int i = 0; i < P256_WORDS; i++) {
        carry += (wide)a[i] * b + sum[i];
        sum[i] = (uint64_t)carry;
        carry >>= 64;
    }
    carry += sum[P256_WORDS];
    sum[P256_WORDS] = (uint64_t)carry;
    return (uint64_t)(carry >> 64);
}

/* Montgomery's product a · b / 2^256 modulo n, for a below 2^256 and b below n. */
static scalar scalar_mul(scalar a, scalar b) {
    uint64_t sum[2 * P256_WORDS + 1] = {0};
    /* Word i is cleared with a multiple of n, and the sum goes on from word i + 1. */
    for (int i = 0; i < P256_WORDS; i++) {
        uint64_t above = words_add_product(sum + i, a.word, b.word[i]);
        above += words_add_product(sum + i, order, sum[i] * ORDER_INVERSE);
        sum[i + P256_WORDS + 1] = above;
    }
    scalar upper = {{sum[4], sum[5], sum[6], sum[7]}};
    return order_reduce(upper, sum[2 * P256_WORDS]);
}

static p256_digits digits_of(scalar u) {
    p256_digits out = {.minus = (u.word[0] & 1) == 0};
    if (out.minus) { /* n is odd, so n - u is */
        uint64_t borrow = 0;
        for (int i = 0; i < P256_WORDS; i++) {
            wide difference = (wide)order[i] - u.word[i] - borrow;
            u.word[i] = (uint64_t)difference;
            borrow = (uint64_t)(difference >> 64) & 1;
        }
    }
    for (int i = 0; i < P256_WORDS; i++) {
        uint64_t next = i + 1 < P256_WORDS ? u.word[i + 1] : 0;
        out.word[i] = u.word[i] >> 1 | next << 63;
    }
    out.word[P256_WORDS] = UINT64_C(1) << (P256_DIGIT_BITS - 1 - 256);
    return out;
}

static scalar scalar_of(const uint64_t words[P256_WORDS]) {
    scalar out;
    memcpy(out.word, words, sizeof out.word);
    return out;
}

/*
 * Montgomery's trick (Math. Comp. 48, 1987): invert the product of all s, and go back. Products here
 * divide by R = 2^256: product[k] is s_0 … s_k / R^k, `rest` is R / product[k] on the way back, and so
 * rest · product[k - 1] / R is R / s_k, which times a digest, divided by R, is the digest / s_k.
 */
void ks_p256_multipliers(p256_signature *const *signatures, size_t count) {
    scalar product[P256_MOST_INVERTED], rest;
    if (count == 0) {
        return;
    }
    product[0] = scalar_of(signatures[0]->s);
    for (size_t k = 1; k < count; k++) {
        product[k] = scalar_mul(product[k - 1], scalar_of(signatures[k]->s));
    }
    ks_invert(rest.word, product[count - 1].word, &order_modulus);
    rest = scalar_mul(rest, order_r2);
    for (size_t k = count; k-- > 0;) {
        p256_signature *signature = signatures[k];
        scalar inverse = k > 0 ? scalar_mul(rest, product[k - 1]) : rest;
        signature->u1 = digits_of(scalar_mul(scalar_of(signature->digest), inverse));
        signature->u2 = digits_of(scalar_mul(scalar_of(signature->r), inverse));
        rest = scalar_mul(rest, scalar_of(signature->s));
    }
}
