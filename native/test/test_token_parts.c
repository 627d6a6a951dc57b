/* The parts of the token engine by themselves: members, JWS, keys, claims. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "token/ks_claims.h"
#include "token/ks_jwk.h"
#include "token/ks_jws.h"
#include "token_maker.h"

static ks_json json;

static ks_view view_of(const char *text) {
    return (ks_view){(const uint8_t *)text, strlen(text)};
}

static void parse(const char *text) {
    CHECK(ks_json_parse_object(view_of(text), KS_MAX_JSON_DEPTH, &json) == KS_OK);
}

/* --- members ------------------------------------------------------------------------------------ */

static void check_members(void) {
    static const ks_name names[] = {KS_NAME("a"), KS_NAME("b"), KS_NAME("ab")};
    uint32_t found[3];
    parse("{\"ab\":1,\"x\":{\"a\":2},\"\\u0061\":[3,{\"b\":4}],\"\":5}");
    CHECK(ks_members_find(&json, 0, names, 3, found) == 2);
    CHECK(json.values[found[2]].as.integer == 1);
    CHECK(json.values[found[0]].kind == KS_JSON_ARRAY && found[1] == 0);
    parse("{}");
    CHECK(ks_members_find(&json, 0, names, 3, found) == 0);
    CHECK(found[0] == 0 && found[1] == 0 && found[2] == 0);
}

/* What a reader says of one value. */
static ks_reason string_of(const char *value, size_t max_chars) {
    char text[256];
    ks_view out;
    (void)snprintf(text, sizeof text, "{\"a\":%s}", value);
    parse(text);
    return ks_member_string(&json, 2, max_chars, &out);
}

static void check_strings(void) {
    CHECK(string_of("\"abc\"", 3) == KS_R_NONE);
    CHECK(string_of("\"abc\"", 2) == KS_R_TOO_LARGE);
    CHECK(string_of("\"\xc3\xa9\xc3\xa9\\u00e9\"", 3) == KS_R_NONE); /* characters, not bytes */
    CHECK(string_of("\"\"", 3) == KS_R_MALFORMED);
    CHECK(string_of("\"a\\u0000\"", 3) == KS_R_MALFORMED);
    CHECK(string_of("\"\x7f\"", 3) == KS_R_MALFORMED);
    CHECK(string_of("\"\\n\\n\\n\\n\"", 3) == KS_R_TOO_LARGE);
    CHECK(string_of("null", 3) == KS_R_MALFORMED && string_of("1", 3) == KS_R_MALFORMED);
}

static ks_reason date_of(const char *value, int64_t *date) {
    char text[256];
    (void)snprintf(text, sizeof text, "{\"a\":%s}", value);
    parse(text);
    return ks_member_date(&json, 2, date);
}

static void check_dates(void) {
    static const char *const none[] = {"-1",   "253402300800", "253402300799.5", "-1e-300", "1e300",
                                       "true", "null",         "\"1\"",          "[]",      "-0.5"};
    int64_t date = 7;
    CHECK(date_of("253402300799", &date) == KS_R_NONE && date == KS_MAX_NUMERIC_DATE);
    CHECK(date_of("253402300799.0", &date) == KS_R_NONE && date == KS_MAX_NUMERIC_DATE);
    CHECK(date_of("1.999999", &date) == KS_R_NONE && date == 1);
    CHECK(date_of("1e9", &date) == KS_R_NONE && date == 1000000000);
    CHECK(date_of("-0.0", &date) == KS_R_NONE && date == 0);
    CHECK(date_of("-0", &date) == KS_R_NONE && date == 0);
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        CHECK(date_of(none[i], &date) == KS_R_MALFORMED && date == 0);
    }
}

static void check_lists(void) {
    parse("{\"a\":[\"x\",\"yy\"],\"b\":[\"x\",[\"y\"]],\"c\":[],\"d\":{}}");
    size_t a = ks_json_member(&json, 0, "a"), b = ks_json_member(&json, 0, "b");
    CHECK(ks_member_strings(&json, a, 2, 2) == KS_R_NONE);
    CHECK(ks_member_strings(&json, a, 1, 2) == KS_R_TOO_LARGE);
    CHECK(ks_member_strings(&json, a, 2, 1) == KS_R_TOO_LARGE);
    CHECK(ks_member_strings(&json, b, 2, 2) == KS_R_MALFORMED);
    CHECK(ks_member_strings(&json, ks_json_member(&json, 0, "c"), 0, 1) == KS_R_NONE);
    CHECK(ks_member_strings(&json, ks_json_member(&json, 0, "d"), 9, 9) == KS_R_MALFORMED);
}

