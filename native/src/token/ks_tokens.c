/* A batch of access tokens, steps 1 to 18. Proofs are in ks_requests.c. */
#include "ks_tokens.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "ks_claims.h"

static const ks_name token_type = KS_NAME("at+jwt");

/* A part of the batch that several threads work on. */
typedef struct stage {
    ks_tokens *batch;
    size_t from;
    atomic_int out_of_memory;
} stage;

/* --- steps 1 to 3 ------------------------------------------------------------------------------- */

static void keep_kid(ks_token *token, const ks_jws *jws, uint8_t *memory) {
    token->kid = (ks_view){NULL, 0};
    if (jws->kid.data != NULL) {
        /* The header is not needed any more, and its names are no longer than itself. */
        memmove(memory, jws->kid.data, jws->kid.size);
        token->kid = (ks_view){memory, jws->kid.size};
    }
}

static ks_refusal decode(const ks_tokens *batch, size_t index, ks_json *json) {
    ks_token *token = &batch->tokens[index];
    uint8_t *memory = batch->memory + batch->places[index];
    ks_jws jws;
    ks_reason reason = ks_jws_parse(batch->texts[index], memory, json, &jws);
    if (reason == KS_R_CRITICAL_HEADER_UNKNOWN) {
        return ks_token_rejected(reason, KS_STEP_DECODE);
    }
    if (reason != KS_R_NONE) {
        return ks_malformed(reason, KS_STEP_DECODE);
    }
    if (!ks_jws_has_type(&jws, token_type)) {
        return ks_token_rejected(KS_R_TYPE_MISMATCH, KS_STEP_TYPE);
    }
    token->algorithm = ks_algorithm_find(jws.algorithm);
    if ((batch->rules->algorithms >> token->algorithm & 1u) == 0) {
        return ks_token_rejected(KS_R_ALGORITHM_NOT_ALLOWED, KS_STEP_ALGORITHM);
    }
    token->payload = jws.payload;
    token->signing_input = jws.signing_input;
    token->signature = jws.signature;
    keep_kid(token, &jws, memory);
    return ks_accepted;
}

static void decode_runs(void *context, ks_runs *runs) {
    stage *self = context;
    size_t from, to;
    ks_json *json = malloc(sizeof *json);
    if (json == NULL) {
        atomic_store(&self->out_of_memory, 1);
        return;
    }
    while (ks_runs_take(runs, &from, &to)) {
        for (size_t i = from; i < to; i++) {
            self->batch->tokens[i].refusal = decode(self->batch, i, json);
        }
    }
    free(json);
}

/* Where each token is decoded to; one that is too long needs no place. */
static int make_room(ks_tokens *batch) {
    int listed = batch->rules->status_required; /* then a URI stands behind what was decoded */
    size_t end = 0;
    for (size_t i = 0; i < batch->count; i++) {
        ks_view text = batch->texts[i];
        batch->places[i] = end;
        if (text.data != NULL && text.size <= KS_MAX_TOKEN_BYTES) {
            end += KS_JWS_BYTES(text.size) + (listed ? text.size : 0);
        }
    }
    batch->memory = malloc(end + 1);
    return batch->memory != NULL;
}

static ks_status decode_all(ks_tokens *batch, unsigned threads) {
    stage self = {.batch = batch};
    atomic_init(&self.out_of_memory, 0);
    if (batch->tokens == NULL || batch->places == NULL || !make_room(batch)) {
        return KS_E_MEMORY;
    }
    ks_fan_out(threads, batch->count, KS_TOKENS_PER_RUN, decode_runs, &self);
    if (atomic_load(&self.out_of_memory) || !ks_tokens_sort_out_names(batch)) {
        return KS_E_MEMORY;
    }
    return KS_OK;
}

ks_status ks_tokens_open(const ks_view *texts, size_t count, const ks_token_rules *rules,
                         unsigned threads, ks_tokens **out) {
    *out = NULL;
    if (count > KS_MAX_TOKENS || threads > KS_MAX_THREADS) {
        return KS_E_TOO_LARGE;
    }
    if (threads == 0) {
        return KS_E_ARGUMENT;
    }
    ks_tokens *batch = calloc(1, sizeof *batch);
    if (batch == NULL) {
        return KS_E_MEMORY;
    }
    *batch = (ks_tokens){
        .texts = texts,
        .rules = rules,
        .count = count,
        .tokens = calloc(count + 1, sizeof *batch->tokens),
        .places = calloc(count + 1, sizeof *batch->places),
    };
    ks_status status = decode_all(batch, threads);
    if (status != KS_OK) {
        ks_tokens_close(batch);
        return status;
    }
    *out = batch;
    return KS_OK;
}

void ks_tokens_close(ks_tokens *batch) {
    if (batch != NULL) {
        free(batch->proof_places);
        free(batch->proof_memory);
        free(batch->proofs);
        free(batch->lists);
        free(batch->names);
        free(batch->memory);
        free(batch->places);
        free(batch->tokens);
        free(batch);
    }
}

