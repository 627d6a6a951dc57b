/* Batches of tokens: names of keys, ranges, threads, and what happens when there is no memory. */
#include <string.h>

#include "check.h"
#include "failing_memory.h"
#include "token_maker.h"

#define FEW 70u /* more than one run of a thread */

static int is_refused_for(ks_refusal found, ks_refused_as as, ks_reason reason, unsigned step) {
    return found.as == as && found.reason == reason && found.step == step;
}

/* --- contract ----------------------------------------------------------------------------------- */

static void check_bounds(void) {
    static ks_view texts[KS_MAX_TOKENS + 1];
    const ks_token_rules rules = made_rules();
    ks_tokens *batch = (ks_tokens *)&rules;
    CHECK(ks_tokens_open(texts, KS_MAX_TOKENS + 1, &rules, 1, &batch) == KS_E_TOO_LARGE);
    CHECK(batch == NULL);
    CHECK(ks_tokens_open(texts, 1, &rules, KS_MAX_THREADS + 1, &batch) != KS_OK && batch == NULL);
    CHECK(ks_tokens_open(texts, 1, &rules, 0, &batch) == KS_E_ARGUMENT && batch == NULL);
    ks_tokens_close(NULL);

    CHECK(ks_tokens_open(texts, 0, &rules, 1, &batch) == KS_OK);
    CHECK(ks_tokens_names(batch) == 0);
    CHECK(ks_tokens_verify(batch, NULL, 0, 0, 1) == KS_OK);
    CHECK(ks_tokens_verify(batch, NULL, 0, 1, 1) == KS_E_ARGUMENT);
    CHECK(ks_tokens_prove(batch, NULL, 0, 0, 1) == KS_OK);
    CHECK(ks_tokens_prove(batch, NULL, 1, 0, 1) == KS_E_ARGUMENT);
    ks_tokens_close(batch);

    CHECK(ks_tokens_open(texts, KS_MAX_TOKENS, &rules, 2, &batch) == KS_OK);
    CHECK(ks_tokens_names(batch) == 0);
    CHECK(ks_tokens_verify(batch, NULL, 0, KS_MAX_TOKENS, 0) == KS_E_ARGUMENT);
    CHECK(ks_tokens_verify(batch, NULL, 0, KS_MAX_TOKENS, 2) == KS_OK);
    for (size_t i = 0; i < KS_MAX_TOKENS; i++) {
        ks_refusal found = ks_tokens_refusal(batch, i);
        CHECK(is_refused_for(found, KS_AS_MALFORMED, KS_R_MALFORMED, KS_STEP_DECODE));
        CHECK(ks_tokens_name_of(batch, i) == 0 && ks_tokens_proven(batch, i).jkt.data == NULL);
    }
    ks_tokens_close(batch);
}

/* --- names of keys ------------------------------------------------------------------------------ */

static void sign_named(unsigned algorithm, const char *kid, made_text *out) {
    char header[256];
    (void)snprintf(header, sizeof header, "{\"typ\":\"at+jwt\",\"alg\":\"%s\"%s%s%s}",
                   ks_algorithm_name(algorithm), kid == NULL ? "" : ",\"kid\":\"",
                   kid == NULL ? "" : kid, kid == NULL ? "" : "\"");
    token_maker_sign(header, "{}", out);
}

/* Every third token has the name of the one before it, in another spelling. */
static void make_named(unsigned index, made_text *out) {
    char kid[64];
    unsigned number = index % 3 == 2 ? index - 1 : index;
    (void)snprintf(kid, sizeof kid, "%s%u", index % 3 == 2 ? "\\u006bey " : "key ", number);
    sign_named(number % KS_ALGORITHM_NAMES, number % 50 == 0 ? NULL : kid, out);
}

static int is_same_name(ks_key_wanted a, ks_key_wanted b) {
    return a.algorithm == b.algorithm && (a.kid.data == NULL) == (b.kid.data == NULL) &&
           ks_views_equal(a.kid, b.kid);
}