/* --- JWS ---------------------------------------------------------------------------------------- */

/* In memory of exactly what is promised, so that what goes beyond it is found. */
static ks_reason jws_of(const char *text, size_t size, int keep_type) {
    static const ks_name wanted = KS_NAME("at+jwt");
    ks_jws jws;
    uint8_t *exact = malloc(size > 0 ? size : 1), *memory = malloc(KS_JWS_BYTES(size));
    CHECK(exact != NULL && memory != NULL);
    memcpy(exact, text, size);
    ks_reason reason = ks_jws_parse((ks_view){exact, size}, memory, &json, &jws);
    CHECK(reason != KS_R_NONE || ks_jws_has_type(&jws, wanted) == keep_type);
    free(memory);
    free(exact);
    return reason;
}

static ks_reason header_of(const char *header, int is_token) {
    made_text made;
    token_maker_sign(header, "{}", &made);
    return jws_of(made.text, made.size, is_token);
}

static void check_headers(void) {
    CHECK(header_of("{\"alg\":\"x\"}", 0) == KS_R_NONE);
    CHECK(header_of("{\"alg\":\"x\",\"typ\":\"AT+jwt\"}", 1) == KS_R_NONE);
    CHECK(header_of("{\"alg\":\"x\",\"typ\":\"Application/AT+JWT\"}", 1) == KS_R_NONE);
    CHECK(header_of("{\"alg\":\"x\",\"typ\":\"application/application/at+jwt\"}", 0) == KS_R_NONE);
    CHECK(header_of("{\"alg\":\"x\",\"typ\":\"at+jwt \"}", 0) == KS_R_NONE);
    CHECK(header_of("{\"\\u0061lg\":\"x\",\"t\\u0079p\":\"\\u0041t+jwt\"}", 1) == KS_R_NONE);
    CHECK(header_of("{}", 0) == KS_R_MALFORMED && header_of("{\"alg\":1}", 0) == KS_R_MALFORMED);
    CHECK(header_of("{\"alg\":\"x\",\"kid\":null}", 0) == KS_R_MALFORMED);
    CHECK(header_of("{\"alg\":\"x\",\"alg\":\"x\"}", 0) == KS_R_DUPLICATE_MEMBER);
    CHECK(header_of("{\"alg\":\"x\",\"a\":[[[]]]}", 0) == KS_R_TOO_LARGE);
    static const char *const refused[] = {"{\"crit\":1}", "{\"b64\":true}", "{\"zip\":null}",
                                          "{\"alg\":1,\"enc\":\"\"}"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        CHECK(header_of(refused[i], 0) == KS_R_CRITICAL_HEADER_UNKNOWN);
    }
}

static void check_splitting(void) {
    static char large[KS_MAX_TOKEN_BYTES + 1];
    static const char *const no[] = {"", ".", "..", "a.b", "e30.e30", "e30.e30.e30.e30", "e30..",
                                     "eyJhbGciOiJ4In0=.e30.", "eyJhbGciOiJ4In0.e31.",
                                     "eyJhbGciOiJ4In0.e30. ", "eyJhbGciOiJ4In0.e30.A"};
    CHECK(jws_of("eyJhbGciOiJ4In0.e30.", 20, 0) == KS_R_NONE);
    CHECK(jws_of("eyJhbGciOiJ4In0..", 17, 0) == KS_R_NONE);
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
        CHECK(jws_of(no[i], strlen(no[i]), 0) == KS_R_MALFORMED);
    }
    memset(large, 'A', sizeof large);
    CHECK(jws_of(large, sizeof large, 0) == KS_R_TOO_LARGE);
    CHECK(jws_of(large, sizeof large - 1, 0) == KS_R_MALFORMED);
    large[5462] = large[5463] = '.'; /* a header of 4,097 bytes is too large, whatever is in it */
    CHECK(jws_of(large, 5464, 0) == KS_R_MALFORMED);
    large[5463] = 'A';
    large[5464] = large[5465] = '.';
    large[5462] = 'A';
    CHECK(jws_of(large, 5466, 0) == KS_R_TOO_LARGE);
    memcpy(large, "eyJhbGciOiJ4In0..", 17);
    memset(large + 17, 'A', 1368);
    CHECK(jws_of(large, 17 + 1366, 0) == KS_R_NONE); /* 1,024 bytes of signature */
    CHECK(jws_of(large, 17 + 1367, 0) == KS_R_TOO_LARGE);
}

