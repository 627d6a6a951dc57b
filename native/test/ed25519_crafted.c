#include "ed25519_crafted.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <string.h>

#include "check.h"

static BN_CTX *scratch;
static BIGNUM *p, *order, *d;
static edwards eighth; /* of order 8 */

static edwards eighth_find(void);

static BIGNUM *number(void) {
    BIGNUM *made = BN_new();
    CHECK(made != NULL);
    return made;
}

static BIGNUM *number_of(const char *decimal) {
    BIGNUM *made = NULL;
    CHECK(BN_dec2bn(&made, decimal) > 0);
    return made;
}

void edwards_open(void) {
    scratch = BN_CTX_new();
    p = number();
    CHECK(scratch != NULL && BN_set_bit(p, 255) == 1 && BN_sub_word(p, 19) == 1);
    order = number_of("27742317777372353535851937790883648493");
    BIGNUM *top = number(), *below = number_of("121666");
    CHECK(BN_set_bit(top, 252) == 1 && BN_add(order, order, top) == 1);
    d = number_of("-121665");
    CHECK(BN_mod_inverse(below, below, p, scratch) != NULL);
    CHECK(BN_mod_mul(d, d, below, p, scratch) == 1 && BN_nnmod(d, d, p, scratch) == 1);
    BN_free(top);
    BN_free(below);
    eighth = eighth_find();
}

void edwards_close(void) {
    BN_free(p);
    BN_free(order);
    BN_free(d);
    edwards_free(&eighth);
    BN_CTX_free(scratch);
}

BIGNUM *edwards_order(void) {
    return BN_dup(order);
}
BIGNUM *edwards_prime(void) {
    return BN_dup(p);
}

BIGNUM *number_word(int64_t word) {
    BIGNUM *out = number();
    CHECK(BN_set_word(out, (BN_ULONG)(word < 0 ? -word : word)) == 1);
    BN_set_negative(out, word < 0);
    CHECK(BN_nnmod(out, out, order, scratch) == 1);
    return out;
}

BIGNUM *number_any(void) {
    BIGNUM *out = number();
    CHECK(BN_rand_range(out, order) == 1);
    return out;
}

ed25519_number number_write(const BIGNUM *of) {
    uint8_t octets[ED25519_OCTETS];
    CHECK(BN_bn2lebinpad(of, octets, sizeof octets) == sizeof octets);
    return ed25519_number_read(octets);
}

/* --- points ------------------------------------------------------------------------------------- */

static BIGNUM *product(const BIGNUM *a, const BIGNUM *b) {
    BIGNUM *out = number();
    CHECK(BN_mod_mul(out, a, b, p, scratch) == 1);
    return out;
}

static BIGNUM *quotient(const BIGNUM *a, const BIGNUM *b) {
    BIGNUM *inverse = BN_mod_inverse(NULL, b, p, scratch);
    CHECK(inverse != NULL);
    BIGNUM *out = product(a, inverse);
    BN_free(inverse);
    return out;
}

void edwards_free(edwards *point) {
    BN_free(point->x);
    BN_free(point->y);
}

int edwards_with_y(edwards *out, const BIGNUM *y) {
    BIGNUM *one = number_of("1"), *u = product(y, y), *v = product(d, u);
    CHECK(BN_sub(u, u, one) == 1 && BN_add(v, v, one) == 1 && BN_nnmod(u, u, p, scratch) == 1);
    BIGNUM *square = quotient(u, v), *x = number();
    *out = (edwards){x, number()};
    CHECK(BN_nnmod(out->y, y, p, scratch) == 1);
    int there = BN_is_zero(square) || BN_kronecker(square, p, scratch) == 1;
    if (there && !BN_is_zero(square)) {
        CHECK(BN_mod_sqrt(x, square, p, scratch) != NULL);
    }
    if (BN_is_odd(x)) {
        CHECK(BN_sub(x, p, x) == 1);
    }
    BIGNUM *all[] = {one, u, v, square};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        BN_free(all[i]);
    }
    if (!there) {
        edwards_free(out);
    }
    return there;
}

edwards edwards_base(void) {
    BIGNUM *four = number_of("4"), *five = number_of("5"), *y = quotient(four, five);
    edwards out;
    CHECK(edwards_with_y(&out, y));
    BN_free(four);
    BN_free(five);
    BN_free(y);
    return out;
}

/* x = (x1 y2 + y1 x2) / (1 + d x1 x2 y1 y2), y = (y1 y2 + x1 x2) / (1 - d x1 x2 y1 y2) */
edwards edwards_sum(const edwards *a, const edwards *b) {
    BIGNUM *xy = product(a->x, b->y), *yx = product(a->y, b->x), *one = number_of("1");
    BIGNUM *xx = product(a->x, b->x), *yy = product(a->y, b->y), *all = product(xx, yy);
    BIGNUM *dall = product(d, all), *plus = number(), *minus = number();
    CHECK(BN_mod_add(plus, one, dall, p, scratch) == 1);
    CHECK(BN_mod_sub(minus, one, dall, p, scratch) == 1);
    CHECK(BN_mod_add(xy, xy, yx, p, scratch) == 1 && BN_mod_add(yy, yy, xx, p, scratch) == 1);
    edwards out = {quotient(xy, plus), quotient(yy, minus)};
    BIGNUM *used[] = {xy, yx, one, xx, yy, all, dall, plus, minus};
    for (size_t i = 0; i < sizeof used / sizeof used[0]; i++) {
        BN_free(used[i]);
    }
    return out;
}

