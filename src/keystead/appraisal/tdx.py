"""The appraisal of ``tdx`` evidence, in numbered steps.

    result = conclude(appraise(evidence, policy=policy, nonce=challenge.nonce, now=now))

``docs/evidence/tdx.md`` explains each step under the same number, and errors carry it:

 1. The quote's certificates chain, at ``now``, to an allowed anchor, and Intel's revocation lists,
    which are in force, name none of them.
 2. Intel signed the TCB info and the identity of the quoting enclave, and both are in force.
 3. The TCB info is of this platform's family.
 4. The platform's key signed the report of the quoting enclave, which names the attestation key.
 5. That enclave is the one of the identity.
 6. The attestation key signed the quote.
 7. Intel knows a TCB level for platform, TDX module and quoting enclave, and has revoked none.
 8. The policy allows the status of each and all advisories, and Intel has evaluated them as late
    as the policy asks for.
 9. Nobody may look into the TD or move it, or the policy allows that by name.
10. What was measured, MRTD and RTMR0 to RTMR3, is what the policy names, or it says "any".
11. What the host named, MRCONFIGID, MROWNER and MROWNERCONFIG, and the TDX module, likewise.
12. The event log is there if the policy wants one, and explains the RTMRs.

Steps 13 and 14 are ``keystead.binding.tdx``. A quote has no time of its own and no nonce but in
REPORTDATA, hashed with the key: until step 14 no challenge has been seen answered, and nothing
takes a result of this kind without it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from keystead.appraisal import dcap
from keystead.appraisal.anchors import Anchor
from keystead.appraisal.dcap import TcbStanding
from keystead.appraisal.dcap_memory import Statements
from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.result import AttestationResult, affirmed
from keystead.appraisal.tdx_policy import CODE, NAMED, TdLogRules, TdxPolicy
from keystead.codec import eventlog
from keystead.codec.dcap_collateral import Collateral
from keystead.codec.eventlog import EventLog
from keystead.codec.hashes import HashAlgorithm
from keystead.codec.json import JSON
from keystead.codec.td_quote import (
    ATTRIBUTE_MIGRATABLE,
    ATTRIBUTE_SEPT_VE_DISABLE,
    ATTRIBUTES_UNDER_DEBUG,
    REGISTER_BYTES,
    RTMRS,
    TdQuote,
    TdReport,
)
from keystead.errors import EvidenceRejected, Malformed, Reason
from keystead.evidence.tdx import TdxEvidence
from keystead.model import EvidenceKind, Freshness

# A log counts the registers from MRTD on, which nothing extends (UEFI 2.10 §38.4.1).
_FIRST_RTMR = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AppraisedQuote:
    """A quote that passed steps 1 to 11, and what they found. ``evaluation`` is Intel's number."""

    anchor: Anchor
    quote: TdQuote = field(repr=False)
    fmspc: bytes
    standing: TcbStanding
    evaluation: int
    debug: bool
    migratable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TdxAppraisal:
    """Evidence that passed every step. ``events``: how many a replayed log has, None without."""

    policy: str
    max_age_s: int
    appraised: AppraisedQuote
    events: int | None
    freshness: Freshness
    verified_at: int
    image_pinned: bool


def appraise(
    evidence: TdxEvidence, *, policy: AppraisalPolicy, nonce: bytes | None, now: int
) -> TdxAppraisal:
    """Steps 1 to 12 of the list above, at ``now`` (Unix seconds).

    ``nonce`` is the challenge that step 14 will look for. None is for saved evidence, whose
    freshness is ``bearer``. Raises EvidenceRejected with the reason and the number of the step.
    """
    rules = _rules(policy)
    appraised = appraise_quote(
        evidence.quote, evidence.collateral, rules=rules, now=now, first_step=1
    )
    check_event_log(evidence.event_log, evidence.quote.report, rules.event_log)
    return TdxAppraisal(
        policy=policy.name,
        max_age_s=rules.max_age_s,
        appraised=appraised,
        events=None if evidence.event_log is None else len(evidence.event_log.events),
        freshness=Freshness.CHALLENGED if nonce is not None else Freshness.BEARER,
        verified_at=now,
        image_pinned=rules.whole_image and not (appraised.debug or appraised.migratable),
    )


