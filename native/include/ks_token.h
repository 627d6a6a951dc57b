/*
 * Verifying many access tokens, or whole requests, in one call: what src/keystead/relying/verifier.py
 * lists as steps 1 to 21, with the same verdict and reason for every input.
 *
 * A batch is decoded first. The keys of its issuer are the caller's to find (they may have to be fetched),
 * so the batch then says which names of keys it met, and is verified once each has a key or has none. Where
 * tokens can be revoked, it is the same with status lists:
 *
 *     ks_tokens_open ──► ks_tokens_name … ──► ks_tokens_verify        steps 1 to 3, 4 is outside, 5 to 18
 *     ks_tokens_find_lists ──► ks_tokens_list … ──► ks_tokens_check_status            19, where required
 *     ks_tokens_prove ──► ks_tokens_remember ──► ks_tokens_close                      20, 21
 *
 * Only public data passes here.
 */
#ifndef KS_TOKEN_H
#define KS_TOKEN_H

#include "ks_refusal.h"
#include "ks_replay.h"
#include "ks_verify.h"

/* Tokens of one call; MAX_BATCH of relying/batch.py. */
#define KS_MAX_TOKENS 4096u

/* Characters of a SHA-256 in base64url: `jkt`, `ath`, `result`. */
#define KS_SHA256_CHARS 43u

/* JOSE's two names for Ed25519 (RFC 8037 §3.1, RFC 9864 §2.2) are one algorithm of the engine. */
#define KS_ALGORITHM_NAMES 7u
/* The names in the order of their bits in a set of them; NULL for `index` out of range. */
const char *ks_algorithm_name(unsigned index);
/* What the engine calls it. */
ks_algorithm ks_algorithm_of_name(unsigned index);
/* The index of a name; KS_ALGORITHM_NAMES for any other. */
unsigned ks_algorithm_find(ks_view name);

/* The values of model.py's enums of these names. */
typedef enum ks_protection {
    KS_NON_EXPORTABLE = 0,
    KS_MEASURED_CODE = 1,
    KS_UNPROTECTED = 2,
    KS_PROTECTIONS = 3,
} ks_protection;

typedef enum ks_freshness {
    KS_CHALLENGED = 0,
    KS_BEARER = 1,
    KS_FRESHNESSES = 2,
} ks_freshness;

typedef struct ks_views {
    const ks_view *items;
    size_t count;
} ks_views;

/* An age that is not looked at. Negative ones are looked at, and ask for the future. */
#define KS_ANY_AGE INT64_MIN

/* What one verifier was configured with, and the time. All times are seconds; text is UTF-8. */
typedef struct ks_token_rules {
    unsigned algorithms; /* a bit for each name that is allowed */
    ks_view issuer, audience;
    int64_t now; /* within ±2^61, so that no sum with a date or an age overflows */
    int64_t leeway_s, max_lifetime_s, proof_max_age_s;
    int dpop_required;

    ks_views scopes;
    int64_t minimum_aal;              /* 0: none is asked for */
    ks_views acr_values;              /* any one of them; empty: not looked at */
    int64_t max_authentication_age_s; /* or KS_ANY_AGE */

    int residency_required;
    unsigned protections, freshnesses; /* a bit for each that is good enough */
    int hardware_required;
    int64_t max_residency_age_s; /* or KS_ANY_AGE */
    int policies_named;          /* whether `policies` are the only good ones */
    ks_views policies;

    int status_required; /* whether a token has to stand in a status list */
} ks_token_rules;

typedef struct ks_tokens ks_tokens;

/*
 * Decodes `count` tokens (steps 1 to 3). The texts, the rules and all that they view must stand until the
 * batch is closed. A text whose `data` is NULL stands for a string outside ASCII of `size` characters.
 *
 * KS_E_TOO_LARGE above KS_MAX_TOKENS, KS_E_ARGUMENT for zero or more than KS_MAX_THREADS threads,
 * KS_E_MEMORY. `*out` is NULL where the status is not KS_OK.
 */
KS_MUST_CHECK ks_status ks_tokens_open(const ks_view *texts, size_t count,
                                       const ks_token_rules *rules, unsigned threads,
                                       ks_tokens **out);
void ks_tokens_close(ks_tokens *batch); /* accepts NULL */