/* --- keys --------------------------------------------------------------------------------------- */

static ks_refusal jwk_of(const char *key, ks_jwk *jwk) {
    ks_digest sha256;
    char text[2048];
    (void)snprintf(text, sizeof text, "{\"jwk\":%s}", key);
    uint8_t *memory = malloc(KS_JWK_BYTES(strlen(text)));
    CHECK(memory != NULL && ks_digest_open(&sha256, "SHA256"));
    parse(text);
    ks_refusal refusal = ks_jwk_read(&json, 2, &sha256, memory, jwk);
    ks_digest_close(&sha256);
    free(memory);
    return refusal;
}

static void check_thumbprint(const char *key, const char *wanted, unsigned names) {
    ks_jwk jwk;
    CHECK(!ks_is_refused(jwk_of(key, &jwk)));
    CHECK(memcmp(jwk.thumbprint, wanted, KS_SHA256_CHARS) == 0);
    CHECK(jwk.verifies == names);
}

#define RSA_N                                                                                        \
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCi" \
    "FV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnY" \
    "b9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0" \
    "Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"

static void check_keys(void) {
    ks_jwk jwk;
    /* The examples of RFC 7638 §3.1 and RFC 8037 appendix A.3. */
    check_thumbprint("{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQAB\",\"alg\":\"RS256\","
                     "\"kid\":\"2011-04-29\"}",
                     "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", 1u << 4);
    check_thumbprint("{\"crv\":\"Ed25519\",\"kty\":\"OKP\","
                     "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
                     "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", 1u << 3 | 1u << 6);
    /* Escapes and other members change nothing. */
    check_thumbprint("{\"\\u0078\":\"\\u00311qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\",\"z\":[],"
                     "\"kty\":\"\\u004fKP\",\"crv\":\"Ed25519\",\"alg\":\"EdDSA\"}",
                     "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", 1u << 3 | 1u << 6);
    CHECK(jwk_of("{\"kty\":1,\"d\":null}", &jwk).reason == KS_R_PRIVATE_KEY_MEMBER);
    CHECK(jwk_of("{\"kty\":1}", &jwk).reason == KS_R_MALFORMED);
    CHECK(jwk_of("{}", &jwk).reason == KS_R_MALFORMED);
    CHECK(jwk_of("{\"kty\":\"oct\"}", &jwk).reason == KS_R_KEY_UNSUITABLE);
    CHECK(jwk_of("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":\"AAAA\"}", &jwk).reason ==
          KS_R_MALFORMED);
    CHECK(jwk_of("{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AAEAAQ\"}", &jwk).reason ==
          KS_R_MALFORMED);
    CHECK(jwk_of("{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"Aw\"}", &jwk).reason ==
          KS_R_KEY_UNSUITABLE);
}

#define ZEROS "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

/* A point off its curve is found before what follows it in the readable parser, and not before. */
static void check_points(void) {
    ks_jwk jwk;
    CHECK(!ks_is_refused(
        jwk_of("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" ZEROS "\",\"y\":\"" ZEROS "\"}", &jwk)));
    CHECK(jwk_of("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" ZEROS "\",\"y\":\"" ZEROS
                 "\",\"kid\":\"\"}",
                 &jwk)
              .reason == KS_R_KEY_UNSUITABLE);
    CHECK(jwk_of("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" ZEROS "\",\"kid\":\"\"}", &jwk)
              .reason == KS_R_KEY_UNSUITABLE);
    CHECK(jwk_of("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"\","
                 "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
                 &jwk)
              .reason == KS_R_MALFORMED);
}

static int point_of(ks_algorithm algorithm, const char *x, const char *y, ks_public_key *key) {
    static uint8_t octets[KS_MAX_POINT_BYTES];
    return ks_point_read(algorithm, (ks_view){(const uint8_t *)x, strlen(x)},
                         (ks_view){(const uint8_t *)y, strlen(y)}, octets, key);
}

/* Coordinates of `chars` characters, the last of which is `last`. */
static int zeros_read(ks_algorithm algorithm, size_t chars, char last) {
    ks_public_key key;
    char x[128] = "";
    memset(x, 'A', chars);
    x[chars - 1] = last;
    return point_of(algorithm, x, x, &key);
}

