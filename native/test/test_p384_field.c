/*
 * The field of P-384 at the limits that the table at the top of p384_field.h allows, against big
 * numbers: the right number, and in the form that the table promises.
 */
#include <openssl/bn.h>
#include <string.h>

#include "check.h"
#include "kernel/kernel_inverse.h"
#include "p384/p384_field.h"

static const uint64_t unit = UINT64_C(1) << P384_LIMB_BITS;
static const uint64_t top_unit = UINT64_C(1) << 48; /* of the topmost limb, where numbers are by p */

static BN_CTX *scratch;
static BIGNUM *prime;

static BIGNUM *number_of(const uint64_t *limbs, int count, int bits) {
    BIGNUM *out = BN_new(), *limb = BN_new();
    CHECK(out != NULL && limb != NULL);
    for (int i = count - 1; i >= 0; i--) {
        CHECK(BN_set_word(limb, limbs[i]) == 1 && BN_lshift(out, out, bits) == 1);
        CHECK(BN_add(out, out, limb) == 1);
    }
    BN_free(limb);
    return out;
}

static BIGNUM *value_of(const fe *a) {
    return number_of(a->limb, P384_LIMBS, P384_LIMB_BITS);
}

/* α p (1 + 2^-40), α being in 256ths. */
static int is_below(const BIGNUM *number, BN_ULONG alpha_256) {
    BIGNUM *most = BN_dup(prime), *part = BN_new();
    CHECK(most != NULL && part != NULL && BN_mul_word(most, alpha_256) == 1);
    CHECK(BN_rshift(most, most, 8) == 1 && BN_rshift(part, most, 40) == 1);
    CHECK(BN_add(most, most, part) == 1);
    int below = BN_cmp(number, most) < 0;
    BN_free(part);
    BN_free(most);
    return below;
}

static void check_settled(const fe *a) {
    for (int i = 0; i < P384_LIMBS; i++) {
        CHECK(a->limb[i] < unit);
    }
}

static int is_congruent(const BIGNUM *a, const BIGNUM *b) {
    BIGNUM *difference = BN_new();
    CHECK(difference != NULL && BN_mod_sub(difference, a, b, prime, scratch) == 1);
    int is = BN_is_zero(difference);
    BN_free(difference);
    return is;
}

/* --- operands ----------------------------------------------------------------------------------- */

/* Below `limbs` units, and below `multiple` p. */
static fe largest(uint64_t limbs, uint64_t multiple) {
    fe out;
    for (int i = 0; i < P384_LIMBS - 1; i++) {
        out.limb[i] = limbs * unit - 1;
    }
    out.limb[P384_LIMBS - 1] = multiple * top_unit - 1 - limbs;
    return out;
}

static uint64_t random_state = 88172645463325252;