/* What some tokens of the batch name as their key, and the algorithm that they name with it. */
typedef struct ks_key_wanted {
    unsigned algorithm; /* index of the algorithm's name */
    ks_view kid;        /* UTF-8; `data` is NULL where a token has none */
} ks_key_wanted;

/* How many different names there are, and one of them. */
size_t ks_tokens_names(const ks_tokens *batch);
ks_key_wanted ks_tokens_name(const ks_tokens *batch, size_t index);

/* The key of a name, or why its tokens are refused. */
typedef struct ks_named_key {
    ks_public_key key;
    ks_refusal refusal;
} ks_named_key;

/*
 * Steps 5 to 18 of those tokens from `from` up to `to` that were not refused yet, with one key for each
 * name. If a status is required, all of them are refused until ks_tokens_check_status. KS_OK; KS_E_ARGUMENT for a wrong range or number of threads; KS_E_MEMORY, and none of them passed.
 */
KS_MUST_CHECK ks_status ks_tokens_verify(ks_tokens *batch, const ks_named_key *keys, size_t from,
                                         size_t to, unsigned threads);

/*
 * Sorts out which status lists those tokens name that passed so far; their URIs follow, in UTF-8. KS_OK;
 * KS_E_ARGUMENT where no status is required or it was done before; KS_E_MEMORY.
 */
KS_MUST_CHECK ks_status ks_tokens_find_lists(ks_tokens *batch);
size_t ks_tokens_lists(const ks_tokens *batch);
ks_view ks_tokens_list(const ks_tokens *batch, size_t index);

/* A status list (draft-ietf-oauth-status-list), or why the tokens in it are refused. */
typedef struct ks_status_list {
    ks_view statuses; /* index 0 stands in the lowest bits of the first byte */
    unsigned bits;    /* of one status: 1, 2, 4 or 8 */
    ks_refusal refusal;
} ks_status_list;

/*
 * Step 19 of all tokens that name a list, with one for each: a token passes whose status is 0. KS_OK;
 * KS_E_ARGUMENT before ks_tokens_find_lists or for a wrong number of bits, and none passed.
 */
KS_MUST_CHECK ks_status ks_tokens_check_status(ks_tokens *batch, const ks_status_list *lists);

/* How many DPoP proofs came with a token. */
typedef enum ks_proof_count {
    KS_PROOF_NONE = 0,
    KS_PROOF_ONE = 1,
    KS_PROOF_MANY = 2,
} ks_proof_count;

typedef struct ks_request {
    ks_proof_count proofs;
    int presented;  /* whether something was sent that a token without a key must not come with */
    ks_view proof;  /* as a token's text, where there is one */
    ks_view method; /* UTF-8 */
    ks_view url;    /* UTF-8, the request's own */
} ks_request;

/*
 * Step 20 but for the nonce, of those tokens from `from` up to `to` that passed; `requests` has one for
 * each token of the batch, which stand until it is closed. As ks_tokens_verify, after it and step 19.
 */
KS_MUST_CHECK ks_status ks_tokens_prove(ks_tokens *batch, const ks_request *requests, size_t from,
                                        size_t to, unsigned threads);

/*
 * Step 21 of those tokens from `from` up to `to` that passed: in their order, each proof is remembered in
 * `seen`, and a token whose proof was seen before, is too old, or finds no room, is refused. As
 * ks_tokens_prove, after it.
 */
KS_MUST_CHECK ks_status ks_tokens_remember(ks_tokens *batch, ks_replay *seen, size_t from,
                                           size_t to);

/* What was found of one token; that its signature is invalid, as long as nobody verified it. */
ks_refusal ks_tokens_refusal(const ks_tokens *batch, size_t index);
/* The index of its key's name; ks_tokens_names(…) if it was refused before it named one. */
size_t ks_tokens_name_of(const ks_tokens *batch, size_t index);
/* The index of its status list; ks_tokens_lists(…) if it was refused before it named one. */
size_t ks_tokens_list_of(const ks_tokens *batch, size_t index);
/* Its claims as JSON, once it passed; a view into the batch. */
ks_view ks_tokens_payload(const ks_tokens *batch, size_t index);

/* The proof of a token that passed step 20; `jkt.data` is NULL where no key binds the token. */
typedef struct ks_proven {
    ks_view jkt, jti; /* of the proof's key: 43 characters; UTF-8 */
    int64_t issued_at;
} ks_proven;

ks_proven ks_tokens_proven(const ks_tokens *batch, size_t index);

#endif
