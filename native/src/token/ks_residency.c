/* Step 15: `cnf.residency` is complete and claims only what its kind can prove. */
#include "ks_claims.h"

enum { KIND, PROTECTION, HARDWARE, VERIFIED_AT, FRESHNESS, POLICY, RESULT, RESIDENCY_NAMES };
static const ks_name residency_names[RESIDENCY_NAMES] = {
    [KIND] = KS_NAME("kind"),
    [PROTECTION] = KS_NAME("protection"),
    [HARDWARE] = KS_NAME("hardware"),
    [VERIFIED_AT] = KS_NAME("verified_at"),
    [FRESHNESS] = KS_NAME("freshness"),
    [POLICY] = KS_NAME("policy"),
    [RESULT] = KS_NAME("result"),
};

static const ks_name protection_names[KS_PROTECTIONS] = {
    [KS_NON_EXPORTABLE] = KS_NAME("non-exportable"),
    [KS_MEASURED_CODE] = KS_NAME("measured-code"),
    [KS_UNPROTECTED] = KS_NAME("none"),
};
static const ks_name freshness_names[KS_FRESHNESSES] = {
    [KS_CHALLENGED] = KS_NAME("challenged"),
    [KS_BEARER] = KS_NAME("bearer"),
};

enum { TPM2, AWS_NITRO, SEV_SNP, TDX, AZURE_CVM, MAA, APP_ATTEST, OIDC, KINDS };
static const ks_name kind_names[KINDS] = {
    [TPM2] = KS_NAME("tpm2"),
    [AWS_NITRO] = KS_NAME("aws-nitro"),
    [SEV_SNP] = KS_NAME("sev-snp"),
    [TDX] = KS_NAME("tdx"),
    [AZURE_CVM] = KS_NAME("azure-cvm"),
    [MAA] = KS_NAME("maa"),
    [APP_ATTEST] = KS_NAME("app-attest"),
    [OIDC] = KS_NAME("oidc"),
};

#define BIT(protection) (1u << (protection))
/* `PROVABLE` of relying/claims.py: only a TPM itself says that a key cannot leave it. */
static const unsigned provable[KINDS] = {
    [TPM2] = BIT(KS_NON_EXPORTABLE) | BIT(KS_UNPROTECTED),
    [AWS_NITRO] = BIT(KS_MEASURED_CODE) | BIT(KS_UNPROTECTED),
    [SEV_SNP] = BIT(KS_MEASURED_CODE) | BIT(KS_UNPROTECTED),
    [TDX] = BIT(KS_MEASURED_CODE) | BIT(KS_UNPROTECTED),
    [AZURE_CVM] = BIT(KS_MEASURED_CODE) | BIT(KS_UNPROTECTED),
    [MAA] = BIT(KS_MEASURED_CODE) | BIT(KS_UNPROTECTED),
    [APP_ATTEST] = BIT(KS_UNPROTECTED),
    [OIDC] = BIT(KS_UNPROTECTED),
};

/* All but these are in `HARDWARE_ALONE`: hardware may be genuine and say nothing of the key. */
static int shows_hardware_alone(size_t kind) {
    return kind != TPM2 && kind != OIDC;
}

ks_residency ks_residency_check(ks_claim_reader *reader, uint32_t object) {
    uint32_t at[RESIDENCY_NAMES];
    ks_residency out;
    (void)ks_members_find(reader->document, object, residency_names, RESIDENCY_NAMES, at);
    size_t kind = ks_claim_demand_choice(reader, at[KIND], kind_names, KINDS);
    out.protection = (ks_protection)ks_claim_demand_choice(reader, at[PROTECTION], protection_names,
                                                           KS_PROTECTIONS);
    out.hardware = ks_claim_demand_bool(reader, at[HARDWARE]);
    ks_claim_demand(reader, at[VERIFIED_AT]);
    out.verified_at = ks_claim_integer(reader, at[VERIFIED_AT], 0, INT64_MAX);
    out.freshness = (ks_freshness)ks_claim_demand_choice(reader, at[FRESHNESS], freshness_names,
                                                         KS_FRESHNESSES);
    out.policy = ks_claim_demand_string(reader, at[POLICY], KS_MAX_STRING_CHARS);
    (void)ks_claim_demand_sha256(reader, at[RESULT]);

    int proved = (provable[kind] & BIT(out.protection)) != 0;
    int shown = !out.hardware || out.protection != KS_UNPROTECTED || shows_hardware_alone(kind);
    if (!proved || !shown || out.verified_at > reader->rules->now + reader->rules->leeway_s) {
        ks_claim_refuse(reader, KS_R_CLAIM_INVALID);
    }
    return out;
}