static void check_names(unsigned count) {
    static made_text made[600];
    static ks_view texts[600];
    const ks_token_rules rules = made_rules();
    ks_tokens *batch;
    for (unsigned i = 0; i < count; i++) {
        make_named(i, &made[i]);
        texts[i] = made_view(&made[i]);
    }
    CHECK(ks_tokens_open(texts, count, &rules, 1 + count % 3, &batch) == KS_OK);
    size_t names = ks_tokens_names(batch);
    for (size_t i = 0; i < names; i++) {
        for (size_t j = 0; j < i; j++) {
            CHECK(!is_same_name(ks_tokens_name(batch, i), ks_tokens_name(batch, j)));
        }
    }
    for (unsigned i = 0; i < count; i++) {
        unsigned number = i % 3 == 2 ? i - 1 : i;
        ks_key_wanted name = ks_tokens_name(batch, ks_tokens_name_of(batch, i));
        CHECK(name.algorithm == number % KS_ALGORITHM_NAMES);
        CHECK((name.kid.data == NULL) == (number % 50 == 0));
        CHECK(i % 3 != 2 || ks_tokens_name_of(batch, i) == ks_tokens_name_of(batch, i - 1));
    }
    ks_tokens_close(batch);
}

/* --- verdicts ----------------------------------------------------------------------------------- */

typedef struct requests {
    made_text tokens[FEW], proofs[FEW];
    ks_view texts[FEW];
    ks_request all[FEW];
} requests;

/* Every fifth token is signed by nobody; every seventh proof is for another method. */
static void requests_make(requests *out) {
    for (unsigned i = 0; i < FEW; i++) {
        token_maker_token(&out->tokens[i]);
        token_maker_proof(&out->tokens[i], i % 7 == 0 ? "PUT" : "GET", &out->proofs[i]);
        if (i % 5 == 0) {
            char *end = out->tokens[i].text + out->tokens[i].size - 4;
            *end = *end == 'A' ? 'B' : 'A';
        }
        out->texts[i] = made_view(&out->tokens[i]);
        out->all[i] = (ks_request){
            .proofs = i % 11 == 0 ? KS_PROOF_NONE : KS_PROOF_ONE,
            .presented = i % 11 != 0,
            .proof = made_view(&out->proofs[i]),
            .method = {(const uint8_t *)"GET", 3},
            .url = {(const uint8_t *)"https://a:443/x/../b?q", 22},
        };
    }
}

static int is_expected(ks_refusal found, unsigned index) {
    if (index % 5 == 0) {
        return is_refused_for(found, KS_AS_TOKEN_REJECTED, KS_R_SIGNATURE_INVALID, 5);
    }
    if (index % 11 == 0) {
        return is_refused_for(found, KS_AS_PROOF_REJECTED, KS_R_PROOF_MISSING, 1);
    }
    if (index % 7 == 0) {
        return is_refused_for(found, KS_AS_PROOF_REJECTED, KS_R_METHOD_MISMATCH, 8);
    }
    return !ks_is_refused(found);
}

/* In two parts, `middle` being where the second begins. */
static void check_verdicts(const requests *of, size_t middle, unsigned threads) {
    const ks_token_rules rules = made_rules();
    const ks_named_key key = {.key = token_maker_key()};
    ks_tokens *batch;
    CHECK(ks_tokens_open(of->texts, FEW, &rules, threads, &batch) == KS_OK);
    CHECK(ks_tokens_names(batch) == 1);
    CHECK(ks_tokens_verify(batch, &key, 0, middle, threads) == KS_OK);
    CHECK(ks_tokens_verify(batch, &key, middle, FEW, threads) == KS_OK);
    CHECK(ks_tokens_prove(batch, of->all, 0, middle, threads) == KS_OK);
    CHECK(ks_tokens_prove(batch, of->all, middle, FEW, threads) == KS_OK);
    for (unsigned i = 0; i < FEW; i++) {
        CHECK(is_expected(ks_tokens_refusal(batch, i), i));
        ks_proven proven = ks_tokens_proven(batch, i);
        if (!ks_is_refused(ks_tokens_refusal(batch, i))) {
            CHECK(memcmp(proven.jkt.data, token_maker_jkt(), KS_SHA256_CHARS) == 0);
            CHECK(proven.jti.size == 1 && proven.jti.data[0] == 'j' && proven.issued_at == 1000);
            CHECK(ks_tokens_payload(batch, i).data[0] == '{');
        }
    }
    ks_tokens_close(batch);
}

