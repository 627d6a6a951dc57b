/* Status lists: which a batch names, what their bits say, and that nothing passes before they said it. */
#include <string.h>

#include "check.h"
#include "failing_memory.h"
#include "token_maker.h"

#define FEW 40u

static const char header[] = "{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\",\"kid\":\"k\"}";

/* A good token with these members as its status. */
static void sign_listed(const char *status, made_text *out) {
    char payload[1024];
    (void)snprintf(payload, sizeof payload,
                   "{\"iss\":\"i\",\"sub\":\"s\",\"aud\":\"a\",\"client_id\":\"c\",\"iat\":1000,"
                   "\"exp\":1200,\"jti\":\"j\",\"cnf\":{\"jkt\":\"%s\"}%s}",
                   token_maker_jkt(), status);
    token_maker_sign(header, payload, out);
}

static void sign_at(const char *uri, long long index, made_text *out) {
    char status[256];
    (void)snprintf(status, sizeof status,
                   ",\"status\":{\"status_list\":{\"uri\":\"%s\",\"idx\":%lld}}", uri, index);
    sign_listed(status, out);
}

static ks_token_rules listed_rules(void) {
    ks_token_rules rules = made_rules();
    rules.status_required = 1;
    return rules;
}

/* The rules stand as long as the batch. */
static ks_tokens *verified(const ks_view *texts, size_t count, const ks_token_rules *rules) {
    const ks_named_key key = {.key = token_maker_key()};
    ks_tokens *batch;
    CHECK(ks_tokens_open(texts, count, rules, 2, &batch) == KS_OK);
    CHECK(ks_tokens_verify(batch, &key, 0, count, 2) == KS_OK);
    return batch;
}

static int is_at_step_19(ks_refusal found, ks_refused_as as, ks_reason reason) {
    return found.as == as && found.reason == reason && found.step == KS_STEP_STATUS;
}

static int is_unknown_yet(ks_refusal found) {
    return is_at_step_19(found, KS_AS_UNAVAILABLE, KS_R_STATUS_UNAVAILABLE);
}

/* --- which lists there are ---------------------------------------------------------------------- */

/* Every third token spells the URI of the one before it with an escape. */
static void check_names(size_t count) {
    static made_text made[FEW];
    static ks_view texts[FEW];
    const ks_token_rules rules = listed_rules();
    char uri[32];
    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(uri, sizeof uri, "%s%u", i % 3 == 2 ? "\\u0061:\\/" : "a:/",
                       i % 3 == 2 ? i - 1 : i);
        sign_at(uri, i, &made[i]);
        texts[i] = made_view(&made[i]);
    }
    ks_tokens *batch = verified(texts, count, &rules);
    CHECK(ks_tokens_lists(batch) == 0);
    CHECK(ks_tokens_find_lists(batch) == KS_OK);
    CHECK(ks_tokens_lists(batch) == count - count / 3);
    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(uri, sizeof uri, "a:/%u", i % 3 == 2 ? i - 1 : i);
        ks_view list = ks_tokens_list(batch, ks_tokens_list_of(batch, i));
        CHECK(list.size == strlen(uri) && memcmp(list.data, uri, list.size) == 0);
    }
    ks_tokens_close(batch);
}

/* --- what their bits say ------------------------------------------------------------------------ */

static ks_reason reason_of(unsigned status) {
    static const ks_reason known[] = {KS_R_NONE, KS_R_TOKEN_REVOKED, KS_R_TOKEN_SUSPENDED};
    return status < 3 ? known[status] : KS_R_STATUS_UNKNOWN;
}

