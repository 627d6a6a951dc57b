#include "ks_claims.h"

#include <string.h>

enum {
    ISS, SUB, AUD, CLIENT_ID, SCOPE, IAT, EXP, NBF, JTI, TXN, AUTH_TIME, ACR, AMR, AAL, ACT, CNF,
    STATUS, CLAIM_NAMES
};
/* In the order in which Keystead writes them, which is read quickest. */
static const ks_name claim_names[CLAIM_NAMES] = {
    [ISS] = KS_NAME("iss"),     [SUB] = KS_NAME("sub"),
    [AUD] = KS_NAME("aud"),     [CLIENT_ID] = KS_NAME("client_id"),
    [SCOPE] = KS_NAME("scope"), [IAT] = KS_NAME("iat"),
    [EXP] = KS_NAME("exp"),     [NBF] = KS_NAME("nbf"),
    [JTI] = KS_NAME("jti"),     [TXN] = KS_NAME("txn"),
    [ACR] = KS_NAME("acr"),     [AUTH_TIME] = KS_NAME("auth_time"),
    [AMR] = KS_NAME("amr"),     [AAL] = KS_NAME("aal"),
    [ACT] = KS_NAME("act"),     [CNF] = KS_NAME("cnf"),
    [STATUS] = KS_NAME("status"),
};

enum { ACT_SUB, ACT_ISS, ACT_ATTESTATION, ACT_ACT, ACT_NAMES };
static const ks_name act_names[ACT_NAMES] = {
    [ACT_SUB] = KS_NAME("sub"),
    [ACT_ISS] = KS_NAME("iss"),
    [ACT_ATTESTATION] = KS_NAME("attestation"),
    [ACT_ACT] = KS_NAME("act"),
};

enum { JKT, RESIDENCY, CNF_NAMES };
static const ks_name cnf_names[CNF_NAMES] = {
    [JKT] = KS_NAME("jkt"),
    [RESIDENCY] = KS_NAME("residency"),
};

typedef const uint32_t claim_places[CLAIM_NAMES];

static void check_issuer(ks_claim_reader *reader, claim_places at) {
    reader->step = KS_STEP_ISSUER;
    ks_view issuer = ks_claim_demand_string(reader, at[ISS], KS_MAX_STRING_CHARS);
    if (!ks_views_equal(issuer, reader->rules->issuer)) {
        ks_claim_refuse(reader, KS_R_ISSUER_MISMATCH);
    }
}

/* One string or an array of them (RFC 7519 §4.1.3); among them, ours. */
static void check_audience(ks_claim_reader *reader, claim_places at) {
    const ks_json_value *values = reader->document->values;
    size_t list = at[AUD], first = list;
    reader->step = KS_STEP_AUDIENCE;
    ks_claim_demand(reader, at[AUD]);
    if (values[list].kind == KS_JSON_STRING) {
        (void)ks_claim_string(reader, at[AUD], KS_MAX_STRING_CHARS);
    } else {
        ks_claim_strings(reader, at[AUD], KS_MAX_AUDIENCES);
        first++;
    }
    if (ks_claim_refused(reader)) {
        return;
    }
    for (size_t item = first; item < values[list].after; item++) {
        if (ks_json_is(&values[item], reader->rules->audience)) {
            return;
        }
    }
    ks_claim_refuse(reader, KS_R_AUDIENCE_MISMATCH);
}

/* Steps 8 and 9. */
static void check_times(ks_claim_reader *reader, claim_places at) {
    const ks_token_rules *rules = reader->rules;
    reader->step = KS_STEP_TIMES;
    int64_t expires_at = ks_claim_demand_date(reader, at[EXP]);
    int64_t issued_at = ks_claim_demand_date(reader, at[IAT]);
    int64_t not_before = ks_claim_date(reader, at[NBF]);
    if (rules->now >= expires_at + rules->leeway_s) {
        ks_claim_refuse(reader, KS_R_EXPIRED);
    }
    if (rules->now < issued_at - rules->leeway_s ||
        (at[NBF] != 0 && rules->now < not_before - rules->leeway_s)) {
        ks_claim_refuse(reader, KS_R_NOT_YET_VALID);
    }
    reader->step = KS_STEP_LIFETIME;
    if (expires_at <= issued_at) {
        ks_claim_refuse(reader, KS_R_CLAIM_INVALID);
    }
    if (expires_at - issued_at > rules->max_lifetime_s) {
        ks_claim_refuse(reader, KS_R_LIFETIME_TOO_LONG);
    }
}

static void check_identities(ks_claim_reader *reader, claim_places at) {
    reader->step = KS_STEP_IDENTITIES;
    (void)ks_claim_demand_string(reader, at[SUB], KS_MAX_STRING_CHARS);
    (void)ks_claim_demand_string(reader, at[CLIENT_ID], KS_MAX_STRING_CHARS);
    (void)ks_claim_demand_string(reader, at[JTI], KS_MAX_JTI_CHARS);
    (void)ks_claim_string(reader, at[TXN], KS_MAX_JTI_CHARS);
}