static void check_point_sizes(void) {
    static const struct {
        ks_algorithm algorithm;
        size_t chars, bytes;
    } curves[] = {{KS_ES256, 43, 32}, {KS_ES384, 64, 48}, {KS_ES512, 88, 66}};
    for (size_t i = 0; i < sizeof curves / sizeof *curves; i++) {
        for (size_t chars = 1; chars < 100; chars++) {
            CHECK(zeros_read(curves[i].algorithm, chars, 'A') == (chars == curves[i].chars));
        }
        CHECK(!zeros_read(curves[i].algorithm, curves[i].chars, '='));
    }
    CHECK(!zeros_read(KS_ES256, 43, 'B')); /* a trailing bit */
    CHECK(!zeros_read(KS_RS256, 43, 'A') && !zeros_read(KS_PS256, 43, 'A'));
}

static void check_point_read(void) {
    static const char x[] = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"; /* RFC 7515 appendix A.3 */
    static const char y[] = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
    static const char good[] = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"; /* RFC 8037 appendix A.2 */
    ks_public_key key;
    CHECK(point_of(KS_ES256, x, y, &key) && key.first.size == 32 && key.second.size == 32);
    CHECK(key.first.data[0] == 0x7f && key.first.data[31] == 0x45);
    CHECK(key.second.data[0] == 0xc7 && key.second.data[31] == 0xad);
    CHECK(!point_of(KS_RS256, "", "", &key));
    CHECK(!point_of(KS_ES256, x, "", &key) && !point_of(KS_ES256, "", y, &key));
    CHECK(!point_of(KS_ES256, x, "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a+", &key));
    CHECK(point_of(KS_ED25519, good, "", &key) && key.first.size == 32 && key.second.size == 0);
    CHECK(key.first.data[0] == 0xd7 && key.first.data[31] == 0x1a);
    CHECK(!point_of(KS_ED25519, good, good, &key));
    CHECK(!point_of(KS_ED25519, ZEROS, "", &key)); /* of order 4 */
    check_point_sizes();
}

/* --- claims ------------------------------------------------------------------------------------- */

#define START "{\"iss\":\"i\",\"sub\":\"s\",\"aud\":\"a\",\"client_id\":\"c\",\"iat\":1000,\"exp\":1200,\"jti\":\"j\""

static ks_refusal claims_of(const char *more, ks_token_rules rules) {
    char text[1024];
    ks_claims claims;
    (void)snprintf(text, sizeof text, "%s%s}", START, more);
    parse(text);
    rules.dpop_required = 0;
    ks_refusal refusal = ks_claims_check(&json, &rules, &claims);
    return ks_is_refused(refusal) ? refusal : ks_claims_require(&claims, &rules);
}

static int is_refused_at(ks_refusal found, ks_reason reason, unsigned step) {
    return found.as == KS_AS_TOKEN_REJECTED && found.reason == reason && found.step == step;
}

static void check_claims(void) {
    ks_token_rules rules = made_rules();
    CHECK(!ks_is_refused(claims_of("", rules)));
    CHECK(is_refused_at(claims_of(",\"cnf\":{}", rules), KS_R_BINDING_MISSING, 14));
    CHECK(is_refused_at(claims_of(",\"cnf\":null", rules), KS_R_CLAIM_INVALID, 14));
    CHECK(is_refused_at(claims_of(",\"act\":{},\"scope\":\"\"", rules), KS_R_CLAIM_MISSING, 11));
    rules.now = 1205;
    CHECK(is_refused_at(claims_of("", rules), KS_R_EXPIRED, 8));
    rules.now = INT64_C(1) << 61;
    CHECK(is_refused_at(claims_of("", rules), KS_R_EXPIRED, 8));
    rules.now = -rules.now;
    CHECK(is_refused_at(claims_of("", rules), KS_R_NOT_YET_VALID, 8));
    rules = made_rules();
    rules.max_authentication_age_s = 0;
    CHECK(is_refused_at(claims_of("", rules), KS_R_AUTHENTICATION_INSUFFICIENT, 17));
    CHECK(!ks_is_refused(claims_of(",\"auth_time\":1005", rules)));
    CHECK(is_refused_at(claims_of(",\"auth_time\":1004", rules), KS_R_AUTHENTICATION_INSUFFICIENT,
                        17));
    rules.max_authentication_age_s = -1;
    CHECK(is_refused_at(claims_of(",\"auth_time\":1005", rules), KS_R_AUTHENTICATION_INSUFFICIENT,
                        17));
}

void test_token_parts(void) {
    check_members();
    check_strings();
    check_dates();
    check_lists();
    check_headers();
    check_splitting();
    check_keys();
    check_points();
    check_point_read();
    check_claims();
}