static void check_refused_key(const requests *of) {
    const ks_token_rules rules = made_rules();
    const ks_named_key none = {.refusal = ks_token_rejected(KS_R_KEY_UNKNOWN, KS_STEP_KEY)};
    ks_tokens *batch;
    CHECK(ks_tokens_open(of->texts, FEW, &rules, 1, &batch) == KS_OK);
    CHECK(ks_tokens_verify(batch, &none, 0, FEW, 1) == KS_OK);
    CHECK(ks_tokens_prove(batch, of->all, 0, FEW, 1) == KS_OK);
    for (size_t i = 0; i < FEW; i++) {
        ks_refusal found = ks_tokens_refusal(batch, i);
        CHECK(is_refused_for(found, KS_AS_TOKEN_REJECTED, KS_R_KEY_UNKNOWN, KS_STEP_KEY));
    }
    ks_tokens_close(batch);
}

/* What nobody verified did not pass, and its proof is not looked at. */
static void check_order(const requests *of) {
    const ks_token_rules rules = made_rules();
    const ks_named_key key = {.key = token_maker_key()};
    ks_tokens *batch;
    CHECK(ks_tokens_open(of->texts, FEW, &rules, 1, &batch) == KS_OK);
    CHECK(ks_is_refused(ks_tokens_refusal(batch, 1)));
    CHECK(ks_tokens_verify(batch, &key, 0, 2, 1) == KS_OK);
    CHECK(ks_tokens_prove(batch, of->all, 0, FEW, 1) == KS_OK);
    CHECK(!ks_is_refused(ks_tokens_refusal(batch, 1)));
    for (size_t i = 2; i < FEW; i++) {
        ks_refusal found = ks_tokens_refusal(batch, i);
        CHECK(is_refused_for(found, KS_AS_TOKEN_REJECTED, KS_R_SIGNATURE_INVALID, 5));
    }
    ks_tokens_close(batch);
}

/* --- no memory ---------------------------------------------------------------------------------- */

/* What was not checked did not pass; what was, is what it would have been. */
static ks_status judge(const requests *of, unsigned threads) {
    const ks_token_rules rules = made_rules();
    const ks_named_key key = {.key = token_maker_key()};
    ks_tokens *batch;
    ks_status status = ks_tokens_open(of->texts, FEW, &rules, threads, &batch);
    CHECK((status == KS_OK) == (batch != NULL));
    if (status != KS_OK) {
        return status;
    }
    status = ks_tokens_verify(batch, &key, 0, FEW, threads);
    if (status == KS_OK) {
        status = ks_tokens_prove(batch, of->all, 0, FEW, threads);
    }
    for (unsigned i = 0; i < FEW; i++) {
        ks_refusal found = ks_tokens_refusal(batch, i);
        CHECK(status == KS_OK ? is_expected(found, i) : ks_is_refused(found));
    }
    ks_tokens_close(batch);
    return status;
}

static void check_without_memory(const requests *of, unsigned threads) {
    long failures = 0;
    for (int reached = 1; reached; failures++) {
        failing_memory_set(failures);
        ks_status status = judge(of, threads);
        reached = failing_memory_reached();
        failing_memory_set(-1);
        CHECK(status == KS_OK || (status == KS_E_MEMORY && reached));
    }
    CHECK(failures > 10);
}

void test_tokens(void) {
    static requests made;
    check_bounds();
    check_names(1);
    check_names(8);
    check_names(9);
    check_names(600);
    requests_make(&made);
    for (unsigned threads = 1; threads <= 3; threads++) {
        check_verdicts(&made, 0, threads);
        check_verdicts(&made, FEW, threads);
        check_verdicts(&made, 33, threads);
    }
    check_refused_key(&made);
    check_order(&made);
    check_without_memory(&made, 1);
    check_without_memory(&made, 2);
}
