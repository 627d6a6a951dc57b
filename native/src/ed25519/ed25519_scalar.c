#include "ed25519_scalar.h"

__extension__ typedef unsigned __int128 wide;

static const ed25519_number order = {
    {0x5812631a5cf5d3ed, 0x14def9dea2f79cd6, 0x0000000000000000, 0x1000000000000000}};

/* floor(2^512 / L), of 260 bits. */
#define FACTOR_WORDS 5
static const uint64_t factor[FACTOR_WORDS] = {0xed9ce5a30a2c131b, 0x2106215d086329a7,
                                              0xffffffffffffffeb, 0xffffffffffffffff, 0xf};

int ks_ed25519_scalar_in_range(const ed25519_number *s) {
    return ed25519_number_below(s, &order);
}

/* sum[0 … count] += a · b, a having `count` words; what is carried out of the last one is lost. */
static void words_add_product(uint64_t *sum, const uint64_t *a, int count, uint64_t b) {
    wide carry = 0;
    for (int i = 0; i < count; i++) {
        carry += (wide)a[i] * b + sum[i];
        sum[i] = (uint64_t)carry;
        carry >>= 64;
    }
    sum[count] += (uint64_t)carry;
}

/* a -= b, five words of a and four of b; what is borrowed in the end. */
static uint64_t words_subtract(uint64_t a[5], const uint64_t *b, int count) {
    uint64_t borrow = 0;
    for (int i = 0; i < 5; i++) {
        wide difference = (wide)a[i] - (i < count ? b[i] : 0) - borrow;
        a[i] = (uint64_t)difference;
        borrow = (uint64_t)(difference >> 64) & 1;
    }
    return borrow;
}

/*
 * Barrett's reduction (Handbook of Applied Cryptography, algorithm 14.42, with b = 2^64 and k = 4): the
 * quotient from the upper five words is at most 2 too small, so the remainder is found modulo 2^320
 * and L is taken off it twice at most.
 */
ed25519_number ks_ed25519_scalar_reduce(const uint8_t digest[2 * ED25519_OCTETS]) {
    const ed25519_number low = ed25519_number_read(digest);
    const ed25519_number high = ed25519_number_read(digest + ED25519_OCTETS);
    const uint64_t upper[5] = {low.word[3], high.word[0], high.word[1], high.word[2], high.word[3]};
    uint64_t quotient[2 * FACTOR_WORDS] = {0}, product[2 * FACTOR_WORDS] = {0};
    for (int i = 0; i < FACTOR_WORDS; i++) {
        words_add_product(quotient + i, factor, FACTOR_WORDS, upper[i]);
    }
    for (int i = 0; i < FACTOR_WORDS; i++) {
        words_add_product(product + i, order.word, ED25519_WORDS, quotient[FACTOR_WORDS + i]);
    }
    uint64_t rest[5] = {low.word[0], low.word[1], low.word[2], low.word[3], high.word[0]};
    (void)words_subtract(rest, product, 5); /* modulo 2^320 */
    for (;;) {
        uint64_t less[5] = {rest[0], rest[1], rest[2], rest[3], rest[4]};
        if (words_subtract(less, order.word, ED25519_WORDS)) {
            return (ed25519_number){{rest[0], rest[1], rest[2], rest[3]}};
        }
        for (int i = 0; i < 5; i++) {
            rest[i] = less[i];
        }
    }
}

/* Σ 2^(w-1) · 2^(w i) for all digits of 260 bits. */
static const ed25519_digits raise_10 = {{0x0802008020080200, 0x0080200802008020, 0x2008020080200802,
                                         0x0200802008020080, 0x8}};
static const ed25519_digits raise_5 = {{0x0842108421084210, 0x1084210842108421, 0x2108421084210842,
                                        0x4210842108421084, 0x8}};

ed25519_digits ks_ed25519_digits(const ed25519_number *u, unsigned width) {
    ed25519_digits out = width == ED25519_WIDE_BITS ? raise_10 : raise_5;
    wide carry = 0;
    for (unsigned i = 0; i < ED25519_DIGIT_WORDS; i++) {
        carry += (wide)out.word[i] + (i < ED25519_WORDS ? u->word[i] : 0);
        out.word[i] = (uint64_t)carry;
        carry >>= 64;
    }
    return out;
}
