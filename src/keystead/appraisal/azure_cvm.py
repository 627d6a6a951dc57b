"""The appraisal of ``azure-cvm`` evidence, in numbered steps.

    result = conclude(appraise(evidence, policy=policy, nonce=challenge.nonce, now=now))

A paravisor in the guest's most privileged level is the machine's TPM. The hardware measured it and
reports the hash of what it says at boot, its attestation key among it; that key signs the quote.
``docs/evidence/azure-cvm.md`` explains each step under the same number, and errors carry it:

 1. The quote and its PCR values are there, and the policy has rules for this hardware.
 2. The guest asked for the hardware's report, and an endorsed key signed it, by ECDSA.
 3. That key's certificate chains, at ``now``, to an allowed anchor, and no list revokes it.
 4. The certificate's key signed the report.
 5. The certificate is of this kind of key, this processor line and this chip.
 6. It is for the firmware that the report says.
 7. Neither that TCB nor the one that the guest was started on is below the policy's.
 8. The guest's own policy lets nobody look into it or move it, or ours allows that by name.
 9. The report was asked for from a VMPL that the policy allows.
10. What was started is what the policy names, or the policy says "any".
11. HOST_DATA likewise.
12. The keys that signed the guest's identity likewise.
13. The hardware's report is about these runtime data: REPORT_DATA is their hash.
14. The attestation key that they name is not a weak one.
15. It signed the quote.
16. What it signed is a quote.
17. Where the vTPM certified the key, the quote answers this challenge itself; else see step 23.
18. The quote selects exactly the required PCRs, none of a SHA-1 bank, and values came for these.
19. The values make the digest that was quoted.
20. Each value is one that the policy names, or the policy says "any".

Steps 2 to 12 are those of ``appraisal.sev_snp``, one number higher; a TDREPORT would bring its own.
Steps 21 to 29 are ``keystead.binding.azure_cvm``. The hardware's report dates from the boot; fresh
is the quote. Without a certification its extraData holds the challenge hashed with the key: until
step 23 it has not been seen answered, and nothing takes a result of this kind without it.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from keystead.appraisal import sev_snp, tpm2
from keystead.appraisal.azure_cvm_policy import AzureCvmPolicy
from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.result import AttestationResult, ClockInfo, affirmed
from keystead.appraisal.sev_snp import AppraisedReport
from keystead.appraisal.tpm_keys import Unfit, rsa_key, verify_by_key
from keystead.codec.hcl import HclReport
from keystead.codec.json import JSON
from keystead.codec.tpm2 import PcrValues
from keystead.errors import EvidenceRejected, Reason
from keystead.evidence.azure_cvm import AzureCvmEvidence
from keystead.evidence.tpm2 import SignedAttest
from keystead.model import EvidenceKind, Freshness


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureCvmAppraisal:
    """Evidence that passed every step. ``paravisor_pinned``: the policy knows who is the vTPM."""

    policy: str
    max_age_s: int
    appraised: AppraisedReport
    hcl: HclReport = field(repr=False)
    quote: SignedAttest = field(repr=False)
    pcrs: PcrValues = field(repr=False)
    clock: ClockInfo
    freshness: Freshness
    verified_at: int
    paravisor_pinned: bool
    boot_pinned: bool


def appraise(
    evidence: AzureCvmEvidence, *, policy: AppraisalPolicy, nonce: bytes | None, now: int
) -> AzureCvmAppraisal:
    """Steps 1 to 20 of the list above, at ``now`` (Unix seconds).

    ``nonce`` is the challenge that the quote has to answer. None is for saved evidence, whose
    freshness is ``bearer``. Raises EvidenceRejected with the reason and the number of the step.
    """
    rules = _rules(policy)
    quote, pcrs = check_members(evidence)
    appraised = check_hardware_report(evidence, rules, now)
    check_runtime_data(evidence.hcl)
    ak = check_ak(evidence.hcl)
    check_quote_signature(ak, quote)
    info = tpm2.check_quote_type(quote, step=16)
    check_nonce(evidence, quote, nonce)
    tpm2.check_selection(info, pcrs, rules.required_pcrs, step=18)
    tpm2.check_composite(info, pcrs, algorithm=quote.signature.hash, step=19)
    tpm2.check_pcr_values(pcrs, rules.pcr_values, step=20)
    pinned = rules.sev_snp is not None and rules.sev_snp.code_pinned
    sealed = not (appraised.debug or appraised.migratable)
    return AzureCvmAppraisal(
        policy=policy.name,
        max_age_s=rules.max_age_s,
        appraised=appraised,
        hcl=evidence.hcl,
        quote=quote,
        pcrs=pcrs,
        clock=tpm2.clock_info(quote),
        freshness=Freshness.CHALLENGED if nonce is not None else Freshness.BEARER,
        verified_at=now,
        paravisor_pinned=pinned and sealed,
        boot_pinned=pinned and sealed and rules.boot_pinned,
    )


def conclude(appraisal: AzureCvmAppraisal) -> AttestationResult:
    """The result: the hardware vouches for the AK, so no activation is left."""
    found = appraisal.appraised
    claims: dict[str, JSON] = {
        **sev_snp.report_claims(found),
        "vm_configuration": dict(appraisal.hcl.configuration),
        "paravisor_pinned": appraisal.paravisor_pinned,
        "extra_data": appraisal.quote.attest.extra_data.hex(),
    }
    return affirmed(
        kind=EvidenceKind.AZURE_CVM,
        policy=appraisal.policy,
        max_age_s=appraisal.max_age_s,
        anchor_class=found.anchor.anchor_class,
        anchor=found.anchor.name,
        freshness=appraisal.freshness,
        verified_at=appraisal.verified_at,
        attester=evidence_id(appraisal.hcl, appraisal.quote),
        pcrs=tpm2.pcrs_hex(appraisal.pcrs),
        measurements=sev_snp.measurements(found.report),
        claims=claims,
        clock=appraisal.clock,
        boot_pinned=appraisal.boot_pinned,
        debug=found.debug,
    )


def evidence_id(hcl: HclReport, quote: SignedAttest) -> bytes:
    """What ties a result and a key to this machine and quote.

    The SHA-256 of the hardware's REPORT_DATA, of the runtime data's hash, which step 13 finds to be
    the same, and of the quote.
    """
    return hashlib.sha256(hcl.report_data + hcl.runtime_digest + quote.attest.raw).digest()


def check_members(evidence: AzureCvmEvidence) -> tuple[SignedAttest, PcrValues]:
    """Step 1."""
    if evidence.quote is None:
        raise EvidenceRejected(Reason.EVIDENCE_MEMBER_MISSING, "quote", step=1)
    if evidence.pcrs is None:
        raise EvidenceRejected(Reason.EVIDENCE_MEMBER_MISSING, "pcrs", step=1)
    return evidence.quote, evidence.pcrs


def check_hardware_report(
    evidence: AzureCvmEvidence, rules: AzureCvmPolicy, now: int
) -> AppraisedReport:
    """Steps 1 to 12, by the hardware. A TDREPORT is only MACed: its quote would have to be."""
    if evidence.hcl.snp is None or rules.sev_snp is None:
        raise EvidenceRejected(
            Reason.KIND_UNSUPPORTED, f"no rules for {evidence.hcl.hardware.name}", step=1
        )
    return sev_snp.appraise_report(
        evidence.hcl.snp, evidence.certificates, rules=rules.sev_snp, now=now, first_step=2
    )


def check_runtime_data(hcl: HclReport, *, step: int = 13) -> None:
    """Step 13."""
    if not hmac.compare_digest(hcl.report_data, hcl.runtime_digest):
        raise EvidenceRejected(
            Reason.RUNTIME_DATA_MISMATCH, "the report is about other runtime data", step=step
        )


def check_ak(hcl: HclReport, *, step: int = 14) -> RSAPublicKey:
    """Step 14."""
    try:
        return rsa_key(hcl.ak)
    except Unfit as error:
        raise EvidenceRejected(error.reason, error.detail, step=step) from error
    except ValueError as error:
        raise EvidenceRejected(Reason.WEAK_KEY, str(error), step=step) from error


def check_quote_signature(ak: RSAPublicKey, quote: SignedAttest, *, step: int = 15) -> None:
    """Step 15: the runtime data name no scheme, so any strong one of an RSA key will do."""
    try:
        verify_by_key(ak, attest=quote.attest.raw, signature=quote.signature)
    except Unfit as error:
        raise EvidenceRejected(Reason.QUOTE_SIGNATURE, error.detail, step=step) from error


def check_nonce(evidence: AzureCvmEvidence, quote: SignedAttest, nonce: bytes | None) -> None:
    """Step 17: without a certification, extraData is a hash that only step 23 can make."""
    if evidence.certify is not None:
        tpm2.check_nonce(quote, nonce, evidence.nonce, step=17)


def _rules(policy: AppraisalPolicy) -> AzureCvmPolicy:
    if policy.azure_cvm is None:
        raise EvidenceRejected(Reason.KIND_UNSUPPORTED, f"policy {policy.name} has no azure-cvm")
    return policy.azure_cvm