static void check_bits(unsigned bits, const uint8_t *statuses, size_t size) {
    static made_text made[FEW];
    static ks_view texts[FEW];
    const ks_token_rules rules = listed_rules();
    const ks_status_list list = {.statuses = {statuses, size}, .bits = bits};
    size_t listed = size * 8 / bits, count = 0;
    for (; count < FEW; count++) {
        sign_at("u", (long long)count, &made[count]);
        texts[count] = made_view(&made[count]);
    }
    ks_tokens *batch = verified(texts, count, &rules);
    CHECK(ks_tokens_find_lists(batch) == KS_OK && ks_tokens_lists(batch) == 1);
    CHECK(ks_tokens_check_status(batch, &list) == KS_OK);
    for (size_t i = 0; i < count; i++) {
        unsigned status = 0;
        for (unsigned bit = 0; i < listed && bit < bits; bit++) {
            size_t at = i * bits + bit;
            status |= (unsigned)(statuses[at / 8] >> at % 8 & 1) << bit;
        }
        ks_reason expected = i < listed ? reason_of(status) : KS_R_STATUS_UNKNOWN;
        ks_refusal found = ks_tokens_refusal(batch, i);
        CHECK(expected == KS_R_NONE ? !ks_is_refused(found)
                                    : is_at_step_19(found, KS_AS_TOKEN_REJECTED, expected));
    }
    ks_tokens_close(batch);
}

/* The farthest index there is, in a list of none and of one byte. */
static void check_far(void) {
    static made_text made;
    const ks_token_rules rules = listed_rules();
    const uint8_t valid = 0;
    sign_at("u", INT64_MAX, &made);
    ks_view text = made_view(&made);
    for (size_t size = 0; size < 2; size++) {
        const ks_status_list list = {.statuses = {size == 0 ? NULL : &valid, size}, .bits = 1};
        ks_tokens *batch = verified(&text, 1, &rules);
        CHECK(ks_tokens_find_lists(batch) == KS_OK);
        CHECK(ks_tokens_check_status(batch, &list) == KS_OK);
        CHECK(is_at_step_19(ks_tokens_refusal(batch, 0), KS_AS_TOKEN_REJECTED,
                            KS_R_STATUS_UNKNOWN));
        ks_tokens_close(batch);
    }
}

/* --- what a token says -------------------------------------------------------------------------- */

static void check_refused(const char *status, ks_reason reason) {
    static made_text made;
    const ks_token_rules rules = listed_rules();
    sign_listed(status, &made);
    ks_view text = made_view(&made);
    ks_tokens *batch = verified(&text, 1, &rules);
    CHECK(ks_tokens_find_lists(batch) == KS_OK && ks_tokens_lists(batch) == 0);
    CHECK(ks_tokens_list_of(batch, 0) == 0);
    CHECK(ks_tokens_check_status(batch, NULL) == KS_OK);
    CHECK(is_at_step_19(ks_tokens_refusal(batch, 0), KS_AS_TOKEN_REJECTED, reason));
    ks_tokens_close(batch);
}

#define LIST(members) ",\"status\":{\"status_list\":{" members "}}"

static void check_references(void) {
    check_refused("", KS_R_CLAIM_MISSING);
    check_refused(",\"status\":null", KS_R_CLAIM_INVALID);
    check_refused(",\"status\":[]", KS_R_CLAIM_INVALID);
    check_refused(",\"status\":{}", KS_R_CLAIM_MISSING);
    check_refused(",\"status\":{\"status_list\":7}", KS_R_CLAIM_INVALID);
    check_refused(LIST(""), KS_R_CLAIM_MISSING);
    check_refused(LIST("\"idx\":1"), KS_R_CLAIM_MISSING);
    check_refused(LIST("\"uri\":\"u\""), KS_R_CLAIM_MISSING);
    check_refused(LIST("\"uri\":\"u\",\"idx\":-1"), KS_R_CLAIM_INVALID);
    check_refused(LIST("\"uri\":\"u\",\"idx\":1.0"), KS_R_CLAIM_INVALID);
    check_refused(LIST("\"uri\":\"\",\"idx\":1"), KS_R_CLAIM_INVALID);
    check_refused(LIST("\"uri\":7,\"idx\":1"), KS_R_CLAIM_INVALID);
}

/* --- order -------------------------------------------------------------------------------------- */

