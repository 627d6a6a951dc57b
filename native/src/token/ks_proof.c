#include "ks_proof.h"

#include <string.h>

/* The numbers of RFC 9449 §4.3. */
enum {
    SINGLE = 1, WELL_FORMED = 2, REQUIRED = 3, TYPE = 4, ALGORITHM = 5, SIGNATURE = 6,
    METHOD = 8, URL = 9, AGE = 11, BOUND = 12
};

enum { JTI, HTM, HTU, IAT, ATH, NONCE, CLAIM_NAMES };
static const ks_name claim_names[CLAIM_NAMES] = {
    [JTI] = KS_NAME("jti"), [HTM] = KS_NAME("htm"), [HTU] = KS_NAME("htu"),
    [IAT] = KS_NAME("iat"), [ATH] = KS_NAME("ath"), [NONCE] = KS_NAME("nonce"),
};
static const ks_name proof_type = KS_NAME("dpop+jwt");

/* The claims of a proof; views into its document. */
typedef struct proof_claims {
    ks_view jti, method, url, token_hash;
} proof_claims;

static ks_refusal malformed(ks_reason reason) {
    return reason == KS_R_NONE ? ks_accepted : ks_malformed(reason, KS_STEP_PROOF);
}

/* --- steps 1 to 7 ------------------------------------------------------------------------------- */

static ks_refusal check_single(const ks_request *request) {
    if (request->proofs == KS_PROOF_NONE) {
        return ks_proof_rejected(KS_R_PROOF_MISSING, SINGLE);
    }
    /* HTTP libraries may fold repeated headers into one value, joined with commas. */
    int folded = request->proof.data != NULL && request->proof.size > 0 &&
                 memchr(request->proof.data, ',', request->proof.size) != NULL;
    if (request->proofs == KS_PROOF_MANY || folded) {
        return ks_proof_rejected(KS_R_PROOF_NOT_SINGLE, SINGLE);
    }
    return ks_accepted;
}

static ks_refusal check_well_formed(const ks_request *request, ks_proof_scratch *scratch,
                                    uint8_t *memory, ks_jws *jws) {
    ks_reason reason = ks_jws_parse(request->proof, memory, &scratch->header, jws);
    if (reason == KS_R_CRITICAL_HEADER_UNKNOWN) {
        return ks_proof_rejected(reason, WELL_FORMED);
    }
    if (reason == KS_R_NONE) {
        ks_status status = ks_json_parse_object(jws->payload, KS_MAX_JSON_DEPTH, &scratch->claims);
        reason = ks_reason_of(status);
    }
    return malformed(reason);
}

static ks_reason find_string(const ks_json *claims, uint32_t at, size_t max_chars, ks_view *text) {
    *text = (ks_view){NULL, 0};
    return at == 0 ? KS_R_NONE : ks_member_string(claims, at, max_chars, text);
}

static ks_reason read_strings(const ks_json *document, const uint32_t *at, proof_claims *claims) {
    ks_view nonce;
    ks_reason reason = find_string(document, at[JTI], KS_MAX_PROOF_JTI_CHARS, &claims->jti);
    if (reason == KS_R_NONE) {
        reason = find_string(document, at[HTM], KS_MAX_METHOD_CHARS, &claims->method);
    }
    if (reason == KS_R_NONE) {
        reason = find_string(document, at[HTU], KS_MAX_URL_CHARS, &claims->url);
    }
    if (reason == KS_R_NONE) {
        reason = find_string(document, at[NONCE], KS_MAX_NONCE_CHARS, &nonce);
    }
    if (reason == KS_R_NONE) {
        reason = find_string(document, at[ATH], KS_SHA256_CHARS, &claims->token_hash);
    }
    return reason;
}

static ks_refusal check_required(const ks_proof_scratch *scratch, const ks_jws *jws,
                                 proof_claims *claims, int64_t *issued_at) {
    const ks_json *document = &scratch->claims;
    uint32_t at[CLAIM_NAMES];
    (void)ks_members_find(document, 0, claim_names, CLAIM_NAMES, at);
    int dated = at[IAT] == 0 || ks_member_date(document, at[IAT], issued_at) == KS_R_NONE;
    if (!dated || (jws->jwk != 0 && ks_member_object(&scratch->header, jws->jwk) != KS_R_NONE)) {
        return malformed(KS_R_MALFORMED);
    }
    if (at[JTI] == 0 || at[HTM] == 0 || at[HTU] == 0 || at[IAT] == 0 || jws->jwk == 0 ||
        jws->typ.data == NULL) {
        return ks_proof_rejected(KS_R_CLAIM_MISSING, REQUIRED);
    }
    return malformed(read_strings(document, at, claims));
}

static ks_refusal check_header(const ks_jws *jws, unsigned *algorithm) {
    if (!ks_jws_has_type(jws, proof_type)) {
        return ks_proof_rejected(KS_R_TYPE_MISMATCH, TYPE);
    }
    *algorithm = ks_algorithm_find(jws->algorithm);
    if (*algorithm == KS_ALGORITHM_NAMES) {
        return ks_proof_rejected(KS_R_ALGORITHM_NOT_ALLOWED, ALGORITHM);
    }
    return ks_accepted;
}