static uint64_t random_word(void) { /* Marsaglia's xorshift: the same in every run */
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* Each limb anywhere up to `most`'s, or at one of the ends. */
static fe random_below(const fe *most) {
    fe out;
    for (int i = 0; i < P384_LIMBS; i++) {
        uint64_t word = random_word(), kind = random_word() % 4;
        out.limb[i] = kind == 0 ? 0 : kind == 1 ? most->limb[i] : word % (most->limb[i] + 1);
    }
    return out;
}

/* --- functions ---------------------------------------------------------------------------------- */

/* found · R = a b + c d, and found < (1 + αα / 256) p, both products of numbers below α p */
static void check_product(const fe *found, const fe *const of[4], BN_ULONG alpha) {
    BIGNUM *left = value_of(found), *sum = BN_new(), *product = BN_new();
    CHECK(sum != NULL && product != NULL);
    check_settled(found);
    CHECK(is_below(left, 256 + 2 * alpha * alpha));
    CHECK(BN_lshift(left, left, P384_LIMBS * P384_LIMB_BITS) == 1);
    for (int i = 0; i < 4; i += 2) {
        BIGNUM *a = value_of(of[i]), *b = value_of(of[i + 1]);
        CHECK(BN_mul(product, a, b, scratch) == 1 && BN_add(sum, sum, product) == 1);
        BN_free(a);
        BN_free(b);
    }
    CHECK(is_congruent(left, sum));
    BN_free(product);
    BN_free(sum);
    BN_free(left);
}

static void check_products_of(const fe *a, const fe *b, const fe *c, const fe *d, BN_ULONG alpha) {
    const fe zero = {{0}};
    fe found = fe_mul(*a, *b);
    check_product(&found, (const fe *[]){a, b, &zero, &zero}, alpha);
    found = fe_square(*c);
    check_product(&found, (const fe *[]){c, c, &zero, &zero}, alpha);
    found = fe_mul_add(*a, *b, *c, *d);
    check_product(&found, (const fe *[]){a, b, c, d}, alpha);
}

static void check_products(void) {
    static const struct {
        uint64_t a, b, c, d;
    } units[] = {{1, 1, 1, 1}, {22, 22, 22, 22}, {32, 16, 16, 32}, {32, 31, 1, 31}, {32, 1, 31, 31}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        const fe a = largest(units[i].a, 15), b = largest(units[i].b, 15);
        const fe c = largest(units[i].c, 15), d = largest(units[i].d, 15);
        check_products_of(&a, &b, &c, &d, 15);
        for (int j = 0; j < 200; j++) {
            const fe e = random_below(&a), f = random_below(&b);
            const fe g = random_below(&c), h = random_below(&d);
            check_products_of(&e, &f, &g, &h, 15);
        }
    }
}

/* a - b + k p, as a number and not only modulo p; and no limb wrapped around. */
static void check_difference(const fe *a, const fe *b, unsigned multiple) {
    fe found = fe_sub(*a, *b, multiple);
    for (int i = 0; i < P384_LIMBS; i++) {
        CHECK(found.limb[i] < a->limb[i] + (multiple + 4) * unit);
    }
    BIGNUM *left = value_of(&found), *right = value_of(b), *sum = value_of(a), *more = BN_dup(prime);
    CHECK(more != NULL && BN_mul_word(more, multiple) == 1 && BN_add(sum, sum, more) == 1);
    CHECK(BN_add(left, left, right) == 1 && BN_cmp(left, sum) == 0);
    BN_free(more);
    BN_free(sum);
    BN_free(right);
    BN_free(left);
}

static void check_differences(void) {
    static const unsigned multiples[] = {2, 4, 8};
    for (int i = 0; i < 3; i++) {
        const fe a = largest(16, 15);
        fe b = largest(4, multiples[i]); /* its top limb: k - 2^-45 p and less */
        for (int limb = 0; limb < P384_LIMBS - 1; limb++) {
            b.limb[limb] = 4 * (unit - 1); /* four times what is settled, and more is never taken */
        }
        b.limb[P384_LIMBS - 1] -= multiples[i];
        check_difference(&a, &b, multiples[i]);
        check_difference(&(fe){{0}}, &b, multiples[i]);
        for (int j = 0; j < 200; j++) {
            const fe c = random_below(&a), d = random_below(&b);
            check_difference(&c, &d, multiples[i]);
        }
    }
}

static void check_folded(const fe *a) {
    fe found = fe_fold(*a);
    BIGNUM *left = value_of(&found), *right = value_of(a);
    check_settled(&found);
    CHECK(is_below(left, 256) && is_congruent(left, right));
    BN_free(right);
    BN_free(left);
}

static void check_folds(void) {
    const fe most = largest(32, 15);
    check_folded(&most);
    for (uint64_t above = 0; above < 15; above++) { /* what is taken off limb 0 makes it negative */
        fe a = {{0}};
        a.limb[P384_LIMBS - 1] = above * top_unit;
        check_folded(&a);
        a.limb[P384_LIMBS - 1] += top_unit - 1;
        check_folded(&a);
    }
    for (int i = 0; i < 200; i++) {
        const fe a = random_below(&most);
        check_folded(&a);
    }
}

static void check_zeros(void) {
    fe multiple = {{0}};
    for (int i = 0; i < 16; i++) {
        CHECK(fe_is_zero(multiple) && fe_is_zero(fe_settle(multiple)));
        multiple.limb[i % P384_LIMBS]++;
        CHECK(!fe_is_zero(multiple));
        multiple.limb[i % P384_LIMBS]--;
        multiple = fe_add(multiple, fe_constant(p384_prime));
    }
}

/* --- inversion ---------------------------------------------------------------------------------- */

static void check_inverse(const BIGNUM *number, const BIGNUM *modulus, const ks_modulus_384 *of) {
    uint8_t octets[P384_OCTETS];
    uint64_t words[P384_WORDS], inverse[P384_WORDS];
    CHECK(BN_bn2binpad(number, octets, sizeof octets) == sizeof octets);
    ks_words_read(words, octets, P384_WORDS);
    ks_invert_384(inverse, words, of);
    BIGNUM *found = number_of(inverse, P384_WORDS, 64), *product = BN_new();
    CHECK(product != NULL && BN_cmp(found, modulus) < 0);
    CHECK(BN_mod_mul(product, found, number, modulus, scratch) == 1);
    CHECK(BN_is_zero(number) ? BN_is_zero(found) : BN_is_one(product));
    BN_free(product);
    BN_free(found);
}

static void check_inverses(void) {
    const ks_modulus_384 of = {.words = {0x00000000ffffffff, 0xffffffff00000000, 0xfffffffffffffffe,
                                         0xffffffffffffffff, 0xffffffffffffffff,
                                         0xffffffffffffffff},
                               .inverse_62 = 0x3ffffffeffffffff};
    BIGNUM *a = BN_new();
    CHECK(a != NULL);
    for (BN_ULONG i = 0; i < 70; i++) {
        CHECK(BN_set_word(a, i) == 1);
        check_inverse(a, prime, &of);
        CHECK(i == 0 || BN_sub(a, prime, a) == 1);
        check_inverse(a, prime, &of);
        CHECK(BN_one(a) == 1 && BN_lshift(a, a, (int)(5 * i)) == 1);
        check_inverse(a, prime, &of);
        CHECK(BN_rand_range(a, prime) == 1);
        check_inverse(a, prime, &of);
    }
    BN_free(a);
}

/* --- words -------------------------------------------------------------------------------------- */

static void check_words(void) {
    for (int i = 0; i < 384; i++) {
        uint64_t words[P384_WORDS] = {0}, limbs[P384_LIMBS], back[P384_WORDS];
        words[i / 64] = UINT64_C(1) << i % 64;
        p384_limbs_of(limbs, words);
        CHECK(limbs[i / P384_LIMB_BITS] == UINT64_C(1) << i % P384_LIMB_BITS);
        p384_words_of(back, limbs);
        CHECK(memcmp(back, words, sizeof words) == 0);
    }
}

void test_p384_field(void) {
    scratch = BN_CTX_new();
    prime = number_of(p384_prime, P384_LIMBS, P384_LIMB_BITS);
    CHECK(scratch != NULL);
    check_products();
    check_differences();
    check_folds();
    check_zeros();
    check_inverses();
    check_words();
    BN_free(prime);
    BN_CTX_free(scratch);
}
