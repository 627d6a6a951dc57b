#include "token_maker.h"

#include <openssl/evp.h>
#include <string.h>

#include "check.h"
#include "codec/ks_base64url.h"

#define OCTETS 32u

static EVP_PKEY *pair;
static uint8_t public[OCTETS];
static char jwk[128], jkt[KS_SHA256_CHARS + 1];

static void hash_text(const char *text, size_t size, char out[KS_SHA256_CHARS + 1]) {
    uint8_t hash[EVP_MAX_MD_SIZE];
    unsigned hash_size = 0;
    CHECK(EVP_Digest(text, size, hash, &hash_size, EVP_sha256(), NULL) == 1);
    ks_base64url_encode(hash, hash_size, (uint8_t *)out);
    out[KS_SHA256_CHARS] = '\0';
}

static void make_key(void) {
    static const uint8_t seed[OCTETS] = {7};
    char x[KS_SHA256_CHARS + 1] = "";
    size_t size = OCTETS;
    if (pair != NULL) {
        return;
    }
    pair = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof seed);
    CHECK(pair != NULL && EVP_PKEY_get_raw_public_key(pair, public, &size) == 1);
    ks_base64url_encode(public, size, (uint8_t *)x);
    (void)snprintf(jwk, sizeof jwk, "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"%s\"}", x);
    hash_text(jwk, strlen(jwk), jkt);
}

ks_public_key token_maker_key(void) {
    make_key();
    return (ks_public_key){.first = {public, OCTETS}};
}

const char *token_maker_jkt(void) {
    make_key();
    return jkt;
}

const char *token_maker_jwk(void) {
    make_key();
    return jwk;
}

static void append(made_text *out, const void *data, size_t size) {
    ks_base64url_encode(data, size, (uint8_t *)out->text + out->size);
    out->size += (4 * size + 2) / 3;
}

void token_maker_sign(const char *header, const char *payload, made_text *out) {
    uint8_t signature[64];
    size_t size = sizeof signature;
    make_key();
    CHECK(2 * (strlen(header) + strlen(payload)) + 200 < MADE_ROOM);
    out->size = 0;
    append(out, header, strlen(header));
    out->text[out->size++] = '.';
    append(out, payload, strlen(payload));
    EVP_MD_CTX *state = EVP_MD_CTX_new();
    CHECK(EVP_DigestSignInit(state, NULL, NULL, NULL, pair) == 1);
    CHECK(EVP_DigestSign(state, signature, &size, (const uint8_t *)out->text, out->size) == 1);
    EVP_MD_CTX_free(state);
    out->text[out->size++] = '.';
    append(out, signature, size);
}

void token_maker_token(made_text *out) {
    char payload[512];
    (void)snprintf(payload, sizeof payload,
                   "{\"iss\":\"i\",\"sub\":\"s\",\"aud\":\"a\",\"client_id\":\"c\",\"iat\":1000,"
                   "\"exp\":1200,\"jti\":\"j\",\"cnf\":{\"jkt\":\"%s\"}}",
                   token_maker_jkt());
    token_maker_sign("{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\",\"kid\":\"k\"}", payload, out);
}

void token_maker_proof(const made_text *token, const char *method, made_text *out) {
    char header[256], payload[256], ath[KS_SHA256_CHARS + 1];
    hash_text(token->text, token->size, ath);
    (void)snprintf(header, sizeof header, "{\"typ\":\"dpop+jwt\",\"alg\":\"Ed25519\",\"jwk\":%s}",
                   token_maker_jwk());
    (void)snprintf(payload, sizeof payload,
                   "{\"jti\":\"\\u006a\",\"htm\":\"%s\",\"htu\":\"https://A/b\",\"iat\":1000,"
                   "\"ath\":\"%s\"}",
                   method, ath);
    token_maker_sign(header, payload, out);
}

ks_token_rules made_rules(void) {
    return (ks_token_rules){
        .algorithms = (1u << KS_ALGORITHM_NAMES) - 1,
        .issuer = {(const uint8_t *)"i", 1},
        .audience = {(const uint8_t *)"a", 1},
        .now = 1010,
        .leeway_s = 5,
        .max_lifetime_s = 300,
        .proof_max_age_s = 60,
        .dpop_required = 1,
        .max_authentication_age_s = KS_ANY_AGE,
        .max_residency_age_s = KS_ANY_AGE,
    };
}

ks_view made_view(const made_text *of) {
    return (ks_view){(const uint8_t *)of->text, of->size};
}