edwards edwards_multiple(const BIGNUM *times, const edwards *of) {
    edwards out = {number(), number_of("1")};
    for (int bit = BN_num_bits(times); bit-- > 0;) {
        edwards twice = edwards_sum(&out, &out);
        edwards_free(&out);
        out = twice;
        if (BN_is_bit_set(times, bit)) {
            edwards more = edwards_sum(&out, of);
            edwards_free(&out);
            out = more;
        }
    }
    return out;
}

static int is_neutral(const edwards *point) {
    return BN_is_zero(point->x) && BN_is_one(point->y);
}

/* L times any point has an order that divides 8; it is 8 where 4 times it is not 0. */
static edwards eighth_find(void) {
    BIGNUM *y = number_of("1"), *four = number_of("4");
    edwards any, out = {NULL, NULL};
    for (int found = 0; !found;) {
        if (BN_add_word(y, 1) != 1 || !edwards_with_y(&any, y)) {
            continue;
        }
        edwards_free(&out);
        out = edwards_multiple(order, &any);
        edwards fourfold = edwards_multiple(four, &out);
        found = !is_neutral(&fourfold);
        edwards_free(&fourfold);
        edwards_free(&any);
    }
    BN_free(y);
    BN_free(four);
    return out;
}

edwards edwards_torsion(unsigned k) {
    BIGNUM *times = number();
    CHECK(BN_set_word(times, k) == 1);
    edwards out = edwards_multiple(times, &eighth);
    BN_free(times);
    return out;
}

ed25519_point edwards_point(const edwards *of) {
    return (ed25519_point){number_write(of->x), number_write(of->y)};
}

void edwards_encode_point(uint8_t octets[ED25519_OCTETS], const edwards *of) {
    CHECK(BN_bn2lebinpad(of->y, octets, ED25519_OCTETS) == ED25519_OCTETS);
    octets[ED25519_OCTETS - 1] |= (uint8_t)(BN_is_odd(of->x) << 7);
}

void edwards_encode(uint8_t octets[ED25519_OCTETS], const BIGNUM *times, unsigned torsion) {
    edwards base = edwards_base(), small = edwards_torsion(torsion);
    edwards multiple = edwards_multiple(times, &base), sum = edwards_sum(&multiple, &small);
    edwards_encode_point(octets, &sum);
    edwards_free(&base);
    edwards_free(&small);
    edwards_free(&multiple);
    edwards_free(&sum);
}

/* --- signatures --------------------------------------------------------------------------------- */

static void hash(uint8_t digest[SHA512_DIGEST_LENGTH], const crafted25519 *of) {
    uint8_t input[2 * ED25519_OCTETS + 1];
    memcpy(input, of->signature, ED25519_OCTETS);
    memcpy(input + ED25519_OCTETS, of->key, ED25519_OCTETS);
    input[2 * ED25519_OCTETS] = of->message;
    CHECK(SHA512(input, sizeof input, digest) != NULL);
}

void crafted25519_settle(crafted25519 *of) {
    EVP_PKEY *key =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, of->key, sizeof of->key);
    EVP_MD_CTX *state = EVP_MD_CTX_new();
    CHECK(key != NULL && EVP_DigestVerifyInit(state, NULL, NULL, NULL, key) == 1);
    of->valid = EVP_DigestVerify(state, of->signature, sizeof of->signature, &of->message, 1) == 1;
    EVP_MD_CTX_free(state);
    EVP_PKEY_free(key);
}

/* S = nonce + h · secret */
static void sign(crafted25519 *of, const BIGNUM *secret, const BIGNUM *nonce) {
    uint8_t digest[SHA512_DIGEST_LENGTH];
    hash(digest, of);
    BIGNUM *h = BN_lebin2bn(digest, sizeof digest, NULL), *s = number();
    CHECK(h != NULL && BN_mod_mul(s, h, secret, order, scratch) == 1);
    CHECK(BN_mod_add(s, s, nonce, order, scratch) == 1);
    CHECK(BN_bn2lebinpad(s, of->signature + ED25519_OCTETS, ED25519_OCTETS) == ED25519_OCTETS);
    BN_free(h);
    BN_free(s);
    crafted25519_settle(of);
}

crafted25519 craft25519(const BIGNUM *secret, const uint8_t key[ED25519_OCTETS],
                        const BIGNUM *nonce, const uint8_t r[ED25519_OCTETS], uint8_t message) {
    crafted25519 out = {.message = message};
    memcpy(out.key, key, sizeof out.key);
    memcpy(out.signature, r, ED25519_OCTETS);
    sign(&out, secret, nonce);
    return out;
}

crafted25519 craft25519_any(void) {
    uint8_t key[ED25519_OCTETS], r[ED25519_OCTETS];
    BIGNUM *secret = number_any(), *nonce = number_any();
    edwards_encode(key, secret, 0);
    edwards_encode(r, nonce, 0);
    crafted25519 out = craft25519(secret, key, nonce, r, r[0]);
    CHECK(out.valid);
    BN_free(secret);
    BN_free(nonce);
    return out;
}

int crafted25519_read(ed25519_signature *signature, const crafted25519 *of, unsigned width) {
    uint8_t digest[SHA512_DIGEST_LENGTH];
    ed25519_number s = ed25519_number_read(of->signature + ED25519_OCTETS);
    hash(digest, of);
    ed25519_number h = ks_ed25519_scalar_reduce(digest);
    signature->r = ed25519_number_read(of->signature);
    signature->s = ks_ed25519_digits(&s, ED25519_WIDE_BITS);
    signature->h = ks_ed25519_digits(&h, width);
    return ks_ed25519_scalar_in_range(&s);
}
