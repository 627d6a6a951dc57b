"""From a result and a certified key to a bound key: the one SPIFFE ID that the key speaks for.

24. Result and certified key are of one AK, and the evidence answered a challenge.
25. The entry is of this kind of evidence and pins the EK that was proved.
26. The quoted PCRs are among those that the entry adds.
27. The result is not older than the policy allows, at ``now``.
"""

from __future__ import annotations

from collections.abc import Mapping

from keystead.appraisal.result import AttestationResult
from keystead.binding.certified_key import CertifiedKey
from keystead.errors import BindingRejected, Reason
from keystead.model import (
    BoundKey,
    EkId,
    Freshness,
    RegistrationEntry,
    Residency,
    ResultId,
)


def bind(
    result: AttestationResult,
    certified: CertifiedKey,
    *,
    entry: RegistrationEntry,
    result_id: ResultId,
    now: int,
) -> BoundKey:
    """The key of ``certified``, bound to the entry's SPIFFE ID: steps 24 to 27.

    ``result_id`` is the hash of the EAR JWT that says ``result``. Raises BindingRejected.
    """
    check_same_attestation(result, certified)
    ek = check_entry(result, entry)
    check_entry_pcrs(result, entry)
    check_age(result, now)
    return BoundKey(
        jkt=certified.jkt,
        jwk=dict(certified.key.members),
        spiffe_id=entry.spiffe_id,
        residency=_residency(result, certified, result_id),
        ek=ek,
        entry=entry.id,
        bound_at=now,
        expires_at=binding_expiry(result, entry=entry, now=now),
    )


def binding_expiry(result: AttestationResult, *, entry: RegistrationEntry, now: int) -> int:
    """When the binding ends: after the entry's time, and never past the result's age."""
    return min(now + entry.binding_ttl_s, result.verified_at + result.max_age_s)


def check_same_attestation(result: AttestationResult, certified: CertifiedKey) -> None:
    """Step 24: a key certified by one AK is never bound by another AK's result."""
    if (certified.kind, certified.attester) != (result.kind, result.attester):
        raise BindingRejected(Reason.AK_MISMATCH, "certified by another AK", step=24)
    if result.freshness is not Freshness.CHALLENGED:
        raise BindingRejected(Reason.NONCE_MISMATCH, "no challenge was answered", step=24)


def check_entry(result: AttestationResult, entry: RegistrationEntry) -> EkId:
    """Step 25: PCRs and labels alone name nobody, so the EK has to be the pinned one."""
    if result.kind is not entry.kind:
        raise BindingRejected(Reason.NO_REGISTRATION_ENTRY, "an entry of another kind", step=25)
    if result.ek is None or result.ek != entry.ek:
        raise BindingRejected(Reason.EK_NOT_ENROLLED, "the entry pins another EK", step=25)
    return result.ek


def check_entry_pcrs(result: AttestationResult, entry: RegistrationEntry) -> None:
    """Step 26: a PCR that was not quoted matches nothing."""
    for bank, references in entry.pcrs.items():
        quoted: Mapping[int, str] = result.pcrs.get(bank, {})
        for index, allowed in references.items():
            if quoted.get(index) not in allowed:
                raise BindingRejected(Reason.PCR_VALUE_MISMATCH, f"PCR {bank}:{index}", step=26)


def check_age(result: AttestationResult, now: int) -> None:
    """Step 27."""
    if not result.verified_at <= now < result.verified_at + result.max_age_s:
        raise BindingRejected(Reason.EVIDENCE_TOO_OLD, step=27)


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
