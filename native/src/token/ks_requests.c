/* The proofs of a batch of requests: step 20 of every token that passed. */
#include <stdatomic.h>
#include <stdlib.h>

#include "ks_tokens.h"

typedef struct stage {
    ks_tokens *batch;
    const ks_request *requests;
    size_t from;
    atomic_int out_of_memory;
} stage;

static ks_refusal open_one(const stage *self, size_t index, ks_proof_scratch *scratch) {
    ks_tokens *batch = self->batch;
    const ks_token *token = &batch->tokens[index];
    const ks_request *request = &self->requests[index];
    if (!token->bound) {
        return request->presented
                   ? ks_token_rejected(KS_R_BINDING_MISSING, KS_STEP_CONFIRMATION)
                   : ks_accepted;
    }
    const ks_proof_wanted wanted = {
        .request = request,
        .token = batch->texts[index],
        .jkt = token->jkt,
        .rules = batch->rules,
    };
    uint8_t *memory = batch->proof_memory + batch->proof_places[index];
    return ks_proof_open(&wanted, scratch, memory, &batch->proofs[index]);
}

static void open_runs(void *context, ks_runs *runs) {
    stage *self = context;
    size_t from, to;
    ks_proof_scratch *scratch = malloc(sizeof *scratch);
    if (scratch == NULL || !ks_digest_open(&scratch->sha256, "SHA256")) {
        free(scratch);
        atomic_store(&self->out_of_memory, 1);
        return;
    }
    while (ks_runs_take(runs, &from, &to)) {
        for (size_t i = self->from + from; i < self->from + to; i++) {
            ks_token *token = &self->batch->tokens[i];
            token->refusal = ks_tokens_refusal(self->batch, i);
            if (!ks_is_refused(token->refusal)) {
                token->refusal = open_one(self, i, scratch);
            }
        }
    }
    ks_digest_close(&scratch->sha256);
    free(scratch);
}

/* --- memory ------------------------------------------------------------------------------------- */

static size_t proof_bytes(const ks_request *request) {
    ks_view proof = request->proof;
    int decoded = request->proofs == KS_PROOF_ONE && proof.data != NULL &&
                  proof.size <= KS_MAX_TOKEN_BYTES;
    return decoded ? KS_PROOF_BYTES(proof.size) : 0;
}

static int make_room(ks_tokens *batch, const ks_request *requests) {
    size_t end = 0;
    if (batch->proofs != NULL) {
        return 1;
    }
    ks_proof *proofs = calloc(batch->count + 1, sizeof *proofs);
    size_t *places = calloc(batch->count + 1, sizeof *places);
    for (size_t i = 0; places != NULL && i < batch->count; i++) {
        places[i] = end;
        end += proof_bytes(&requests[i]);
    }
    uint8_t *memory = malloc(end + 1);
    if (proofs == NULL || places == NULL || memory == NULL) {
        free(proofs);
        free(places);
        free(memory);
        return 0;
    }
    batch->proofs = proofs;
    batch->proof_places = places;
    batch->proof_memory = memory;
    return 1;
}

/* --- signatures --------------------------------------------------------------------------------- */

static void refuse_signature(ks_tokens *batch, size_t index) {
    batch->tokens[index].refusal = ks_proof_unsigned(&batch->proofs[index]);
}

static int is_open(const ks_tokens *batch, size_t index) {
    const ks_token *token = &batch->tokens[index];
    return token->bound && !ks_is_refused(token->refusal);
}

/* A key that is not for the algorithm is unsuitable whatever it signed. */
static size_t gather(ks_tokens *batch, size_t from, size_t to, ks_signed *all) {
    size_t count = 0;
    for (size_t i = from; i < to; i++) {
        if (!is_open(batch, i)) {
            continue;
        }
        const ks_proof *proof = &batch->proofs[i];
        if ((proof->jwk.verifies >> proof->algorithm & 1u) == 0) {
            refuse_signature(batch, i);
            continue;
        }
        all[count++] = (ks_signed){
            .owner = i,
            .algorithm = ks_algorithm_of_name(proof->algorithm),
            .key = proof->jwk.key,
            .key_name = UINT32_MAX,
            .item = {.message = proof->signing_input, .signature = proof->signature},
        };
    }
    return count;
}

