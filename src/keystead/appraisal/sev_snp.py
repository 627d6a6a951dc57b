"""The appraisal of ``sev-snp`` evidence, in numbered steps.

    result = conclude(appraise(evidence, policy=policy, nonce=challenge.nonce, now=now))

``docs/evidence/sev-snp.md`` explains each step under the same number, and errors carry it:

 1. The guest asked for the report, not its host, and a VCEK or VLEK signed it, by ECDSA.
 2. The first certificate chains, at ``now``, to an allowed anchor; no revocation list that the
    policy has names it or its CA.
 3. The certificate's key signed the report.
 4. The certificate is of this kind of key, this processor line and this chip.
 5. It is for the firmware that the report says: its TCB is the reported one.
 6. Neither that TCB nor the one that the guest was started on is below the policy's.
 7. The guest's own policy lets nobody look into it or move it, or the policy allows that by name.
 8. The report was asked for from a VMPL that the policy allows.
 9. What was started is what the policy names, or the policy says "any".
10. HOST_DATA, which the host chose at the start, likewise.
11. The keys that signed the guest's identity, likewise.

Steps 12 and 13 are ``keystead.binding.sev_snp``. A report has no time of its own and no nonce but
in REPORT_DATA, hashed with the key: until step 13 no challenge has been seen answered, and nothing
takes a result of this kind without it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384

from keystead.appraisal.amd_chain import AmdPath
from keystead.appraisal.anchors import Anchor
from keystead.appraisal.path import Untrusted
from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.result import AttestationResult, affirmed
from keystead.appraisal.revocation_lists import Revoked
from keystead.appraisal.sev_snp_policy import MAX_VMPL, SnpPolicy
from keystead.codec.json import JSON
from keystead.codec.snp import (
    CHIP_ID_BYTES,
    ECDSA_P384_SHA384,
    POLICY_DEBUG,
    POLICY_MIGRATION_AGENT,
    KeyEndorsement,
    Product,
    SigningKey,
    SnpReport,
    TcbVersion,
    parse_tcb,
)
from keystead.errors import EvidenceRejected, Malformed, Reason
from keystead.evidence.sev_snp import SnpEvidence
from keystead.model import EvidenceKind, Freshness

STEPS = 11
"""How many steps a report takes; other kinds of evidence have a report in them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppraisedReport:
    """A report that passed every step, and what they found."""

    anchor: Anchor
    report: SnpReport = field(repr=False)
    product: Product
    tcb: TcbVersion
    csp_id: str | None
    debug: bool
    migratable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SnpAppraisal:
    """Evidence that passed every step."""

    policy: str
    max_age_s: int
    appraised: AppraisedReport
    freshness: Freshness
    verified_at: int
    image_pinned: bool


def appraise(
    evidence: SnpEvidence, *, policy: AppraisalPolicy, nonce: bytes | None, now: int
) -> SnpAppraisal:
    """Steps 1 to 11 of the list above, at ``now`` (Unix seconds).

    ``nonce`` is the challenge that step 13 will look for. None is for saved evidence, whose
    freshness is ``bearer``. Raises EvidenceRejected with the reason and the number of the step.
    """
    rules = _rules(policy)
    appraised = appraise_report(
        evidence.report, evidence.certificates, rules=rules, now=now, first_step=1
    )
    return SnpAppraisal(
        policy=policy.name,
        max_age_s=rules.max_age_s,
        appraised=appraised,
        freshness=Freshness.CHALLENGED if nonce is not None else Freshness.BEARER,
        verified_at=now,
        image_pinned=rules.whole_image and not (appraised.debug or appraised.migratable),
    )


def conclude(appraisal: SnpAppraisal) -> AttestationResult:
    """The result: AMD's chain vouches for the report, so no step is left but the key's."""
    found = appraisal.appraised
    return affirmed(
        kind=EvidenceKind.SEV_SNP,
        policy=appraisal.policy,
        max_age_s=appraisal.max_age_s,
        anchor_class=found.anchor.anchor_class,
        anchor=found.anchor.name,
        freshness=appraisal.freshness,
        verified_at=appraisal.verified_at,
        attester=report_id(found.report),
        measurements=measurements(found.report),
        claims=report_claims(found),
        boot_pinned=appraisal.image_pinned,
        debug=found.debug,
    )


