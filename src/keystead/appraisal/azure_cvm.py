"""The appraisal of ``azure-cvm`` evidence, in numbered steps.

    result = conclude(appraise(evidence, policy=policy, nonce=challenge.nonce, now=now))

A paravisor in the guest's most privileged level is the machine's TPM. The hardware measured it and
reports the hash of what it says at boot, its attestation key among it; that key signs the quote.
``docs/evidence/azure-cvm.md`` explains each step under the same number, and errors carry it:

 1. The quote and its PCR values are there, and the policy has rules for this hardware.
 2. AMD: the guest asked for the report, and an endorsed key signed it. Intel: the TD quote's
    certificates chain, at ``now``, to an allowed anchor, and no list revokes them.
 3. AMD: the key's certificate chains to an allowed anchor, and no list revokes it. Intel: TCB info
    and QE identity are signed and in force.
 4. AMD: the certificate's key signed the report. Intel: the TCB info is of this platform's family.
 5. AMD: the certificate is of this kind of key, processor line and chip. Intel: the platform's key
    signed the quoting enclave's report, which names the attestation key.
 6. AMD: it is for the firmware that the report says. Intel: the enclave is the identity's.
 7. AMD: neither that TCB nor the one at the start is below the policy's. Intel: the attestation key
    signed the quote.
 8. AMD: the guest's policy lets nobody look into it or move it, or ours allows that by name. Intel:
    there is a TCB level for it, and it is not revoked.
 9. AMD: the VMPL is one that the policy allows. Intel: TCB statuses, advisories and evaluation are.
10. AMD: what was started is what the policy names, or it says "any". Intel: nobody may look into
    the TD or move it, or the policy allows that by name.
11. AMD: HOST_DATA is what the policy names, or it says "any". Intel: MRTD and the RTMRs are.
12. AMD: the keys that signed the guest's identity likewise. Intel: what the host named likewise.
13. The hardware's report is about these runtime data: REPORT_DATA is their hash. The TD quote is
    about the same.
14. The attestation key that they name is not a weak one.
15. It signed the quote.
16. What it signed is a quote.
17. Where the vTPM certified the key, the quote answers this challenge itself; else see step 23.
18. The quote selects exactly the required PCRs, none of a SHA-1 bank, and values came for these.
19. The values make the digest that was quoted.
20. Each value is one that the policy names, or the policy says "any".

Steps 2 to 12 are 1 to 11 of ``appraisal.sev_snp`` or ``appraisal.tdx``, one number higher. A
TDREPORT is only MACed, so what counts is a quote of the same TD. Steps 21 to 29 are
``keystead.binding.azure_cvm``. The hardware's report dates from the boot; fresh is the vTPM's
quote. Without a certification its extraData holds the challenge hashed with the key: until step 23
it has not been seen answered, and nothing takes a result of this kind without it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from keystead.appraisal import sev_snp, tdx, tpm2
from keystead.appraisal.anchors import Anchor
from keystead.appraisal.azure_cvm_policy import AzureCvmPolicy
from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.result import AttestationResult, ClockInfo, affirmed
from keystead.appraisal.sev_snp_policy import SnpPolicy
from keystead.appraisal.tdx_policy import TdxPolicy
from keystead.appraisal.tpm_keys import Unfit, rsa_key, verify_by_key
from keystead.codec.hcl import HclReport
from keystead.codec.json import JSON
from keystead.codec.snp import SnpReport
from keystead.codec.tpm2 import PcrValues
from keystead.errors import EvidenceRejected, Reason
from keystead.evidence.azure_cvm import AzureCvmEvidence, TdEndorsement
from keystead.evidence.tpm2 import SignedAttest
from keystead.model import EvidenceKind, Freshness


@dataclass(frozen=True, slots=True, kw_only=True)
class AppraisedHardware:
    """What a report or a TD quote that passed its steps says of the machine.

    ``pinned``: the policy knows what was started, and nobody can look into it or move it.
    """

    anchor: Anchor
    measurements: Mapping[str, str] = field(repr=False)
    claims: Mapping[str, JSON] = field(repr=False)
    debug: bool
    pinned: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureCvmAppraisal:
    """Evidence that passed every step. ``paravisor_pinned``: the policy knows who is the vTPM."""

    policy: str
    max_age_s: int
    hardware: AppraisedHardware
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
    hardware = check_hardware_report(evidence, rules, now)
    check_runtime_data(evidence.hcl)
    check_same_report(evidence)
    ak = check_ak(evidence.hcl)
    check_quote_signature(ak, quote)
    info = tpm2.check_quote_type(quote, step=16)
    check_nonce(evidence, quote, nonce)
    tpm2.check_selection(info, pcrs, rules.required_pcrs, step=18)
    tpm2.check_composite(info, pcrs, algorithm=quote.signature.hash, step=19)
    tpm2.check_pcr_values(pcrs, rules.pcr_values, step=20)
    return AzureCvmAppraisal(
        policy=policy.name,
        max_age_s=rules.max_age_s,
        hardware=hardware,
        hcl=evidence.hcl,
        quote=quote,
        pcrs=pcrs,
        clock=tpm2.clock_info(quote),
        freshness=Freshness.CHALLENGED if nonce is not None else Freshness.BEARER,
        verified_at=now,
        paravisor_pinned=hardware.pinned,
        boot_pinned=hardware.pinned and rules.boot_pinned,
    )


def conclude(appraisal: AzureCvmAppraisal) -> AttestationResult:
    """The result: the hardware vouches for the AK, so no activation is left."""
    found = appraisal.hardware
    claims: dict[str, JSON] = {
        **found.claims,
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
        measurements=found.measurements,
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
) -> AppraisedHardware:
    """Steps 1 to 12, by the hardware."""
    if evidence.hcl.snp is not None and rules.sev_snp is not None:
        return _snp(evidence.hcl.snp, evidence.certificates, rules.sev_snp, now)
    if evidence.td is not None and rules.tdx is not None:
        return _td(evidence.td, rules.tdx, now)
    raise EvidenceRejected(
        Reason.KIND_UNSUPPORTED, f"no rules for {evidence.hcl.hardware.name}", step=1
    )


def check_runtime_data(hcl: HclReport, *, step: int = 13) -> None:
    """Step 13."""
    if not hmac.compare_digest(hcl.report_data, hcl.runtime_digest):
        raise EvidenceRejected(
            Reason.RUNTIME_DATA_MISMATCH, "the report is about other runtime data", step=step
        )


def check_same_report(evidence: AzureCvmEvidence, *, step: int = 13) -> None:
    """Step 13, of a TD: what was quoted is what was reported."""
    if evidence.td is not None and not hmac.compare_digest(
        evidence.td.quote.report.report_data, evidence.hcl.report_data
    ):
        raise EvidenceRejected(
            Reason.RUNTIME_DATA_MISMATCH, "the TD quote is about another report", step=step
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


def _snp(
    report: SnpReport, certificates: Sequence[bytes], rules: SnpPolicy, now: int
) -> AppraisedHardware:
    found = sev_snp.appraise_report(report, certificates, rules=rules, now=now, first_step=2)
    return AppraisedHardware(
        anchor=found.anchor,
        measurements=sev_snp.measurements(found.report),
        claims=sev_snp.report_claims(found),
        debug=found.debug,
        pinned=rules.code_pinned and not (found.debug or found.migratable),
    )


def _td(endorsement: TdEndorsement, rules: TdxPolicy, now: int) -> AppraisedHardware:
    found = tdx.appraise_quote(
        endorsement.quote, endorsement.collateral, rules=rules, now=now, first_step=2
    )
    return AppraisedHardware(
        anchor=found.anchor,
        measurements=tdx.measurements(found.quote.report),
        claims=tdx.quote_claims(found),
        debug=found.debug,
        pinned=rules.code_pinned and not (found.debug or found.migratable),
    )


def _rules(policy: AppraisalPolicy) -> AzureCvmPolicy:
    if policy.azure_cvm is None:
        raise EvidenceRejected(Reason.KIND_UNSUPPORTED, f"policy {policy.name} has no azure-cvm")
    return policy.azure_cvm
