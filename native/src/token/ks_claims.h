/*
 * The claims of a delegated access token, steps 6 to 18 of relying/verifier.py, by the rules of
 * src/keystead/relying/claims.py and requirements.py (RFC 9068 §2.2 and §4, RFC 8693 §4.1, RFC 7800,
 * RFC 9449 §6, RFC 9470).
 */
#ifndef KS_CLAIMS_H
#define KS_CLAIMS_H

#include "ks_claim_reader.h"

/* The bounds of relying/claims.py. */
#define KS_MAX_ACT_DEPTH 8u
#define KS_MAX_JTI_CHARS 256u
#define KS_MAX_SCOPE_CHARS 4096u
#define KS_MAX_AUDIENCES 20u
#define KS_MAX_AMR_VALUES 16u
#define KS_MAX_AAL 3

/* `cnf.residency`: what was proved of where the agent's key lives. */
typedef struct ks_residency {
    ks_protection protection;
    ks_freshness freshness;
    int hardware;
    int64_t verified_at;
    ks_view policy;
} ks_residency;

/* What is asked of a token beyond its being genuine. Views are into its document, without data where the
 * token says nothing; numbers are -1 there. */
typedef struct ks_claims {
    ks_view scope, acr;
    int64_t aal, auth_time;
    ks_view jkt; /* no data: the token is bound to no key */
    uint32_t status; /* index of its value, which nobody looked at; 0: none */
    int has_residency;
    ks_residency residency;
} ks_claims;

/* Steps 6 to 15 of the document that a token's payload is. */
KS_MUST_CHECK ks_refusal ks_claims_check(const ks_json *document, const ks_token_rules *rules,
                                         ks_claims *claims);

/* Steps 16 to 18 of claims that passed. */
KS_MUST_CHECK ks_refusal ks_claims_require(const ks_claims *claims, const ks_token_rules *rules);

/* Step 15 of the object at `at`: complete, and nothing claimed that its kind cannot prove. */
ks_residency ks_residency_check(ks_claim_reader *reader, uint32_t at);

#endif
