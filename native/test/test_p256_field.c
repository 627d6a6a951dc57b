/*
 * The field of the kernel without lanes, against big numbers: every product that this CPU has, sums, and
 * the ways in and out, at the edges of words, of p and of 2^256.
 */
#include <openssl/bn.h>
#include <string.h>

#include "check.h"
#include "p256/p256_field_portable.h"

static BN_CTX *scratch;
static BIGNUM *prime;

/* --- numbers ------------------------------------------------------------------------------------ */

static BIGNUM *number_of(fe a) {
    BIGNUM *out = BN_lebin2bn((const unsigned char *)a.word, sizeof a.word, NULL);
    CHECK(out != NULL);
    return out;
}

static fe words_of(const BIGNUM *a) {
    fe out;
    CHECK(BN_bn2lebinpad(a, (unsigned char *)out.word, sizeof out.word) == sizeof out.word);
    return out;
}

static int are_equal(fe a, fe b) {
    return memcmp(a.word, b.word, sizeof a.word) == 0;
}

/* a / 2^bits modulo p, of which `a` is freed. */
static fe divided(BIGNUM *a, int bits) {
    BIGNUM *power = BN_new();
    CHECK(power != NULL && BN_set_bit(power, bits) == 1);
    CHECK(BN_mod_inverse(power, power, prime, scratch) != NULL);
    CHECK(BN_mod_mul(a, a, power, prime, scratch) == 1);
    fe out = words_of(a);
    BN_free(power);
    BN_free(a);
    return out;
}

/* --- operands ----------------------------------------------------------------------------------- */

#define MOST_EDGES 64

static fe edges[MOST_EDGES];
static size_t edge_count, edges_below_p;

static void edge_add(BIGNUM *of, BN_ULONG more, BN_ULONG less) {
    CHECK(BN_add_word(of, more) == 1 && BN_sub_word(of, less) == 1 && edge_count < MOST_EDGES);
    edges[edge_count++] = words_of(of);
    BN_free(of);
}

static BIGNUM *power_of_two(int bit) {
    BIGNUM *out = BN_new();
    CHECK(out != NULL && BN_set_bit(out, bit) == 1);
    return out;
}