/* The chain is walked to its end first; then its links are read, the innermost first. */
static void check_actor(ks_claim_reader *reader, claim_places at) {
    uint32_t links[KS_MAX_ACT_DEPTH][ACT_NAMES];
    size_t count = 0;
    reader->step = KS_STEP_ACTOR;
    uint32_t link = ks_claim_object(reader, at[ACT]);
    while (link != 0 && count < KS_MAX_ACT_DEPTH) {
        (void)ks_members_find(reader->document, link, act_names, ACT_NAMES, links[count]);
        link = ks_claim_object(reader, links[count++][ACT_ACT]);
    }
    if (link != 0) {
        ks_claim_refuse(reader, KS_R_CLAIM_INVALID);
    }
    while (count-- > 0) {
        (void)ks_claim_demand_string(reader, links[count][ACT_SUB], KS_MAX_STRING_CHARS);
        (void)ks_claim_string(reader, links[count][ACT_ISS], KS_MAX_STRING_CHARS);
        (void)ks_claim_string(reader, links[count][ACT_ATTESTATION], KS_MAX_STRING_CHARS);
    }
}

/* RFC 6749 §3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E ), one space between two. */
static int is_scope(ks_view text) {
    uint8_t before = ' ';
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        int fits = c == ' ' ? before != ' ' : c > ' ' && c < 0x7f && c != '"' && c != '\\';
        if (!fits) {
            return 0;
        }
        before = c;
    }
    return before != ' ';
}

static ks_view check_scope(ks_claim_reader *reader, claim_places at) {
    reader->step = KS_STEP_SCOPE;
    ks_view scope = ks_claim_string(reader, at[SCOPE], KS_MAX_SCOPE_CHARS);
    if (scope.data != NULL && !is_scope(scope)) {
        ks_claim_refuse(reader, KS_R_CLAIM_INVALID);
    }
    return scope;
}

static void check_authentication(ks_claim_reader *reader, claim_places at, ks_claims *claims) {
    reader->step = KS_STEP_AUTHENTICATION;
    claims->aal = ks_claim_integer(reader, at[AAL], 1, KS_MAX_AAL);
    claims->acr = ks_claim_string(reader, at[ACR], KS_MAX_STRING_CHARS);
    ks_claim_strings(reader, at[AMR], KS_MAX_AMR_VALUES);
    claims->auth_time = ks_claim_date(reader, at[AUTH_TIME]);
    if (claims->auth_time > reader->rules->now + reader->rules->leeway_s) {
        ks_claim_refuse(reader, KS_R_CLAIM_INVALID);
    }
}

/* Step 14; answers the index of `residency`, 0 where there is none. */
static uint32_t check_confirmation(ks_claim_reader *reader, claim_places at, ks_claims *claims) {
    uint32_t within[CNF_NAMES] = {0};
    reader->step = KS_STEP_CONFIRMATION;
    uint32_t confirmation = ks_claim_object(reader, at[CNF]);
    if (at[CNF] == 0 && !reader->rules->dpop_required) {
        return 0;
    }
    size_t others = 0;
    if (confirmation != 0) {
        others = ks_members_find(reader->document, confirmation, cnf_names, CNF_NAMES, within);
    }
    if (within[JKT] == 0) {
        ks_claim_refuse(reader, KS_R_BINDING_MISSING);
    }
    if (others > 0) { /* another confirmation method would go unchecked */
        ks_claim_refuse(reader, KS_R_CLAIM_INVALID);
    }
    claims->jkt = ks_claim_demand_sha256(reader, within[JKT]);
    return within[RESIDENCY];
}

ks_refusal ks_claims_check(const ks_json *document, const ks_token_rules *rules,
                           ks_claims *claims) {
    ks_claim_reader reader = {.document = document, .rules = rules};
    uint32_t at[CLAIM_NAMES];
    memset(claims, 0, sizeof *claims);
    (void)ks_members_find(document, 0, claim_names, CLAIM_NAMES, at);
    check_issuer(&reader, at);
    check_audience(&reader, at);
    check_times(&reader, at);
    check_identities(&reader, at);
    check_actor(&reader, at);
    claims->scope = check_scope(&reader, at);
    claims->status = at[STATUS];
    check_authentication(&reader, at, claims);
    uint32_t residency = check_confirmation(&reader, at, claims);
    reader.step = KS_STEP_RESIDENCY;
    claims->has_residency = ks_claim_object(&reader, residency) != 0;
    if (claims->has_residency && !ks_claim_refused(&reader)) {
        claims->residency = ks_residency_check(&reader, residency);
    }
    return reader.refusal;
}
