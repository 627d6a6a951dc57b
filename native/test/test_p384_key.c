/* Keys of P-384 in the cache: which have tables, and that two keys with one x have two names. */
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>
#include <string.h>

#include "check.h"
#include "p384/p384_key.h"

typedef struct octets {
    uint8_t x[P384_OCTETS], y[P384_OCTETS];
} octets;

/* d G for a d that no other test has, or -d G. */
static octets point_of(const EC_GROUP *group, BN_ULONG which, int opposite) {
    octets out;
    EC_POINT *point = EC_POINT_new(group);
    BIGNUM *x = BN_new(), *y = BN_new(), *d = BN_new();
    CHECK(point != NULL && x != NULL && y != NULL && d != NULL && BN_set_word(d, which) == 1);
    CHECK(EC_POINT_mul(group, point, d, NULL, NULL, NULL) == 1);
    CHECK(!opposite || EC_POINT_invert(group, point, NULL) == 1);
    CHECK(EC_POINT_get_affine_coordinates(group, point, x, y, NULL) == 1);
    CHECK(BN_bn2binpad(x, out.x, P384_OCTETS) == P384_OCTETS);
    CHECK(BN_bn2binpad(y, out.y, P384_OCTETS) == P384_OCTETS);
    BN_free(x);
    BN_free(y);
    BN_free(d);
    EC_POINT_free(point);
    return out;
}

static p384_key *key_of(const octets *of, size_t uses) {
    const ks_public_key parameters = {{of->x, P384_OCTETS}, {of->y, P384_OCTETS}};
    p384_key *key = ks_p384_key_open(&parameters, uses);
    CHECK(key != NULL);
    return key;
}

/* The kind of table that a key has; -1 if it has none. `valid` is whether it verifies something. */
static int use(const octets *of, size_t uses, int valid) {
    p384_key *key = key_of(of, uses);
    int kind = key->known.table == NULL ? -1 : (int)key->known.table->kind;
    if (valid) {
        ks_p384_key_proved(key);
        ks_p384_key_proved(key); /* a second one builds no second comb */
    }
    ks_p384_key_close(key);
    return kind;
}

/* Forgers' keys may come as often as they like; a valid signature of a key seen before is one comb. */
static void check_combs_want_a_proof(const octets *holder, const octets *forger) {
    CHECK(use(holder, 1, 1) == -1 && use(forger, 1, 0) == -1); /* new: might never come again */
    CHECK(use(holder, 1, 0) == -1 && use(forger, 1, 0) == -1);
    CHECK(use(holder, 1, 1) == -1 && use(forger, KS_COMB_USES, 0) == -1);
    CHECK(use(holder, 1, 0) == KS_COMB_TABLE && use(forger, 1, 0) == -1);
}

static void check_opposite_keys_have_tables_of_their_own(const octets *key, const octets *opposite) {
    CHECK(memcmp(key->x, opposite->x, sizeof key->x) == 0);
    CHECK(use(key, 1, 0) == KS_COMB_TABLE && use(opposite, 1, 0) == -1);
}

static void check_an_issuer_has_a_wide_table(const octets *issuer) {
    CHECK(use(issuer, KS_EPOCH_USES, 1) == KS_WIDE_TABLE);
    CHECK(use(issuer, 1, 1) == KS_WIDE_TABLE);
}

void test_p384_key(void) {
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_secp384r1);
    CHECK(group != NULL);
    const octets holder = point_of(group, 38401, 0), opposite = point_of(group, 38401, 1);
    const octets forger = point_of(group, 38402, 0), issuer = point_of(group, 38403, 0);
    check_combs_want_a_proof(&holder, &forger);
    check_opposite_keys_have_tables_of_their_own(&holder, &opposite);
    check_an_issuer_has_a_wide_table(&issuer);
    EC_GROUP_free(group);
}
