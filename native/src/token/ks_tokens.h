/* The insides of a batch of tokens, shared by the files that work on it. */
#ifndef KS_TOKENS_H
#define KS_TOKENS_H

#include "ks_fan_out.h"
#include "ks_jws.h"
#include "ks_names.h"
#include "ks_proof.h"
#include "ks_token.h"

/* Items that a thread takes at a time: some 100 µs of work. */
#define KS_TOKENS_PER_RUN 64u

/* Where a token's status stands; no data in `uri`: nowhere, or the token was refused before. */
typedef struct ks_listed {
    ks_view uri;
    int64_t index;
} ks_listed;

typedef struct ks_token {
    ks_refusal refusal;
    uint8_t verified; /* whether steps 5 to 18 were made */
    uint8_t bound;    /* whether `jkt` is meant */
    uint8_t jkt[KS_SHA256_CHARS];
    uint32_t algorithm; /* index of its name */
    uint32_t name;      /* index into the batch's names, once they were sorted out */
    ks_view kid;
    ks_view payload, signing_input, signature;
    ks_listed listed;
    uint32_t list; /* index into the batch's lists, once they were sorted out */
} ks_token;

struct ks_tokens {
    const ks_view *texts;
    const ks_token_rules *rules;
    size_t count;
    ks_token *tokens;
    uint8_t *memory; /* of all that was decoded; ks_tokens_place says where */
    size_t *places;

    ks_naming *names; /* of keys: algorithm and kid */
    size_t name_count;
    ks_naming *lists; /* of status lists: the URI; NULL until they are sorted out */
    size_t list_count;

    ks_proof *proofs; /* NULL until proofs are looked at */
    uint8_t *proof_memory;
    size_t *proof_places;
};

/* What only tells those apart that were refused before they named anything. */
#define KS_UNNAMED UINT32_MAX

/* Sets `names` and every token's `name`. 0 if there is no memory. */
KS_MUST_CHECK int ks_tokens_sort_out_names(ks_tokens *batch);

/*
 * Step 19 as far as the token says it: where its status stands. `status` is the index of that claim, 0 if
 * there is none; `memory` takes the URI, which is no longer than the token.
 */
KS_MUST_CHECK ks_refusal ks_listed_read(const ks_json *document, uint32_t status, uint8_t *memory,
                                        ks_listed *out);

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
