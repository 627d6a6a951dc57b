/*
 * Claims under rules that the first bytes choose. Who passes them passes fewer rules as well, and has
 * what every token must have.
 */
#include "fuzz_input.h"
#include "token/ks_claims.h"
#include "token/ks_tokens.h"

#define RULE_BYTES 6u
#define SHA256 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

START_FROM("\x3f\x01\x02\x05\x3c\x3c{\"iss\":\"i\",\"sub\":\"s\",\"aud\":\"a\",\"client_id\":\"c\",\"scope\":\"r w\","
           "\"iat\":1000,\"exp\":1200,\"jti\":\"j\",\"txn\":\"t\",\"auth_time\":990,\"acr\":\"x\","
           "\"amr\":[\"pop\"],\"aal\":3,\"act\":{\"sub\":\"s\",\"act\":{\"sub\":\"t\"}},\"cnf\":{\"jkt\":\"" SHA256
           "\",\"residency\":{\"kind\":\"tpm2\",\"protection\":\"non-exportable\",\"hardware\":true,"
           "\"verified_at\":995,\"freshness\":\"challenged\",\"policy\":\"p\",\"result\":\"" SHA256 "\"}},"
           "\"status\":{\"status_list\":{\"idx\":7,\"uri\":\"u\"}}}")

static const ks_view scopes[] = {{(const uint8_t *)"r", 1}, {(const uint8_t *)"w", 1}};
static const ks_view acr_values[] = {{(const uint8_t *)"y", 1}, {(const uint8_t *)"x", 1}};
static const ks_view policies[] = {{(const uint8_t *)"p", 1}};

static ks_token_rules rules_of(const uint8_t bytes[RULE_BYTES]) {
    unsigned flags = bytes[0];
    return (ks_token_rules){
        .issuer = {(const uint8_t *)"i", 1},
        .audience = {(const uint8_t *)"a", 1},
        .now = 1000 + bytes[1] - 2 * (bytes[1] & 1),
        .leeway_s = bytes[2] % 61,
        .max_lifetime_s = 1 + 200 * (bytes[3] % 4),
        .dpop_required = (flags & 1u) != 0,
        .scopes = {scopes, flags >> 1 & 1u},
        .minimum_aal = flags >> 2 & 3u,
        .acr_values = {acr_values, (flags & 16u) != 0 ? 2 : 0},
        .max_authentication_age_s = (flags & 32u) != 0 ? bytes[4] : KS_ANY_AGE,
        .residency_required = (flags & 64u) != 0,
        .protections = 1u + bytes[3] / 32,
        .freshnesses = 1u + bytes[4] / 128,
        .hardware_required = (flags & 128u) != 0,
        .max_residency_age_s = (bytes[5] & 1u) != 0 ? bytes[5] : KS_ANY_AGE,
        .policies_named = (bytes[5] & 2u) != 0,
        .policies = {policies, 1},
    };
}

static ks_refusal judge(const ks_json *document, const ks_token_rules *rules, ks_claims *claims) {
    ks_refusal refusal = ks_claims_check(document, rules, claims);
    return ks_is_refused(refusal) ? refusal : ks_claims_require(claims, rules);
}

static void check_accepted(const ks_json *document, const ks_token_rules *rules,
                           const ks_claims *claims) {
    ks_claims ignored;
    size_t issuer = ks_json_member(document, 0, "iss"), expiry = ks_json_member(document, 0, "exp");
    require(issuer != 0 && ks_json_is(&document->values[issuer], rules->issuer));
    require(expiry != 0);
    const ks_json_value *exp = &document->values[expiry];
    require(exp->kind == KS_JSON_INTEGER ? exp->as.integer > rules->now - rules->leeway_s
                                         : exp->as.number > (double)(rules->now - rules->leeway_s));
    require(!rules->dpop_required || claims->jkt.size == KS_SHA256_CHARS);
    require(!rules->residency_required || claims->has_residency);
    require(rules->minimum_aal <= 0 || claims->aal >= rules->minimum_aal);

    const ks_token_rules fewer = {
        .issuer = rules->issuer,
        .audience = rules->audience,
        .now = rules->now,
        .leeway_s = 60,
        .max_lifetime_s = 1000,
        .max_authentication_age_s = KS_ANY_AGE,
    };
    require(!ks_is_refused(judge(document, &fewer, &ignored)));
}

/* Where the status stands: a URI that is no longer than the text, or a reason of its own step. */
static void check_listed(const ks_json *document, size_t size) {
    ks_listed listed = {{NULL, 0}, -1};
    uint8_t *memory = malloc(size);
    require(memory != NULL);
    uint32_t status = (uint32_t)ks_json_member(document, 0, "status");
    ks_refusal refusal = ks_listed_read(document, status, memory, &listed);
    require(ks_is_refused(refusal) && refusal.step == KS_STEP_STATUS);
    if (refusal.as == KS_AS_UNAVAILABLE) {
        require(listed.uri.size > 0 && listed.uri.data == memory && listed.index >= 0);
    } else {
        require(refusal.as == KS_AS_TOKEN_REJECTED && listed.uri.data == NULL);
    }
    free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    ks_claims claims;
    if (size < RULE_BYTES) {
        return 0;
    }
    const ks_token_rules rules = rules_of(data);
    ks_view text = copy_of((ks_view){data + RULE_BYTES, size - RULE_BYTES});
    ks_json *document = malloc(sizeof *document);
    require(document != NULL);
    if (ks_json_parse_object(text, KS_MAX_JSON_DEPTH, document) == KS_OK) {
        ks_refusal refusal = judge(document, &rules, &claims);
        if (ks_is_refused(refusal)) {
            require(refusal.as == KS_AS_TOKEN_REJECTED);
            require(refusal.step >= KS_STEP_ISSUER && refusal.step <= KS_STEP_RESIDENCY_REQUIRED);
        } else {
            check_accepted(document, &rules, &claims);
        }
        check_listed(document, text.size);
    }
    free(document);
    copy_free(text);
    return 0;
}
