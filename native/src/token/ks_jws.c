#include "ks_jws.h"

#include <string.h>

_Static_assert(KS_MAX_TOKEN_BYTES / 4 * 3 <= KS_MAX_JSON_BYTES, "a payload is within JSON's bound");

enum { TYP, ALG, KID, JWK, CRIT, B64, ZIP, ENC, HEADER_NAMES };
static const ks_name header_names[HEADER_NAMES] = {
    [TYP] = KS_NAME("typ"), [ALG] = KS_NAME("alg"),   [KID] = KS_NAME("kid"),
    [JWK] = KS_NAME("jwk"), [CRIT] = KS_NAME("crit"), [B64] = KS_NAME("b64"),
    [ZIP] = KS_NAME("zip"), [ENC] = KS_NAME("enc"),
};

ks_reason ks_reason_of(ks_status status) {
    switch (status) {
    case KS_OK:
        return KS_R_NONE;
    case KS_E_TOO_LARGE:
        return KS_R_TOO_LARGE;
    case KS_E_DUPLICATE:
        return KS_R_DUPLICATE_MEMBER;
    default:
        return KS_R_MALFORMED;
    }
}

/* Exactly two dots; their places. */
static int split(ks_view text, size_t *first, size_t *second) {
    const uint8_t *end = text.data + text.size;
    const uint8_t *a = memchr(text.data, '.', text.size);
    const uint8_t *b = a == NULL ? NULL : memchr(a + 1, '.', (size_t)(end - a - 1));
    if (b == NULL || memchr(b + 1, '.', (size_t)(end - b - 1)) != NULL) {
        return 0;
    }
    *first = (size_t)(a - text.data);
    *second = (size_t)(b - text.data);
    return 1;
}

/* Decodes a segment to where `*memory` stands, and moves that on. */
static ks_reason segment_decode(ks_view text, size_t max_bytes, uint8_t **memory, ks_view *out) {
    if (text.size * 3 / 4 > max_bytes) {
        return KS_R_TOO_LARGE;
    }
    ks_reason reason = ks_reason_of(ks_base64url_decode(text, *memory));
    *out = (ks_view){*memory, ks_base64url_bytes(text.size)};
    *memory += out->size + KS_BASE64URL_SLACK;
    return reason;
}

static ks_reason name_read(const ks_json *json, size_t at, size_t max_chars, ks_view *out) {
    *out = (ks_view){NULL, 0};
    return at == 0 ? KS_R_NONE : ks_member_string(json, at, max_chars, out);
}

static ks_reason header_read(const ks_json *json, ks_jws *jws) {
    uint32_t at[HEADER_NAMES];
    (void)ks_members_find(json, 0, header_names, HEADER_NAMES, at);
    if (at[CRIT] != 0 || at[B64] != 0 || at[ZIP] != 0 || at[ENC] != 0) {
        return KS_R_CRITICAL_HEADER_UNKNOWN;
    }
    if (at[ALG] == 0) {
        return KS_R_MALFORMED;
    }
    ks_reason reason = name_read(json, at[ALG], KS_MAX_HEADER_NAME_CHARS, &jws->algorithm);
    if (reason == KS_R_NONE) {
        reason = name_read(json, at[KID], KS_MAX_KID_CHARS, &jws->kid);
    }
    if (reason == KS_R_NONE) {
        reason = name_read(json, at[TYP], KS_MAX_HEADER_NAME_CHARS, &jws->typ);
    }
    jws->jwk = at[JWK];
    return reason;
}

ks_reason ks_jws_parse(ks_sent text, uint8_t *memory, ks_json *json, ks_jws *jws) {
    size_t first, second;
    memset(jws, 0, sizeof *jws);
    if (text.size > KS_MAX_TOKEN_BYTES) {
        return KS_R_TOO_LARGE;
    }
    if (text.data == NULL || !split(text, &first, &second)) {
        return KS_R_MALFORMED;
    }
    ks_view protected = {text.data, first};
    ks_view payload = {text.data + first + 1, second - first - 1};
    ks_view signature = {text.data + second + 1, text.size - second - 1};
    jws->signing_input = (ks_view){text.data, second};

    ks_reason reason = segment_decode(protected, KS_MAX_HEADER_BYTES, &memory, &jws->header);
    if (reason == KS_R_NONE) {
        reason = ks_reason_of(ks_json_parse_object(jws->header, KS_MAX_HEADER_DEPTH, json));
    }
    if (reason == KS_R_NONE) {
        reason = header_read(json, jws);
    }
    if (reason == KS_R_NONE) {
        reason = segment_decode(payload, KS_MAX_TOKEN_BYTES, &memory, &jws->payload);
    }
    if (reason == KS_R_NONE) {
        reason = segment_decode(signature, KS_MAX_SIGNATURE_BYTES, &memory, &jws->signature);
    }
    return reason;
}

int ks_jws_has_type(const ks_jws *jws, ks_name wanted) {
    static const char prefix[] = "application/";
    const size_t prefix_size = sizeof prefix - 1;
    uint8_t lower[KS_MAX_HEADER_NAME_CHARS];
    ks_view typ = jws->typ;
    if (typ.data == NULL || typ.size > sizeof lower) {
        return 0; /* longer ones are not ASCII, and none of these is lower-cased to ASCII we want */
    }
    for (size_t i = 0; i < typ.size; i++) {
        uint8_t c = typ.data[i];
        lower[i] = c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
    }
    ks_view left = {lower, typ.size};
    if (typ.size >= prefix_size && memcmp(lower, prefix, prefix_size) == 0) {
        left = (ks_view){lower + prefix_size, typ.size - prefix_size};
    }
    return ks_text_is(left, wanted);
}
