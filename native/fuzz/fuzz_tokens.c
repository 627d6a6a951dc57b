/*
 * A whole batch of requests, cut from the input: tokens and proofs as texts, or signed by the one key
 * that the issuer and the holder share. No item's neighbours change what is said of it, however many
 * threads there are.
 *
 *     how header ff payload ff header ff payload fe …     01 stands for the key, `jkt` or `ath`
 */
#include "fuzz_signer.h"
#include "ks_token.h"

#define MOST_ITEMS 12u /* more than names that are found without sorting */
#define MOST_BYTES 9000u

#define TOKEN_HEADER "{\"typ\":\"at+jwt\",\"alg\":\"Ed25519\",\"kid\":\"k\"}"
#define CLAIMS                                                                                       \
    "{\"iss\":\"i\",\"sub\":\"s\",\"aud\":\"a\",\"client_id\":\"c\",\"iat\":1000,\"exp\":1200,\"jti\":\"j\"," \
    "\"act\":{\"sub\":\"s\"},\"cnf\":{\"jkt\":\"\x01\"}," \
    "\"status\":{\"status_list\":{\"idx\":0,\"uri\":\"u\"}}}"
#define PROOF_HEADER "{\"typ\":\"dpop+jwt\",\"alg\":\"EdDSA\",\"jwk\":\x01}"
#define PROOF "{\"jti\":\"j\",\"htm\":\"GET\",\"htu\":\"https://a/b\",\"iat\":1000,\"ath\":\"\x01\"}"

START_FROM("\x07\x03" TOKEN_HEADER "\xff" CLAIMS "\xff" PROOF_HEADER "\xff" PROOF
           "\xfe\x03{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\"}\xff" CLAIMS "\xff" PROOF_HEADER "\xff" PROOF
           "\xfe\x04" "a.b.c\xff\xff" "a.b.c")

typedef struct item {
    ks_view token;
    ks_request request;
    ks_refusal found;
} item;

static ks_view text_of(const fuzz_signer *signer, ks_view *rest, int is_composed, ks_view filling) {
    uint8_t header[MOST_BYTES], payload[MOST_BYTES];
    ks_view first = part_take(rest, PART_END), second = part_take(rest, PART_END);
    if (!is_composed) {
        return copy_of(first);
    }
    const ks_view jwk = {(const uint8_t *)signer->jwk, strlen(signer->jwk)};
    size_t header_size = fill_in(first, 1, jwk, header, sizeof header);
    size_t payload_size = fill_in(second, 1, filling, payload, sizeof payload);
    return jws_sign(signer, (ks_view){header, header_size}, (ks_view){payload, payload_size});
}

static void item_read(const fuzz_signer *signer, ks_view rest, item *out) {
    uint8_t how = byte_take(&rest), ath[JKT_CHARS];
    out->token = text_of(signer, &rest, how & 1u, (ks_view){signer->jkt, JKT_CHARS});
    hash_write(out->token.data, out->token.size, ath);
    out->request = (ks_request){
        .proofs = (ks_proof_count)(1 + (how >> 2 & 63u) / 2 % 2 - (how >> 7 & 1u)),
        .presented = 1,
        .proof = text_of(signer, &rest, how & 2u, (ks_view){ath, sizeof ath}),
        .method = {(const uint8_t *)"GET", 3},
        .url = {(const uint8_t *)"HTTPS://A/./b?c", 15},
    };
    if ((how & 64u) != 0) { /* a text outside ASCII */
        copy_free(out->token);
        out->token = (ks_view){NULL, 100};
    }
}

static void items_free(item *items, size_t count) {
    for (size_t i = 0; i < count; i++) {
        copy_free(items[i].request.proof);
        if (items[i].token.data != NULL) {
            copy_free(items[i].token);
        }
    }
}

static size_t items_read(const fuzz_signer *signer, ks_view rest, item *items) {
    size_t count = 0;
    while (rest.size > 0 && count < MOST_ITEMS) {
        item_read(signer, part_take(&rest, ITEM_END), &items[count++]);
    }
    return count;
}

/* One key that refuses, and the signer's for all other names. */
static ks_named_key *keys_of(const fuzz_signer *signer, const ks_tokens *batch) {
    size_t count = ks_tokens_names(batch);
    ks_named_key *keys = calloc(count + 1, sizeof *keys);
    require(keys != NULL);
    for (size_t i = 0; i < count; i++) {
        ks_key_wanted name = ks_tokens_name(batch, i);
        for (size_t j = 0; j < i; j++) {
            ks_key_wanted other = ks_tokens_name(batch, j);
            require(name.algorithm != other.algorithm || !ks_views_equal(name.kid, other.kid));
        }
        keys[i].key.first = (ks_view){signer->public, KEY_BYTES};
        if (name.kid.size == 2) {
            keys[i].refusal = ks_token_rejected(KS_R_KEY_UNKNOWN, KS_STEP_KEY);
        }
    }
    return keys;
}

