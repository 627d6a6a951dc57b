/* One Ed25519 key that signs what a target composes, so that a batch gets beyond its signatures. */
#ifndef FUZZ_SIGNER_H
#define FUZZ_SIGNER_H

#include <openssl/evp.h>

#include "fuzz_input.h"

#define KEY_BYTES 32u
#define SIGNATURE_BYTES 64u
#define JKT_CHARS 43u

typedef struct fuzz_signer {
    EVP_PKEY *pair;
    uint8_t public[KEY_BYTES];
    char jwk[128];
    uint8_t jkt[JKT_CHARS];
} fuzz_signer;

static inline void hash_write(const void *text, size_t size, uint8_t out[JKT_CHARS]) {
    uint8_t hash[EVP_MAX_MD_SIZE];
    unsigned hash_size = 0;
    require(EVP_Digest(text, size, hash, &hash_size, EVP_sha256(), NULL) == 1);
    ks_base64url_encode(hash, hash_size, out);
}

/* The same key in every run. */
static inline const fuzz_signer *signer_of_run(void) {
    static const uint8_t seed[KEY_BYTES] = {7};
    static fuzz_signer self;
    uint8_t x[JKT_CHARS];
    size_t size = KEY_BYTES;
    if (self.pair != NULL) {
        return &self;
    }
    self.pair = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof seed);
    require(EVP_PKEY_get_raw_public_key(self.pair, self.public, &size) == 1);
    ks_base64url_encode(self.public, size, x);
    int length = snprintf(self.jwk, sizeof self.jwk, "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"%.*s\"}",
                          (int)sizeof x, (const char *)x);
    hash_write(self.jwk, (size_t)length, self.jkt);
    return &self;
}

/* Writes `template` to `out`, with `text` for each byte that is `mark`; returns the size. */
static inline size_t fill_in(ks_view template, uint8_t mark, ks_view text, uint8_t *out, size_t room) {
    size_t size = 0;
    for (size_t i = 0; i < template.size; i++) {
        ks_view part = template.data[i] == mark ? text : (ks_view){template.data + i, 1};
        if (part.size > room - size) {
            break;
        }
        size = append(out, size, part.data, part.size);
    }
    return size;
}

/* A signed JWS, in memory of exactly its size. */
static inline ks_view jws_sign(const fuzz_signer *signer, ks_view header, ks_view payload) {
    uint8_t *text = room_of(2 * (header.size + payload.size) + 2 * SIGNATURE_BYTES + 16);
    uint8_t signature[SIGNATURE_BYTES];
    size_t signature_size = sizeof signature, size = append_base64url(text, 0, header);
    size = append(text, size, ".", 1);
    size = append_base64url(text, size, payload);
    EVP_MD_CTX *state = EVP_MD_CTX_new();
    require(EVP_DigestSignInit(state, NULL, NULL, NULL, signer->pair) == 1);
    require(EVP_DigestSign(state, signature, &signature_size, text, size) == 1);
    EVP_MD_CTX_free(state);
    size = append(text, size, ".", 1);
    size = append_base64url(text, size, (ks_view){signature, signature_size});
    ks_view exact = copy_of((ks_view){text, size});
    free(text);
    return exact;
}

#endif