/* Those below p come first. */
static void edges_make(void) {
    static const int bits[] = {1, 4, 32, 64, 96, 128, 192, 224, 255};
    edge_count = 0;
    edge_add(power_of_two(0), 0, 1);
    edge_add(power_of_two(0), 0, 0);
    for (size_t i = 0; i < sizeof bits / sizeof bits[0]; i++) {
        edge_add(power_of_two(bits[i]), 0, 1);
        edge_add(power_of_two(bits[i]), 0, 0);
        edge_add(power_of_two(bits[i]), 1, 0);
    }
    edge_add(BN_dup(prime), 0, 1);
    edge_add(BN_dup(prime), 0, 2);
    for (int i = 0; i < 12; i++) {
        BIGNUM *any = BN_new();
        CHECK(any != NULL && BN_rand_range(any, prime) == 1);
        edge_add(any, 0, 0);
    }
    edges_below_p = edge_count;
    edge_add(BN_dup(prime), 0, 0);
    edge_add(BN_dup(prime), 1, 0);
    for (int word = 0; word < P256_WORDS; word++) { /* all ones, but for one word */
        fe ones = {{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};
        ones.word[word] -= word < P256_WORDS - 1 ? UINT64_MAX : 1;
        edges[edge_count++] = ones;
    }
    edges[edge_count++] = (fe){{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};
    CHECK(edge_count <= MOST_EDGES);
}

/* --- checks ------------------------------------------------------------------------------------- */

static void check_product(p256_product *product, fe a, fe b) {
    BIGNUM *x = number_of(a), *y = number_of(b);
    CHECK(BN_mod_mul(x, x, y, prime, scratch) == 1);
    fe expected = divided(x, 256), out, in_place = a, in_other_place = b;
    product(&out, &a, &b);
    product(&in_place, &in_place, &b);
    product(&in_other_place, &a, &in_other_place);
    CHECK(are_equal(out, expected) && are_equal(in_place, out) && are_equal(in_other_place, out));
    BN_free(y);
}

/* a is below 2^256, b below p. */
static void check_products(p256_product *product) {
    for (size_t i = 0; i < edge_count; i++) {
        for (size_t j = 0; j < edges_below_p; j++) {
            check_product(product, edges[i], edges[j]);
            check_product(product, edges[j], edges[i]);
        }
    }
}

static void check_sums(fe a, fe b) {
    BIGNUM *x = number_of(a), *y = number_of(b), *out = BN_new();
    CHECK(BN_mod_add(out, x, y, prime, scratch) == 1 && are_equal(fe_add(a, b), words_of(out)));
    CHECK(BN_mod_sub(out, x, y, prime, scratch) == 1 && are_equal(fe_sub(a, b, 2), words_of(out)));
    CHECK(BN_mod_lshift(out, x, 2, prime, scratch) == 1 &&
          are_equal(fe_times_4(a), words_of(out)));
    CHECK(BN_mod_sub(out, out, x, prime, scratch) == 1 && are_equal(fe_times_3(a), words_of(out)));
    CHECK(are_equal(fe_negate(a, 2), fe_sub((fe){{0}}, a, 2)));
    CHECK(are_equal(fe_choose(1, a, b), a) && are_equal(fe_choose(0, a, b), b));
    CHECK(are_equal(fe_mul_add(a, b, b, b), fe_mul(fe_add(a, b), b)));
    CHECK(are_equal(fe_mul_double(a, b), fe_times_2(fe_mul(a, b))));
    CHECK(are_equal(fe_square(a), fe_mul(a, a)));
    BN_free(out);
    BN_free(x);
    BN_free(y);
}

/* Every form in memory: words of 256 bits, and limbs below 2p. */
static void check_ways_in_and_out(fe a) {
    BIGNUM *plain = number_of(a);
    uint64_t words[P256_WORDS], limbs[P256_LIMBS];
    fe_write(words, fe_of(a.word));
    CHECK(BN_nnmod(plain, plain, prime, scratch) == 1);
    fe reduced = words_of(plain);
    CHECK(memcmp(words, reduced.word, sizeof words) == 0);
    fe_store(limbs, reduced);
    CHECK(are_equal(fe_load(limbs), reduced));
    p256_limbs_of(limbs, a.word);
    CHECK(are_equal(fe_load(limbs), divided(number_of(a), 4)));
    for (int i = 0; i < P256_LIMBS; i++) { /* the limbs of a + p, which 256 bits need not hold */
        uint64_t carry = i > 0 ? limbs[i - 1] >> P256_LIMB_BITS : 0;
        limbs[i] += p256_prime[i] + carry;
        if (i > 0) {
            limbs[i - 1] &= P256_LIMB_MASK;
        }
    }
    CHECK(are_equal(fe_load(limbs), divided(number_of(reduced), 4)));
    BN_free(plain);
}

static void check_inverse(fe a) {
    fe expected = fe_is_zero(a) ? a : fe_one();
    CHECK(are_equal(fe_mul(a, fe_invert(a)), expected));
}

void test_p256_field(void) {
    static const unsigned char p[] = {0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                      0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                      0xff, 0xff, 0xff};
    scratch = BN_CTX_new();
    prime = BN_bin2bn(p, sizeof p, NULL);
    CHECK(scratch != NULL && prime != NULL);
    edges_make();
    check_products(ks_p256_product_in_c);
#if defined(__x86_64__)
    check_products(ks_p256_product_x86_64);
    if (ks_p256_has_adx()) {
        check_products(ks_p256_product_adx);
    }
#endif
    for (size_t i = 0; i < edge_count; i++) {
        check_ways_in_and_out(edges[i]);
        for (size_t j = 0; i < edges_below_p && j < edges_below_p; j++) {
            check_sums(edges[i], edges[j]);
        }
        if (i < edges_below_p) {
            check_inverse(edges[i]);
        }
    }
    BN_free(prime);
    BN_CTX_free(scratch);
}
