/* The insides of a batch of tokens, shared by the files that work on it. */
#ifndef KS_TOKENS_H
#define KS_TOKENS_H

#include "ks_fan_out.h"
#include "ks_jws.h"
#include "ks_proof.h"
#include "ks_token.h"

/* Items that a thread takes at a time: some 100 µs of work. */
#define KS_TOKENS_PER_RUN 64u

typedef struct ks_token {
    ks_refusal refusal;
    uint8_t verified; /* whether steps 5 to 18 were made */
    uint8_t bound;    /* whether `jkt` is meant */
    uint8_t jkt[KS_SHA256_CHARS];
    uint32_t algorithm; /* index of its name */
    uint32_t name;      /* index into the batch's names, once they were sorted out */
    ks_view kid;
    ks_view payload, signing_input, signature;
} ks_token;

struct ks_tokens {
    const ks_view *texts;
    const ks_token_rules *rules;
    size_t count;
    ks_token *tokens;
    uint8_t *memory; /* of all that was decoded; ks_tokens_place says where */
    size_t *places;

    ks_key_wanted *names;
    size_t name_count;

    ks_proof *proofs; /* NULL until proofs are looked at */
    uint8_t *proof_memory;
    size_t *proof_places;
};

/* Sets `names` and every token's `name`. 0 if there is no memory. */
KS_MUST_CHECK int ks_tokens_sort_out_names(ks_tokens *batch);

/* One signature of many: whose it is, and what makes it. */
typedef struct ks_signed {
    size_t owner;
    ks_algorithm algorithm;
    ks_public_key key;
    uint32_t key_name; /* equal where the key is the same; UINT32_MAX: nobody else's */
    ks_verify_item item;
} ks_signed;

/*
 * Verifies signatures of several algorithms, all of one in one call; `invalid` is told the owner of each
 * that is not valid. KS_OK, or KS_E_MEMORY, and nobody was told anything.
 */
KS_MUST_CHECK ks_status ks_signed_verify(const ks_signed *all, size_t count, unsigned threads,
                                         void (*invalid)(ks_tokens *, size_t owner),
                                         ks_tokens *batch);

#endif