static void check_order(void) {
    static made_text made[2];
    const ks_token_rules rules = listed_rules(), without = made_rules();
    const ks_named_key key = {.key = token_maker_key()};
    const uint8_t valid = 0;
    const ks_status_list list = {.statuses = {&valid, 1}, .bits = 1};
    sign_at("u", 1, &made[0]);
    sign_at("v", 1, &made[1]);
    const ks_view texts[2] = {made_view(&made[0]), made_view(&made[1])};

    ks_tokens *batch = verified(texts, 2, &without);
    CHECK(!ks_is_refused(ks_tokens_refusal(batch, 0)));
    CHECK(ks_tokens_find_lists(batch) == KS_E_ARGUMENT);
    CHECK(ks_tokens_check_status(batch, &list) == KS_E_ARGUMENT);
    ks_tokens_close(batch);

    CHECK(ks_tokens_open(texts, 2, &rules, 1, &batch) == KS_OK);
    CHECK(ks_tokens_verify(batch, &key, 0, 1, 1) == KS_OK);
    CHECK(ks_tokens_check_status(batch, &list) == KS_E_ARGUMENT);
    CHECK(is_unknown_yet(ks_tokens_refusal(batch, 0)));
    CHECK(ks_tokens_find_lists(batch) == KS_OK && ks_tokens_lists(batch) == 1);
    CHECK(ks_tokens_find_lists(batch) == KS_E_ARGUMENT);
    /* One that is verified later names no list any more, and does not pass. */
    CHECK(ks_tokens_verify(batch, &key, 1, 2, 1) == KS_OK);
    for (unsigned bits = 0; bits < 20; bits++) {
        const ks_status_list odd = {.statuses = {&valid, 1}, .bits = bits};
        if (bits != 1 && bits != 2 && bits != 4 && bits != 8) {
            CHECK(ks_tokens_check_status(batch, &odd) == KS_E_ARGUMENT);
            CHECK(is_unknown_yet(ks_tokens_refusal(batch, 0)));
        }
    }
    CHECK(ks_tokens_check_status(batch, &list) == KS_OK);
    CHECK(!ks_is_refused(ks_tokens_refusal(batch, 0)));
    CHECK(is_unknown_yet(ks_tokens_refusal(batch, 1)));
    ks_tokens_close(batch);
}

/* A list that the caller refuses: its tokens with the caller's reason, other tokens not at all. */
static void check_refused_list(void) {
    static made_text made[3];
    ks_view texts[3];
    const ks_token_rules rules = listed_rules();
    const uint8_t valid = 0;
    const ks_refusal away = {KS_AS_UNAVAILABLE, KS_R_STATUS_UNAVAILABLE, KS_STEP_STATUS};
    const ks_status_list lists[2] = {{.statuses = {&valid, 1}, .bits = 8}, {.refusal = away}};
    for (unsigned i = 0; i < 3; i++) {
        sign_at(i == 1 ? "away" : "u", 0, &made[i]);
        texts[i] = made_view(&made[i]);
    }
    ks_tokens *batch = verified(texts, 3, &rules);
    CHECK(ks_tokens_find_lists(batch) == KS_OK && ks_tokens_list_of(batch, 1) == 1);
    CHECK(ks_tokens_check_status(batch, lists) == KS_OK);
    CHECK(!ks_is_refused(ks_tokens_refusal(batch, 0)));
    CHECK(is_unknown_yet(ks_tokens_refusal(batch, 1)));
    CHECK(!ks_is_refused(ks_tokens_refusal(batch, 2)));
    ks_tokens_close(batch);
}

static void check_without_memory(void) {
    static made_text made;
    const ks_token_rules rules = listed_rules();
    sign_at("u", 0, &made);
    ks_view text = made_view(&made);
    for (long failures = 0; failures < 2; failures++) {
        ks_tokens *batch = verified(&text, 1, &rules);
        failing_memory_set(failures);
        CHECK(ks_tokens_find_lists(batch) == KS_E_MEMORY);
        failing_memory_set(-1);
        CHECK(is_unknown_yet(ks_tokens_refusal(batch, 0)) && ks_tokens_lists(batch) == 0);
        CHECK(ks_tokens_find_lists(batch) == KS_OK && ks_tokens_lists(batch) == 1);
        ks_tokens_close(batch);
    }
}

void test_listed(void) {
    static const uint8_t statuses[] = {0xb9, 0xa3, 0x00, 0xe4, 0x21};
    check_names(1);
    check_names(3);
    check_names(FEW);
    for (unsigned bits = 1; bits <= 8; bits *= 2) {
        for (size_t size = 0; size <= sizeof statuses; size++) {
            check_bits(bits, statuses, size);
        }
    }
    check_far();
    check_references();
    check_order();
    check_refused_list();
    check_without_memory();
}
