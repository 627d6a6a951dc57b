#include "ks_jwk.h"

#include <string.h>

#include "ks_engine.h"
#include "ks_jws.h"
#include "ks_point.h"

#define STEP_SIGNATURE 6u
#define STEP_PRIVATE 7u
#define MAX_RSA_BYTES (KS_MAX_RSA_BITS / 8)

enum { KTY, CRV, X, Y, N, E, MEMBER_KID, MEMBER_ALG, USE, KEY_OPS, MEMBERS };
enum { D = MEMBERS, P, Q, DP, DQ, QI, OTH, K, JWK_NAMES };
static const ks_name jwk_names[JWK_NAMES] = {
    [KTY] = KS_NAME("kty"),     [CRV] = KS_NAME("crv"),
    [X] = KS_NAME("x"),         [Y] = KS_NAME("y"),
    [N] = KS_NAME("n"),         [E] = KS_NAME("e"),
    [MEMBER_KID] = KS_NAME("kid"), [MEMBER_ALG] = KS_NAME("alg"),
    [USE] = KS_NAME("use"),     [KEY_OPS] = KS_NAME("key_ops"),
    [D] = KS_NAME("d"),         [P] = KS_NAME("p"),
    [Q] = KS_NAME("q"),         [DP] = KS_NAME("dp"),
    [DQ] = KS_NAME("dq"),       [QI] = KS_NAME("qi"),
    [OTH] = KS_NAME("oth"),     [K] = KS_NAME("k"),
};

enum { TYPE_EC, TYPE_OKP, TYPE_RSA, KEY_TYPES };
static const ks_name type_names[KEY_TYPES] = {
    [TYPE_EC] = KS_NAME("EC"), [TYPE_OKP] = KS_NAME("OKP"), [TYPE_RSA] = KS_NAME("RSA")};

enum { P256, P384, P521, CURVES };
static const ks_name curve_names[CURVES] = {
    [P256] = KS_NAME("P-256"), [P384] = KS_NAME("P-384"), [P521] = KS_NAME("P-521")};
static const ks_algorithm curve_algorithm[CURVES] = {
    [P256] = KS_ES256, [P384] = KS_ES384, [P521] = KS_ES512};
static const ks_name ed25519 = KS_NAME("Ed25519");

typedef struct reader {
    const ks_json *header;
    uint32_t at[JWK_NAMES];
    uint8_t *memory;
    ks_jwk *jwk;
} reader;

static ks_refusal malformed(ks_reason reason) {
    return reason == KS_R_NONE ? ks_accepted : ks_malformed(reason, KS_STEP_PROOF);
}

static ks_refusal unsuitable(void) {
    return ks_proof_rejected(KS_R_KEY_UNSUITABLE, STEP_SIGNATURE);
}

static ks_refusal get_string(const reader *self, int name, ks_view *text) {
    if (self->at[name] == 0) {
        return malformed(KS_R_MALFORMED);
    }
    return malformed(ks_member_string(self->header, self->at[name], KS_MAX_JWK_NAME_CHARS, text));
}

/* The bytes of a base64url string, at most `max_bytes` of them. */
static ks_refusal get_bytes(reader *self, int name, size_t max_bytes, ks_view *out) {
    const ks_json_value *value = &self->header->values[self->at[name]];
    if (self->at[name] == 0 || value->kind != KS_JSON_STRING) {
        return malformed(KS_R_MALFORMED);
    }
    ks_view text = value->as.text;
    if (value->count == text.size && text.size * 3 / 4 > max_bytes) {
        return malformed(KS_R_TOO_LARGE); /* one that is not ASCII is malformed whatever its size */
    }
    if (ks_base64url_decode(text, self->memory) != KS_OK) {
        return malformed(KS_R_MALFORMED);
    }
    *out = (ks_view){self->memory, ks_base64url_bytes(text.size)};
    self->memory += out->size + KS_BASE64URL_SLACK;
    return ks_accepted;
}

/* A coordinate at its curve's full length (RFC 7518 §6.2.1.2). */
static ks_refusal get_coordinate(reader *self, int name, size_t size, ks_view *out) {
    ks_refusal refusal = get_bytes(self, name, size, out);
    return ks_is_refused(refusal) || out->size == size ? refusal : malformed(KS_R_MALFORMED);
}

/* A Base64urlUInt: no leading zero byte (RFC 7518 §2). */
static ks_refusal get_unsigned(reader *self, int name, ks_view *out) {
    ks_refusal refusal = get_bytes(self, name, MAX_RSA_BYTES, out);
    if (!ks_is_refused(refusal) && (out->size == 0 || out->data[0] == 0)) {
        return malformed(KS_R_MALFORMED);
    }
    return refusal;
}

/* --- algorithms ----------------------------------------------------------------------------------- */