def appraise_report(
    report: SnpReport,
    certificates: Sequence[bytes],
    *,
    rules: SnpPolicy,
    now: int,
    first_step: int,
) -> AppraisedReport:
    """The eleven steps, numbered from ``first_step`` on. EvidenceRejected."""
    at = first_step - 1
    check_origin(report, step=at + 1)
    path = check_chain(certificates, rules, now, step=at + 2)
    check_signature(report, path, step=at + 3)
    check_processor(report, path.endorsement, step=at + 4)
    tcb = check_certified_tcb(report, path.endorsement, step=at + 5)
    check_minimum_tcb(report, path.endorsement.product, rules, step=at + 6)
    check_guest_policy(report, rules, step=at + 7)
    check_vmpl(report, rules, step=at + 8)
    check_measurement(report, rules, step=at + 9)
    check_host_data(report, rules, step=at + 10)
    check_identity_keys(report, rules, step=at + 11)
    return AppraisedReport(
        anchor=path.anchor,
        report=report,
        product=path.endorsement.product,
        tcb=tcb,
        csp_id=path.endorsement.csp_id,
        debug=bool(report.policy & POLICY_DEBUG),
        migratable=bool(report.policy & POLICY_MIGRATION_AGENT),
    )


def check_origin(report: SnpReport, *, step: int = 1) -> None:
    """Step 1: a report that a host asks for has no guest's VMPL, and says nothing of a guest's."""
    if report.vmpl > MAX_VMPL:
        raise EvidenceRejected(Reason.EVIDENCE_TYPE, f"VMPL {report.vmpl:#x}", step=step)
    if report.signing_key is SigningKey.NONE:
        raise EvidenceRejected(Reason.EVIDENCE_TYPE, "a report that nobody signed", step=step)
    if report.signature_algorithm != ECDSA_P384_SHA384:
        raise EvidenceRejected(
            Reason.EVIDENCE_TYPE, f"signature algorithm {report.signature_algorithm}", step=step
        )


def check_chain(
    certificates: Sequence[bytes], rules: SnpPolicy, now: int, *, step: int = 2
) -> AmdPath:
    """Step 2: the signing key's path, and what its certificate says of it."""
    leaf, *others = certificates
    try:
        return rules.chains.path(leaf, intermediates=others, at=now)
    except Revoked as error:
        raise EvidenceRejected(Reason.CERTIFICATE_REVOKED, str(error), step=step) from error
    except Untrusted as error:
        raise EvidenceRejected(Reason.CHAIN_UNTRUSTED, str(error), step=step) from error


def check_signature(report: SnpReport, path: AmdPath, *, step: int = 3) -> None:
    """Step 3."""
    try:
        path.key.verify(encode_dss_signature(report.r, report.s), report.signed, ECDSA(SHA384()))
    except InvalidSignature as error:
        raise EvidenceRejected(Reason.EVIDENCE_SIGNATURE, step=step) from error


def check_processor(report: SnpReport, endorsement: KeyEndorsement, *, step: int = 4) -> None:
    """Step 4: a VLEK is of no chip, and its report names none; version 2 names no product."""
    if report.signing_key is not endorsement.signing_key:
        raise _endorsement("the certificate of another kind of key", step)
    if report.product not in (endorsement.product, None):
        raise _endorsement(f"{report.product} is not {endorsement.product}", step)
    if report.product is None and endorsement.product is Product.TURIN:
        raise _endorsement("version 2 is older than Turin", step)
    chip_id = (endorsement.hwid or b"").ljust(CHIP_ID_BYTES, b"\x00")
    if report.chip_id != chip_id:
        raise _endorsement("the certificate of another chip", step)


def check_certified_tcb(
    report: SnpReport, endorsement: KeyEndorsement, *, step: int = 5
) -> TcbVersion:
    """Step 5: AMD derives the key from the TCB, so older firmware never has a newer one's key."""
    reported = _tcb(report.reported_tcb, endorsement.product, step)
    if reported != endorsement.tcb:
        raise _endorsement(f"certified {endorsement.tcb}, reported {reported}", step)
    return reported


def check_minimum_tcb(
    report: SnpReport, product: Product, rules: SnpPolicy, *, step: int = 6
) -> None:
    """Step 6: firmware that is updated under a guest does not heal what happened at its start."""
    if rules.minimum_tcb is None:
        return
    minimum = rules.minimum_tcb.get(product)
    if minimum is None:
        raise EvidenceRejected(Reason.TCB_REFUSED, f"no minimum for {product}", step=step)
    for name, raw in (("reported", report.reported_tcb), ("launch", report.launch_tcb)):
        found = _tcb(raw, product, step)
        if not found.at_least(minimum):
            raise EvidenceRejected(Reason.TCB_REFUSED, f"{name} {found}", step=step)