static ks_status verify(ks_tokens *batch, size_t from, size_t to, unsigned threads) {
    ks_signed *all = calloc(to - from + 1, sizeof *all);
    if (all == NULL) {
        return KS_E_MEMORY;
    }
    size_t count = gather(batch, from, to, all);
    ks_status status = ks_signed_verify(all, count, threads, refuse_signature, batch);
    free(all);
    for (size_t i = from; i < to; i++) {
        if (is_open(batch, i)) {
            batch->tokens[i].refusal = batch->proofs[i].after_signature;
        }
    }
    return status;
}

/* --- all together ------------------------------------------------------------------------------- */

/* What memory was missing for was not checked: none of it passed. */
static void refuse_all(ks_tokens *batch, size_t from, size_t to) {
    for (size_t i = from; i < to; i++) {
        if (!ks_is_refused(batch->tokens[i].refusal)) {
            batch->tokens[i].refusal = ks_proof_rejected(KS_R_PROOF_MISSING, KS_STEP_PROOF);
        }
    }
}

ks_status ks_tokens_prove(ks_tokens *batch, const ks_request *requests, size_t from, size_t to,
                          unsigned threads) {
    if (from > to || to > batch->count || threads == 0 || threads > KS_MAX_THREADS) {
        return KS_E_ARGUMENT;
    }
    ks_status status = make_room(batch, requests) ? KS_OK : KS_E_MEMORY;
    if (status == KS_OK) {
        stage self = {.batch = batch, .requests = requests, .from = from};
        atomic_init(&self.out_of_memory, 0);
        ks_fan_out(threads, to - from, KS_TOKENS_PER_RUN, open_runs, &self);
        status = atomic_load(&self.out_of_memory) ? KS_E_MEMORY
                                                  : verify(batch, from, to, threads);
    }
    if (status != KS_OK) {
        refuse_all(batch, from, to);
    }
    return status;
}

/* --- step 21 ------------------------------------------------------------------------------------ */

static ks_refusal refusal_of(ks_replay_verdict verdict) {
    switch (verdict) {
    case KS_REPLAY_NEW:
        return ks_accepted;
    case KS_REPLAY_SEEN:
        return (ks_refusal){KS_AS_REPLAYED, KS_R_PROOF_REPLAYED, KS_STEP_REPLAY};
    case KS_REPLAY_TOO_OLD:
        return ks_proof_rejected(KS_R_PROOF_TOO_OLD, KS_STEP_REPLAY);
    case KS_REPLAY_FULL:
        break;
    }
    return (ks_refusal){KS_AS_UNAVAILABLE, KS_R_REPLAY_MEMORY_FULL, KS_STEP_REPLAY};
}

/* It may come `leeway_s` before its time and again `proof_max_age_s + leeway_s` after it. */
static ks_replay_use use_of(const ks_tokens *batch, size_t index) {
    const ks_token_rules *rules = batch->rules;
    ks_proven proof = ks_tokens_proven(batch, index);
    return (ks_replay_use){
        .jkt = proof.jkt,
        .jti = proof.jti,
        .first = proof.issued_at - rules->leeway_s,
        .last = proof.issued_at + rules->proof_max_age_s + rules->leeway_s,
    };
}

ks_status ks_tokens_remember(ks_tokens *batch, ks_replay *seen, size_t from, size_t to) {
    if (from > to || to > batch->count || batch->proofs == NULL) {
        return KS_E_ARGUMENT;
    }
    ks_replay_use *uses = calloc(to - from + 1, sizeof *uses);
    size_t count = 0;
    if (uses == NULL) {
        refuse_all(batch, from, to);
        return KS_E_MEMORY;
    }
    for (size_t i = from; i < to; i++) {
        if (is_open(batch, i)) {
            uses[count++] = use_of(batch, i);
        }
    }
    ks_replay_remember_all(seen, uses, count, batch->rules->now);
    for (size_t i = from, next = 0; i < to; i++) {
        if (is_open(batch, i)) {
            batch->tokens[i].refusal = refusal_of(uses[next++].verdict);
        }
    }
    free(uses);
    return KS_OK;
}

ks_proven ks_tokens_proven(const ks_tokens *batch, size_t index) {
    const ks_token *token = &batch->tokens[index];
    if (!token->bound || batch->proofs == NULL) {
        return (ks_proven){.jkt = {NULL, 0}};
    }
    const ks_proof *proof = &batch->proofs[index];
    return (ks_proven){
        .jkt = {proof->jwk.thumbprint, KS_SHA256_CHARS},
        .jti = proof->jti,
        .issued_at = proof->issued_at,
    };
}