def conclude(appraisal: TdxAppraisal) -> AttestationResult:
    """The result: Intel's chain vouches for the quote, so no step is left but the key's."""
    found = appraisal.appraised
    claims = quote_claims(found)
    if appraisal.events is not None:
        claims["event_log_events"] = appraisal.events
    return affirmed(
        kind=EvidenceKind.TDX,
        policy=appraisal.policy,
        max_age_s=appraisal.max_age_s,
        anchor_class=found.anchor.anchor_class,
        anchor=found.anchor.name,
        freshness=appraisal.freshness,
        verified_at=appraisal.verified_at,
        attester=quote_id(found.quote),
        measurements=measurements(found.quote.report),
        claims=claims,
        boot_pinned=appraisal.image_pinned,
        debug=found.debug,
    )


def appraise_quote(
    quote: TdQuote, collateral: Collateral, *, rules: TdxPolicy, now: int, first_step: int
) -> AppraisedQuote:
    """Steps 1 to 11, numbered from ``first_step`` on. EvidenceRejected."""
    at = first_step - 1
    path = dcap.check_pck_chain(quote, collateral, rules.memory, now, step=at + 1)
    statements = dcap.check_statements(collateral, path.anchor, rules.memory, now, step=at + 2)
    dcap.check_subject(statements, path.tcb, step=at + 3)
    dcap.check_attestation_key(quote, path.point, step=at + 4)
    dcap.check_quoting_enclave(quote, statements.qe_identity, step=at + 5)
    dcap.check_quote_signature(quote, step=at + 6)
    standing = dcap.check_standing(quote, path.tcb, statements, step=at + 7)
    check_tcb(standing, statements, rules, step=at + 8)
    check_attributes(quote.report, rules, step=at + 9)
    check_values(quote.report, rules, CODE, step=at + 10)
    check_values(quote.report, rules, NAMED, step=at + 11)
    return AppraisedQuote(
        anchor=path.anchor,
        quote=quote,
        fmspc=path.tcb.fmspc,
        standing=standing,
        evaluation=statements.evaluation,
        debug=_under_debug(quote.report),
        migratable=_migratable(quote.report),
    )


def check_tcb(
    standing: TcbStanding, statements: Statements, rules: TdxPolicy, *, step: int = 8
) -> None:
    """Step 8: an old evaluation does not know what Intel has learned since."""
    refused = standing.statuses - rules.tcb_statuses
    if refused:
        raise _tcb(f"status {', '.join(sorted(refused))}", step)
    if rules.advisories is not None and not rules.advisories.issuperset(standing.advisories):
        unknown = sorted(set(standing.advisories) - rules.advisories)
        raise _tcb(f"advisories {', '.join(unknown)}", step)
    minimum = rules.minimum_tcb_evaluation
    if minimum is not None and statements.evaluation < minimum:
        raise _tcb(f"evaluation {statements.evaluation}, {minimum} is asked for", step)


def check_attributes(report: TdReport, rules: TdxPolicy, *, step: int = 9) -> None:
    """Step 9: a service TD that is bound to this one may carry it to another machine."""
    if _under_debug(report) and not rules.allow_debug:
        raise EvidenceRejected(Reason.DEBUG_MODE, f"{report.attributes:#x}", step=step)
    if _migratable(report) and not rules.allow_migration:
        raise EvidenceRejected(Reason.MIGRATION_ALLOWED, f"{report.attributes:#x}", step=step)


def check_values(report: TdReport, rules: TdxPolicy, names: tuple[str, ...], *, step: int) -> None:
    """Steps 10 and 11: each of the named registers."""
    for name, value in registers(report).items():
        allowed = rules.values[name]
        if name in names and allowed is not None and value not in allowed:
            raise EvidenceRejected(
                Reason.MEASUREMENT_MISMATCH, f"{name} is {value.hex()}", step=step
            )


