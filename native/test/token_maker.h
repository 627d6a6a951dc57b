/* Signed tokens and proofs for tests: one Ed25519 key, of the issuer and of the holder. */
#ifndef TOKEN_MAKER_H
#define TOKEN_MAKER_H

#include "ks_token.h"

#define MADE_ROOM 4096

typedef struct made_text {
    char text[MADE_ROOM];
    size_t size;
} made_text;

/* Both octets and thumbprint stand until the process ends. */
ks_public_key token_maker_key(void);
const char *token_maker_jkt(void);
/* The key as JSON. */
const char *token_maker_jwk(void);

/* A JWS of these texts, signed. */
void token_maker_sign(const char *header, const char *payload, made_text *out);
/* A token of kid "k" that passes made_rules() at its time, and the proof that goes with it. */
void token_maker_token(made_text *out);
void token_maker_proof(const made_text *token, const char *method, made_text *out);

ks_token_rules made_rules(void);
ks_view made_view(const made_text *of);

#endif