def check_guest_policy(report: SnpReport, rules: SnpPolicy, *, step: int = 7) -> None:
    """Step 7: bit 19 lets the host read the guest's memory; bit 18 lets an agent hand it on."""
    if report.policy & POLICY_DEBUG and not rules.allow_debug:
        raise EvidenceRejected(Reason.DEBUG_MODE, f"guest policy {report.policy:#x}", step=step)
    if report.policy & POLICY_MIGRATION_AGENT and not rules.allow_migration_agent:
        raise EvidenceRejected(
            Reason.MIGRATION_ALLOWED, f"guest policy {report.policy:#x}", step=step
        )


def check_vmpl(report: SnpReport, rules: SnpPolicy, *, step: int = 8) -> None:
    """Step 8: 0 is the most privileged; what runs above it is not what was measured alone."""
    if report.vmpl > rules.max_vmpl:
        raise EvidenceRejected(Reason.VMPL_REFUSED, f"VMPL {report.vmpl}", step=step)


def check_measurement(report: SnpReport, rules: SnpPolicy, *, step: int = 9) -> None:
    """Step 9."""
    _check_value("MEASUREMENT", report.measurement, rules.measurements, step)


def check_host_data(report: SnpReport, rules: SnpPolicy, *, step: int = 10) -> None:
    """Step 10."""
    _check_value("HOST_DATA", report.host_data, rules.host_data, step)


def check_identity_keys(report: SnpReport, rules: SnpPolicy, *, step: int = 11) -> None:
    """Step 11: zeros where the guest was started without an identity block."""
    _check_value("ID_KEY_DIGEST", report.id_key_digest, rules.id_key_digests, step)
    _check_value("AUTHOR_KEY_DIGEST", report.author_key_digest, rules.author_key_digests, step)


def report_id(report: SnpReport) -> bytes:
    """What ties a result and a key to this report: the SHA-256 of what was signed."""
    return hashlib.sha256(report.signed).digest()


def measurements(report: SnpReport) -> dict[str, str]:
    """What was measured or named at the start, in hex."""
    return {
        "measurement": report.measurement.hex(),
        "host_data": report.host_data.hex(),
        "id_key_digest": report.id_key_digest.hex(),
        "author_key_digest": report.author_key_digest.hex(),
    }


def report_claims(found: AppraisedReport) -> dict[str, JSON]:
    """What else the report says, for whoever reads the result."""
    report, tcb = found.report, found.tcb
    claims: dict[str, JSON] = {
        "report_version": report.version,
        "product": found.product.value,
        "signing_key": report.signing_key.name.lower(),
        "tcb": {
            "boot_loader": tcb.boot_loader,
            "tee": tcb.tee,
            "snp": tcb.snp,
            "microcode": tcb.microcode,
            "fmc": tcb.fmc,
        },
        "guest_policy": f"{report.policy:#x}",
        "guest_svn": report.guest_svn,
        "vmpl": report.vmpl,
        "migration_agent": found.migratable,
        "report_data": report.report_data.hex(),
    }
    if any(report.chip_id):  # A VLEK's report names none.
        claims["chip_id"] = report.chip_id.hex()
    if found.csp_id is not None:
        claims["csp_id"] = found.csp_id
    return claims


def _tcb(raw: bytes, product: Product, step: int) -> TcbVersion:
    try:
        return parse_tcb(raw, product)
    except Malformed as error:
        raise _endorsement(error.detail, step) from error


def _check_value(name: str, value: bytes, allowed: frozenset[bytes] | None, step: int) -> None:
    if allowed is not None and value not in allowed:
        raise EvidenceRejected(Reason.MEASUREMENT_MISMATCH, f"{name} is {value.hex()}", step=step)


def _endorsement(detail: str, step: int) -> EvidenceRejected:
    return EvidenceRejected(Reason.ENDORSEMENT_MISMATCH, detail, step=step)


def _rules(policy: AppraisalPolicy) -> SnpPolicy:
    if policy.sev_snp is None:
        raise EvidenceRejected(Reason.KIND_UNSUPPORTED, f"policy {policy.name} has no sev-snp")
    return policy.sev_snp