def check_event_log(
    log: EventLog | None, report: TdReport, rules: TdLogRules, *, step: int = 12
) -> None:
    """Step 12: a register that no event extended has to rest at zeros."""
    if log is None:
        if rules.required:
            raise EvidenceRejected(Reason.EVENT_LOG_MISSING, step=step)
        return
    explained = _replay(log, step)
    for index in sorted(rules.rtmrs):
        if explained.get(_FIRST_RTMR + index, bytes(REGISTER_BYTES)) != report.rtmrs[index]:
            raise EvidenceRejected(Reason.EVENT_LOG_MISMATCH, f"RTMR{index}", step=step)


def quote_id(quote: TdQuote) -> bytes:
    """What ties a result and a key to this quote: the SHA-256 of what was signed."""
    return hashlib.sha256(quote.signed).digest()


def registers(report: TdReport) -> dict[str, bytes]:
    """What was measured or named, by the names of policies."""
    return {
        "mrtd": report.mrtd,
        **{f"rtmr{index}": value for index, value in enumerate(report.rtmrs)},
        "mrconfigid": report.mrconfigid,
        "mrowner": report.mrowner,
        "mrownerconfig": report.mrownerconfig,
        "mrseam": report.mrseam,
        "mrsignerseam": report.mrsignerseam,
    }


def measurements(report: TdReport) -> dict[str, str]:
    """The same in hex."""
    return {name: value.hex() for name, value in registers(report).items()}


def quote_claims(found: AppraisedQuote) -> dict[str, JSON]:
    """What else the quote says, and Intel of its platform, for whoever reads the result."""
    report, standing = found.quote.report, found.standing
    claims: dict[str, JSON] = {
        "quote_version": found.quote.version,
        "fmspc": found.fmspc.hex(),
        "tcb_status": standing.platform.value,
        "qe_tcb_status": standing.qe.value,
        "advisories": list(standing.advisories),
        "tcb_evaluation": found.evaluation,
        "tee_tcb_svn": report.tee_tcb_svn.hex(),
        "td_attributes": f"{report.attributes:#x}",
        "xfam": f"{report.xfam:#x}",
        "sept_ve_disable": bool(report.attributes & ATTRIBUTE_SEPT_VE_DISABLE),
        "migratable": found.migratable,
        "report_data": report.report_data.hex(),
    }
    if standing.module is not None:
        claims["module_tcb_status"] = standing.module.value
    if report.tee_tcb_svn_2 is not None:
        claims["tee_tcb_svn_2"] = report.tee_tcb_svn_2.hex()
    if report.mrservicetd is not None:
        claims["mrservicetd"] = report.mrservicetd.hex()
    return claims


def _under_debug(report: TdReport) -> bool:
    return bool(report.attributes & ATTRIBUTES_UNDER_DEBUG)


def _migratable(report: TdReport) -> bool:
    return bool(report.attributes & ATTRIBUTE_MIGRATABLE or any(report.mrservicetd or b""))


def _replay(log: EventLog, step: int) -> dict[int, bytes]:
    try:
        explained = eventlog.replay(log, HashAlgorithm.SHA384)
    except Malformed as error:
        raise EvidenceRejected(Reason.EVENT_LOG_MISMATCH, error.detail, step=step) from error
    if not explained.keys() <= set(range(_FIRST_RTMR, _FIRST_RTMR + RTMRS)):
        raise EvidenceRejected(
            Reason.EVENT_LOG_MISMATCH, "an event of a register that no TD has", step=step
        )
    return explained


def _tcb(detail: str, step: int) -> EvidenceRejected:
    return EvidenceRejected(Reason.TCB_REFUSED, detail, step=step)


def _rules(policy: AppraisalPolicy) -> TdxPolicy:
    if policy.tdx is None:
        raise EvidenceRejected(Reason.KIND_UNSUPPORTED, f"policy {policy.name} has no tdx")
    return policy.tdx