/* Of a list, by the length of its URI: it cannot be had, or its width. Index 0 of all is valid. */
static ks_status_list list_of(ks_view uri) {
    static const uint8_t statuses[] = {0xe4, 0x1b, 0x80};
    static const ks_refusal away = {KS_AS_UNAVAILABLE, KS_R_STATUS_UNAVAILABLE, KS_STEP_STATUS};
    return (ks_status_list){
        .statuses = {statuses, uri.size % 4},
        .bits = 1u << uri.size / 4 % 4,
        .refusal = uri.size % 5 == 4 ? away : ks_accepted,
    };
}

static void check_status(ks_tokens *batch) {
    require(ks_tokens_find_lists(batch) == KS_OK);
    size_t count = ks_tokens_lists(batch);
    ks_status_list *lists = calloc(count + 1, sizeof *lists);
    require(lists != NULL);
    for (size_t i = 0; i < count; i++) {
        lists[i] = list_of(ks_tokens_list(batch, i));
        for (size_t j = 0; j < i; j++) {
            require(!ks_views_equal(ks_tokens_list(batch, i), ks_tokens_list(batch, j)));
        }
    }
    require(ks_tokens_check_status(batch, lists) == KS_OK);
    free(lists);
}

static void check_passed(const ks_tokens *batch, size_t index, const fuzz_signer *signer) {
    ks_proven proven = ks_tokens_proven(batch, index);
    require(ks_tokens_payload(batch, index).size > 0);
    require(ks_tokens_name_of(batch, index) < ks_tokens_names(batch));
    require(proven.jkt.data == NULL || memcmp(proven.jkt.data, signer->jkt, JKT_CHARS) == 0);
}

static void judge(const fuzz_signer *signer, item *items, size_t count, unsigned threads,
                  int is_listed) {
    const ks_token_rules rules = {
        .status_required = is_listed,
        .algorithms = 0x7f,
        .issuer = {(const uint8_t *)"i", 1},
        .audience = {(const uint8_t *)"a", 1},
        .now = 1000,
        .leeway_s = 5,
        .max_lifetime_s = 300,
        .proof_max_age_s = 60,
        .max_authentication_age_s = KS_ANY_AGE,
        .max_residency_age_s = KS_ANY_AGE,
    };
    ks_view *texts = calloc(count + 1, sizeof *texts);
    ks_request *requests = calloc(count + 1, sizeof *requests);
    ks_tokens *batch;
    require(texts != NULL && requests != NULL);
    for (size_t i = 0; i < count; i++) {
        texts[i] = items[i].token;
        requests[i] = items[i].request;
    }
    require(ks_tokens_open(texts, count, &rules, threads, &batch) == KS_OK);
    ks_named_key *keys = keys_of(signer, batch);
    size_t middle = count / 3;
    require(ks_tokens_verify(batch, keys, 0, middle, threads) == KS_OK);
    require(ks_tokens_verify(batch, keys, middle, count, threads) == KS_OK);
    if (is_listed) {
        check_status(batch);
    }
    require(ks_tokens_prove(batch, requests, 0, middle, threads) == KS_OK);
    require(ks_tokens_prove(batch, requests, middle, count, threads) == KS_OK);
    for (size_t i = 0; i < count; i++) {
        items[i].found = ks_tokens_refusal(batch, i);
        if (!ks_is_refused(items[i].found)) {
            check_passed(batch, i, signer);
        }
    }
    free(keys);
    ks_tokens_close(batch);
    free(requests);
    free(texts);
}

static void check_same(ks_refusal a, ks_refusal b) {
    require(a.as == b.as && a.reason == b.reason && a.step == b.step);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static item items[MOST_ITEMS];
    const fuzz_signer *signer = signer_of_run();
    ks_view rest = {data, size};
    uint8_t how = byte_take(&rest);
    unsigned threads = 1 + how % 4u;
    int is_listed = how >> 2 & 1;
    size_t count = items_read(signer, rest, items);
    judge(signer, items, count, threads, is_listed);
    for (size_t i = 0; i < count && i < 4; i++) {
        item alone = items[i];
        judge(signer, &alone, 1, 1, is_listed);
        check_same(alone.found, items[i].found);
    }
    items_free(items, count);
    return 0;
}