static unsigned names_of(ks_algorithm algorithm) {
    unsigned names = 0;
    for (unsigned i = 0; i < KS_ALGORITHM_NAMES; i++) {
        names |= (unsigned)(ks_algorithm_of_name(i) == algorithm) << i;
    }
    return names;
}

/* --- the three types ------------------------------------------------------------------------------ */

static ks_refusal read_ec(reader *self) {
    ks_view crv;
    ks_refusal refusal = get_string(self, CRV, &crv);
    if (ks_is_refused(refusal)) {
        return refusal;
    }
    size_t curve = ks_text_choose(crv, curve_names, CURVES);
    if (curve == CURVES) {
        return unsuitable();
    }
    self->jwk->on_curve = 1;
    self->jwk->curve = curve_algorithm[curve];
    self->jwk->verifies = names_of(curve_algorithm[curve]);
    size_t size = ks_coordinate_bytes(curve_algorithm[curve]);
    refusal = get_coordinate(self, X, size, &self->jwk->key.first);
    if (ks_is_refused(refusal)) {
        return refusal;
    }
    return get_coordinate(self, Y, size, &self->jwk->key.second);
}

static ks_refusal read_okp(reader *self) {
    ks_view crv;
    ks_refusal refusal = get_string(self, CRV, &crv);
    if (ks_is_refused(refusal)) {
        return refusal;
    }
    if (!ks_text_is(crv, ed25519)) {
        return unsuitable();
    }
    self->jwk->verifies = names_of(KS_ED25519);
    refusal = get_coordinate(self, X, KS_ED25519_BYTES, &self->jwk->key.first);
    if (ks_is_refused(refusal)) {
        return refusal;
    }
    return ks_may_be_ed25519(self->jwk->key.first.data) ? ks_accepted : unsuitable();
}

static size_t bits_of(ks_view number) {
    size_t bits = number.size * 8;
    for (unsigned top = number.data[0]; top < 0x80; top <<= 1) {
        bits--;
    }
    return bits;
}

static int is_odd(ks_view number) {
    return number.data[number.size - 1] & 1;
}

static int is_rsa_exponent(ks_view e) {
    uint32_t value = 0;
    if (bits_of(e) > KS_MAX_RSA_EXPONENT_BITS) {
        return 0;
    }
    for (size_t i = 0; i < e.size; i++) {
        value = value << 8 | e.data[i];
    }
    return value >= KS_MIN_RSA_EXPONENT && is_odd(e);
}

static ks_refusal read_rsa(reader *self) {
    ks_public_key *key = &self->jwk->key;
    ks_refusal refusal = get_unsigned(self, N, &key->first);
    if (!ks_is_refused(refusal)) {
        refusal = get_unsigned(self, E, &key->second);
    }
    if (ks_is_refused(refusal)) {
        return refusal;
    }
    self->jwk->verifies = names_of(KS_RS256) | names_of(KS_PS256);
    size_t bits = bits_of(key->first);
    int fits = bits >= KS_MIN_RSA_BITS && bits <= KS_MAX_RSA_BITS && is_odd(key->first) &&
               is_rsa_exponent(key->second);
    return fits ? ks_accepted : unsuitable();
}

/* --- what a key says of itself -------------------------------------------------------------------- */

static ks_reason find_string(const reader *self, int name, size_t max_chars, ks_view *text) {
    *text = (ks_view){NULL, 0};
    uint32_t at = self->at[name];
    return at == 0 ? KS_R_NONE : ks_member_string(self->header, at, max_chars, text);
}

/* 0 in `algorithms` where `key_ops` leaves out "verify". */
static ks_reason read_operations(const reader *self, unsigned *algorithms) {
    static const ks_name verify = KS_NAME("verify");
    uint32_t list = self->at[KEY_OPS];
    if (list == 0) {
        return KS_R_NONE;
    }
    ks_reason reason =
        ks_member_strings(self->header, list, KS_MAX_LIST_ITEMS, KS_MAX_JWK_NAME_CHARS);
    if (reason != KS_R_NONE) {
        return reason;
    }
    for (size_t item = list + 1; item < self->header->values[list].after; item++) {
        if (ks_text_is(self->header->values[item].as.text, verify)) {
            return KS_R_NONE;
        }
    }
    *algorithms = 0;
    return KS_R_NONE;
}