/* --- step 5 ------------------------------------------------------------------------------------- */

static void refuse_signature(ks_tokens *batch, size_t index) {
    batch->tokens[index].refusal = ks_token_rejected(KS_R_SIGNATURE_INVALID, KS_STEP_SIGNATURE);
}

static size_t gather(ks_tokens *batch, const ks_named_key *keys, size_t from, size_t to,
                     ks_signed *all) {
    size_t count = 0;
    for (size_t i = from; i < to; i++) {
        ks_token *token = &batch->tokens[i];
        if (!ks_is_refused(token->refusal)) {
            token->refusal = keys[token->name].refusal;
        }
        if (!ks_is_refused(token->refusal)) {
            all[count++] = (ks_signed){
                .owner = i,
                .algorithm = ks_algorithm_of_name(token->algorithm),
                .key = keys[token->name].key,
                .key_name = token->name,
                .item = {.message = token->signing_input, .signature = token->signature},
            };
        }
    }
    return count;
}

/* --- steps 6 to 18, and the payload's own decoding ---------------------------------------------- */

static uint8_t *place_of_uri(const ks_tokens *batch, const ks_token *token) {
    size_t index = (size_t)(token - batch->tokens);
    return batch->memory + batch->places[index] + KS_JWS_BYTES(batch->texts[index].size);
}

static ks_refusal check(const ks_tokens *batch, ks_token *token, ks_json *json) {
    ks_claims claims;
    ks_reason reason = ks_reason_of(ks_json_parse_object(token->payload, KS_MAX_JSON_DEPTH, json));
    if (reason != KS_R_NONE) {
        return ks_malformed(reason, KS_STEP_DECODE);
    }
    ks_refusal refusal = ks_claims_check(json, batch->rules, &claims);
    if (!ks_is_refused(refusal)) {
        refusal = ks_claims_require(&claims, batch->rules);
    }
    if (!ks_is_refused(refusal) && claims.jkt.data != NULL) {
        token->bound = 1;
        memcpy(token->jkt, claims.jkt.data, sizeof token->jkt);
    }
    if (!ks_is_refused(refusal) && batch->rules->status_required) {
        refusal = ks_listed_read(json, claims.status, place_of_uri(batch, token), &token->listed);
    }
    return refusal;
}

static void check_runs(void *context, ks_runs *runs) {
    stage *self = context;
    size_t from, to;
    ks_json *json = malloc(sizeof *json);
    if (json == NULL) {
        atomic_store(&self->out_of_memory, 1);
        return;
    }
    while (ks_runs_take(runs, &from, &to)) {
        for (size_t i = self->from + from; i < self->from + to; i++) {
            ks_token *token = &self->batch->tokens[i];
            if (!ks_is_refused(token->refusal)) {
                token->refusal = check(self->batch, token, json);
            }
        }
    }
    free(json);
}

/* --- all of them -------------------------------------------------------------------------------- */

static void note_verified(ks_tokens *batch, size_t from, size_t to) {
    for (size_t i = from; i < to; i++) {
        batch->tokens[i].verified = 1;
    }
}

/* What memory was missing for was not checked: none of it passed. */
static void refuse_all(ks_tokens *batch, size_t from, size_t to) {
    for (size_t i = from; i < to; i++) {
        if (!ks_is_refused(batch->tokens[i].refusal)) {
            refuse_signature(batch, i);
        }
    }
}

ks_status ks_tokens_verify(ks_tokens *batch, const ks_named_key *keys, size_t from, size_t to,
                           unsigned threads) {
    if (from > to || to > batch->count || threads == 0 || threads > KS_MAX_THREADS) {
        return KS_E_ARGUMENT;
    }
    ks_signed *all = calloc(to - from + 1, sizeof *all);
    ks_status status = KS_E_MEMORY;
    if (all != NULL) {
        size_t count = gather(batch, keys, from, to, all);
        status = ks_signed_verify(all, count, threads, refuse_signature, batch);
        free(all);
    }
    if (status == KS_OK) {
        stage self = {.batch = batch, .from = from};
        atomic_init(&self.out_of_memory, 0);
        ks_fan_out(threads, to - from, KS_TOKENS_PER_RUN, check_runs, &self);
        status = atomic_load(&self.out_of_memory) ? KS_E_MEMORY : KS_OK;
    }
    if (status != KS_OK) {
        refuse_all(batch, from, to);
    }
    note_verified(batch, from, to);
    return status;
}

ks_refusal ks_tokens_refusal(const ks_tokens *batch, size_t index) {
    const ks_token *token = &batch->tokens[index];
    if (!token->verified && !ks_is_refused(token->refusal)) {
        return ks_token_rejected(KS_R_SIGNATURE_INVALID, KS_STEP_SIGNATURE);
    }
    return token->refusal;
}

ks_view ks_tokens_payload(const ks_tokens *batch, size_t index) {
    return batch->tokens[index].payload;
}
