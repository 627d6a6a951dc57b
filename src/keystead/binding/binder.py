"""From a result and a certified key to a bound key: the one SPIFFE ID that the key speaks for.

    n.   Result and certified key are of one attester, and the evidence answered a challenge, or is
         a token that was taken once.
    n+1. The entry is of this kind of evidence, and pins the EK that was proved, where one was.
    n+2. The facts and PCRs that the entry names have the values that it allows.
    n+3. The result is not older than the policy allows, at ``now``.

These are the last steps of every kind's list; ``FIRST_STEP`` says where they start.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from keystead.appraisal.result import AttestationResult, facts
from keystead.binding.certified_key import CertifiedKey
from keystead.errors import BindingRejected, Reason
from keystead.model import (
    BoundKey,
    EkId,
    EvidenceKind,
    Freshness,
    RegistrationEntry,
    Residency,
    ResultId,
    SpiffeId,
)

FIRST_STEP: Final[Mapping[EvidenceKind, int]] = {
    EvidenceKind.TPM2: 24,
    EvidenceKind.AWS_NITRO: 10,
    EvidenceKind.SEV_SNP: 14,
    EvidenceKind.TDX: 15,
    EvidenceKind.AZURE_CVM: 30,
    EvidenceKind.MAA: 17,
    EvidenceKind.APP_ATTEST: 11,
    EvidenceKind.OIDC: 12,
}
"""Each kind's number for the first of these steps: the one after ``binding/<kind>.py``."""


def bind(
    result: AttestationResult,
    certified: CertifiedKey,
    *,
    entry: RegistrationEntry,
    spiffe_id: SpiffeId,
    result_id: ResultId,
    now: int,
) -> BoundKey:
    """The key of ``certified``, bound to ``spiffe_id``, which ``entry`` gives: the steps above.

    ``result_id`` is the hash of the EAR JWT that says ``result``. Raises BindingRejected.
    """
    first = FIRST_STEP[result.kind]
    check_same_attestation(result, certified, step=first)
    ek = check_entry(result, entry, step=first + 1)
    check_entry_facts(result, entry, step=first + 2)
    check_age(result, now, step=first + 3)
    return BoundKey(
        jkt=certified.jkt,
        jwk=dict(certified.key.members),
        spiffe_id=spiffe_id,
        residency=_residency(result, certified, result_id),
        ek=ek,
        entry=entry.id,
        bound_at=now,
        expires_at=binding_expiry(result, entry=entry, now=now),
    )


def binding_expiry(result: AttestationResult, *, entry: RegistrationEntry, now: int) -> int:
    """When the binding ends: after the entry's time, and never past the result's age."""
    return min(now + entry.binding_ttl_s, result.verified_at + result.max_age_s)


def check_same_attestation(
    result: AttestationResult, certified: CertifiedKey, *, step: int
) -> None:
    """A key certified by one attester is never bound by another one's result."""
    if (certified.kind, certified.attester) != (result.kind, result.attester):
        raise BindingRejected(Reason.AK_MISMATCH, "certified by another attester", step=step)
    answered = result.freshness is Freshness.CHALLENGED
    if not answered and result.kind is not EvidenceKind.OIDC:
        raise BindingRejected(Reason.NONCE_MISMATCH, "no challenge was answered", step=step)


def check_entry(result: AttestationResult, entry: RegistrationEntry, *, step: int) -> EkId | None:
    """PCRs and labels alone name no TPM, so the EK has to be the pinned one."""
    if result.kind is not entry.kind:
        raise BindingRejected(Reason.NO_REGISTRATION_ENTRY, "an entry of another kind", step=step)
    if result.kind is EvidenceKind.TPM2 and result.ek is None:
        raise BindingRejected(Reason.EK_NOT_ENROLLED, "no EK was proved", step=step)
    if result.ek != entry.ek:
        raise BindingRejected(Reason.EK_NOT_ENROLLED, "the entry pins another EK", step=step)
    return result.ek


def check_entry_facts(result: AttestationResult, entry: RegistrationEntry, *, step: int) -> None:
    """What was not quoted or shown matches nothing."""
    for bank, references in entry.pcrs.items():
        quoted: Mapping[int, str] = result.pcrs.get(bank, {})
        for index, allowed in references.items():
            if quoted.get(index) not in allowed:
                raise BindingRejected(Reason.PCR_VALUE_MISMATCH, f"PCR {bank}:{index}", step=step)
    shown = facts(result) if entry.selectors else {}
    for name, values in entry.selectors.items():
        if shown.get(name) not in values:
            raise BindingRejected(Reason.NO_REGISTRATION_ENTRY, f"selector {name}", step=step)


def check_age(result: AttestationResult, now: int, *, step: int) -> None:
    """A result is believed for as long as its policy says."""
    if not result.verified_at <= now < result.verified_at + result.max_age_s:
        raise BindingRejected(Reason.EVIDENCE_TOO_OLD, step=step)


def _residency(
    result: AttestationResult, certified: CertifiedKey, result_id: ResultId
) -> Residency:
    return Residency(
        kind=result.kind,
        protection=certified.protection,
        hardware=result.hardware,
        verified_at=result.verified_at,
        freshness=result.freshness,
        policy=result.policy,
        result=result_id,
    )