/* Takes from `jwk->verifies` what `alg`, `use` and `key_ops` exclude. */
static ks_refusal read_purpose(reader *self) {
    static const ks_name encryption = KS_NAME("enc");
    unsigned *algorithms = &self->jwk->verifies;
    ks_view kid, alg, use;
    ks_reason reason = find_string(self, MEMBER_KID, KS_MAX_KID_CHARS, &kid);
    if (reason == KS_R_NONE) {
        reason = find_string(self, MEMBER_ALG, KS_MAX_JWK_NAME_CHARS, &alg);
    }
    if (reason == KS_R_NONE) {
        reason = find_string(self, USE, KS_MAX_JWK_NAME_CHARS, &use);
    }
    if (reason == KS_R_NONE) {
        reason = read_operations(self, algorithms);
    }
    if (reason != KS_R_NONE) {
        return malformed(reason);
    }
    if (alg.data != NULL) {
        unsigned index = ks_algorithm_find(alg);
        *algorithms &= index < KS_ALGORITHM_NAMES ? names_of(ks_algorithm_of_name(index)) : 0;
    }
    if (use.data != NULL && ks_text_is(use, encryption)) {
        *algorithms = 0;
    }
    return ks_accepted;
}

/* --- the thumbprint ------------------------------------------------------------------------------- */

static const ks_name *thumbprint_members(size_t type, size_t *count) {
    static const ks_name ec[] = {KS_NAME("crv"), KS_NAME("kty"), KS_NAME("x"), KS_NAME("y")};
    static const ks_name okp[] = {KS_NAME("crv"), KS_NAME("kty"), KS_NAME("x")};
    static const ks_name rsa[] = {KS_NAME("e"), KS_NAME("kty"), KS_NAME("n")};
    static const ks_name *const members[KEY_TYPES] = {[TYPE_EC] = ec, [TYPE_OKP] = okp, [TYPE_RSA] = rsa};
    *count = type == TYPE_EC ? 4 : 3;
    return members[type];
}

static void append(uint8_t **to, const void *data, size_t size) {
    memcpy(*to, data, size);
    *to += size;
}

/* RFC 7638 §3. The members stand in the only spelling that was let through, so they are hashed as sent. */
static int thumbprint(const reader *self, size_t type, ks_digest *sha256) {
    uint8_t text[KS_MAX_HEADER_BYTES + 64], *end = text, hash[EVP_MAX_MD_SIZE];
    unsigned hash_size = 0;
    size_t count;
    const ks_name *members = thumbprint_members(type, &count);
    for (size_t i = 0; i < count; i++) {
        size_t name = ks_text_choose((ks_view){(const uint8_t *)members[i].text, members[i].size},
                                     jwk_names, MEMBERS);
        ks_view value = self->header->values[self->at[name]].as.text;
        append(&end, i == 0 ? "{\"" : ",\"", 2);
        append(&end, members[i].text, members[i].size);
        append(&end, "\":\"", 3);
        append(&end, value.data, value.size);
        append(&end, "\"", 1);
    }
    append(&end, "}", 1);
    if (!ks_digest_compute(sha256, (ks_view){text, (size_t)(end - text)}, hash, &hash_size)) {
        return 0;
    }
    ks_base64url_encode(hash, hash_size, self->jwk->thumbprint);
    return 1;
}

/* --- all together --------------------------------------------------------------------------------- */

static ks_refusal read_type(reader *self, size_t type) {
    return type == TYPE_EC ? read_ec(self) : type == TYPE_OKP ? read_okp(self) : read_rsa(self);
}

ks_refusal ks_jwk_read(const ks_json *header, size_t at, ks_digest *sha256, uint8_t *memory,
                       ks_jwk *jwk) {
    reader self = {.header = header, .memory = memory, .jwk = jwk};
    ks_view kty;
    memset(jwk, 0, sizeof *jwk);
    (void)ks_members_find(header, at, jwk_names, JWK_NAMES, self.at);
    for (int name = D; name < JWK_NAMES; name++) {
        if (self.at[name] != 0) {
            return ks_proof_rejected(KS_R_PRIVATE_KEY_MEMBER, STEP_PRIVATE);
        }
    }
    ks_refusal refusal = get_string(&self, KTY, &kty);
    if (ks_is_refused(refusal)) {
        return refusal;
    }
    size_t type = ks_text_choose(kty, type_names, KEY_TYPES);
    if (type == KEY_TYPES) {
        return unsuitable();
    }
    refusal = read_type(&self, type);
    if (ks_is_refused(refusal)) {
        return refusal;
    }
    refusal = read_purpose(&self);
    if (ks_is_refused(refusal)) {
        /* The readable parser looks at the point before these members. */
        return ks_jwk_is_point(jwk) ? refusal : unsuitable();
    }
    /* Where OpenSSL could not hash, nothing can be said of this key. */
    return thumbprint(&self, type, sha256) ? ks_accepted : unsuitable();
}

int ks_jwk_is_point(const ks_jwk *jwk) {
    if (!jwk->on_curve) {
        return 1;
    }
    void *key = ks_ecdsa_openssl.key_open(jwk->curve, &jwk->key, 1);
    ks_ecdsa_openssl.key_close(key);
    return key != NULL;
}
