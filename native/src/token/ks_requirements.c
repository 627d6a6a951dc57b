/* Steps 16 to 18: what one API asks of a token beyond its being genuine. */
#include "ks_claims.h"

#include <string.h>

static int named(ks_views names, ks_view text) {
    for (size_t i = 0; i < names.count; i++) {
        if (ks_views_equal(names.items[i], text)) {
            return 1;
        }
    }
    return 0;
}

/* Whether `scope`, words with one space between two, has this word. */
static int has_word(ks_view scope, ks_view word) {
    const uint8_t *at = scope.data, *end = scope.data + scope.size;
    while (at < end) {
        const uint8_t *space = memchr(at, ' ', (size_t)(end - at));
        const uint8_t *stop = space == NULL ? end : space;
        if (ks_views_equal((ks_view){at, (size_t)(stop - at)}, word)) {
            return 1;
        }
        at = stop + 1;
    }
    return 0;
}

static ks_refusal check_scopes(const ks_claims *claims, const ks_token_rules *rules) {
    for (size_t i = 0; i < rules->scopes.count; i++) {
        if (claims->scope.data == NULL || !has_word(claims->scope, rules->scopes.items[i])) {
            return ks_token_rejected(KS_R_SCOPE_INSUFFICIENT, KS_STEP_SCOPES_REQUIRED);
        }
    }
    return ks_accepted;
}

/* `max_age_s` may be KS_ANY_AGE; otherwise it is within ±2^61, as `now` is. */
static int is_recent(int64_t date, int64_t max_age_s, const ks_token_rules *rules) {
    return max_age_s == KS_ANY_AGE || rules->now - date <= max_age_s + rules->leeway_s;
}

/* RFC 9470. A token without `aal` has less than any. */
static ks_refusal check_sign_in(const ks_claims *claims, const ks_token_rules *rules) {
    int strong = claims->aal >= rules->minimum_aal || rules->minimum_aal == 0;
    int acceptable = rules->acr_values.count == 0 ||
                     (claims->acr.data != NULL && named(rules->acr_values, claims->acr));
    int64_t max_age_s = rules->max_authentication_age_s;
    int recent = is_recent(claims->auth_time, max_age_s, rules) &&
                 (max_age_s == KS_ANY_AGE || claims->auth_time >= 0);
    if (strong && acceptable && recent) {
        return ks_accepted;
    }
    return ks_token_rejected(KS_R_AUTHENTICATION_INSUFFICIENT, KS_STEP_AUTHENTICATION_REQUIRED);
}

static int is_resident(const ks_residency *residency, const ks_token_rules *rules) {
    return (rules->protections >> residency->protection & 1u) != 0 &&
           (!rules->hardware_required || residency->hardware) &&
           (rules->freshnesses >> residency->freshness & 1u) != 0 &&
           (!rules->policies_named || named(rules->policies, residency->policy)) &&
           is_recent(residency->verified_at, rules->max_residency_age_s, rules);
}

static ks_refusal check_resident(const ks_claims *claims, const ks_token_rules *rules) {
    if (!rules->residency_required ||
        (claims->has_residency && is_resident(&claims->residency, rules))) {
        return ks_accepted;
    }
    return ks_token_rejected(KS_R_RESIDENCY_INSUFFICIENT, KS_STEP_RESIDENCY_REQUIRED);
}

ks_refusal ks_claims_require(const ks_claims *claims, const ks_token_rules *rules) {
    ks_refusal refusal = check_scopes(claims, rules);
    if (!ks_is_refused(refusal)) {
        refusal = check_sign_in(claims, rules);
    }
    return ks_is_refused(refusal) ? refusal : check_resident(claims, rules);
}