/* --- steps 8 to 12 ------------------------------------------------------------------------------ */

static ks_refusal check_url(const ks_proof_wanted *wanted, ks_view url,
                            ks_proof_scratch *scratch) {
    size_t size = 0, wanted_size = 0;
    ks_reason reason = ks_reason_of(ks_htu_normalise(url, scratch->proof_url, &size));
    if (reason == KS_R_NONE) {
        reason = ks_reason_of(
            ks_htu_normalise(wanted->request->url, scratch->request_url, &wanted_size));
    }
    if (reason != KS_R_NONE) {
        return malformed(reason);
    }
    ks_view found = {scratch->proof_url, size}, own = {scratch->request_url, wanted_size};
    return ks_views_equal(found, own) ? ks_accepted : ks_proof_rejected(KS_R_URL_MISMATCH, URL);
}

static ks_refusal check_age(const ks_token_rules *rules, int64_t issued_at) {
    int64_t age_s = rules->now - issued_at;
    if (age_s > rules->proof_max_age_s + rules->leeway_s) {
        return ks_proof_rejected(KS_R_PROOF_TOO_OLD, AGE);
    }
    if (age_s < -rules->leeway_s) {
        return ks_proof_rejected(KS_R_PROOF_IN_FUTURE, AGE);
    }
    return ks_accepted;
}

/* The `ath` that the proof has is the token's (RFC 9449 §4.2). */
static int has_hash_of(ks_view token_hash, ks_view token, ks_digest *sha256) {
    uint8_t hash[EVP_MAX_MD_SIZE], text[KS_SHA256_CHARS];
    unsigned size = 0;
    if (token_hash.data == NULL || !ks_digest_compute(sha256, token, hash, &size)) {
        return 0;
    }
    ks_base64url_encode(hash, size, text);
    return ks_views_equal(token_hash, (ks_view){text, sizeof text});
}

static ks_refusal check_claims(const ks_proof_wanted *wanted, const proof_claims *claims,
                               ks_proof_scratch *scratch, const ks_proof *proof) {
    if (!ks_views_equal(claims->method, wanted->request->method)) {
        return ks_proof_rejected(KS_R_METHOD_MISMATCH, METHOD);
    }
    ks_refusal refusal = check_url(wanted, claims->url, scratch);
    if (!ks_is_refused(refusal)) {
        refusal = check_age(wanted->rules, proof->issued_at);
    }
    if (ks_is_refused(refusal)) {
        return refusal;
    }
    if (!has_hash_of(claims->token_hash, wanted->token, &scratch->sha256)) {
        return ks_proof_rejected(KS_R_TOKEN_HASH_MISMATCH, BOUND);
    }
    if (memcmp(proof->jwk.thumbprint, wanted->jkt, KS_SHA256_CHARS) != 0) {
        return ks_proof_rejected(KS_R_KEY_BINDING_MISMATCH, BOUND);
    }
    return ks_accepted;
}

/* --- all together ------------------------------------------------------------------------------- */

/* `jti` outlives the document it was read from: it is moved to where the payload was. */
static ks_view keep(ks_view text, const ks_jws *jws, uint8_t *memory) {
    uint8_t *place = memory + (jws->payload.data - memory);
    memmove(place, text.data, text.size);
    return (ks_view){place, text.size};
}

ks_refusal ks_proof_open(const ks_proof_wanted *wanted, ks_proof_scratch *scratch, uint8_t *memory,
                         ks_proof *proof) {
    ks_jws jws;
    proof_claims claims;
    memset(proof, 0, sizeof *proof);
    ks_refusal refusal = check_single(wanted->request);
    if (!ks_is_refused(refusal)) {
        refusal = check_well_formed(wanted->request, scratch, memory, &jws);
    }
    if (!ks_is_refused(refusal)) {
        refusal = check_required(scratch, &jws, &claims, &proof->issued_at);
    }
    if (!ks_is_refused(refusal)) {
        refusal = check_header(&jws, &proof->algorithm);
    }
    if (!ks_is_refused(refusal)) {
        uint8_t *parameters = memory + KS_JWS_BYTES(wanted->request->proof.size);
        refusal = ks_jwk_read(&scratch->header, jws.jwk, &scratch->sha256, parameters, &proof->jwk);
    }
    if (ks_is_refused(refusal)) {
        return refusal;
    }
    proof->signing_input = jws.signing_input;
    proof->signature = jws.signature;
    proof->after_signature = check_claims(wanted, &claims, scratch, proof);
    proof->jti = keep(claims.jti, &jws, memory);
    return ks_accepted;
}

ks_refusal ks_proof_unsigned(const ks_proof *proof) {
    int suits = (proof->jwk.verifies >> proof->algorithm & 1u) != 0;
    int is_key = suits && ks_jwk_is_point(&proof->jwk);
    return ks_proof_rejected(is_key ? KS_R_SIGNATURE_INVALID : KS_R_KEY_UNSUITABLE, SIGNATURE);
}
