"""The end of an attestation: which entry, the signed result, and all of it durable at once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from keystead.appraisal import result as results
from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.result import AttestationResult
from keystead.binding import binder
from keystead.binding.certified_key import CertifiedKey
from keystead.codec import base64url
from keystead.errors import Conflict, Reason, Refused
from keystead.identity import entries as entry_rules
from keystead.identity.entries import Match, Shown
from keystead.model import (
    AuditAction,
    AuditEvent,
    BoundKey,
    Challenge,
    EnrolledHost,
    EvidenceKind,
    KeptEvidence,
    KeyPurpose,
    ResultId,
    SpiffeId,
)
from keystead.operations import (
    BindKey,
    KeepDevice,
    KeepEvidence,
    Operation,
    PutResult,
    UseOnce,
)
from keystead.ports import Clock, Store
from keystead.service.keyring import Keyring

TIME_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Proved:
    """What an attestation proved, before it is known whose it is.

    ``uses`` is what may happen once; ``kept`` the evidence to keep, None where it must not be;
    ``device`` the App Attest key that it is of.
    """

    result: AttestationResult
    certified: CertifiedKey
    host: EnrolledHost | None = None
    uses: tuple[Operation, ...] = ()
    kept: KeptEvidence | None = field(default=None, repr=False)
    device: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """An affirmed attestation: the EAR JWT, its id, the key that is bound now, and when to attest
    again (Unix seconds)."""

    id: ResultId
    ear: str
    bound: BoundKey
    renew_at: int


class Affirmations:
    """Names, signs, binds, records."""

    def __init__(
        self,
        *,
        issuer: str,
        policy: AppraisalPolicy,
        store: Store,
        keyring: Keyring,
        clock: Clock,
    ) -> None:
        self._issuer = issuer
        self._policy = policy
        self._store = store
        self._keyring = keyring
        self._clock = clock

    async def affirm(
        self, proved: Proved, *, challenge: Challenge, wanted: SpiffeId | None
    ) -> Outcome:
        """The key of ``proved`` is bound to the ID that an entry gives it, by what is enrolled and
        registered now; the evidence may be a minute older.

        Raises Refused, Conflict, BindingRejected, Replayed, or Unavailable: then nothing is bound.
        """
        match = await self._match(proved, wanted)
        result, certified = proved.result, proved.certified
        now = self._clock.now()
        claims = results.ear_claims(
            result,
            issuer=self._issuer,
            key=certified,
            nonce=challenge.nonce,
            now=now,
            expires_at=binder.binding_expiry(result, entry=match.entry, now=now),
        )
        signed = await self._keyring.sign_own(KeyPurpose.EAR, typ=results.EAR_TYP, claims=claims)
        id = ResultId(base64url.encode(hashlib.sha256(signed.jws.encode()).digest()))
        bound = binder.bind(
            result,
            certified,
            entry=match.entry,
            spiffe_id=match.spiffe_id,
            result_id=id,
            now=now,
        )
        stored = PutResult(
            id=id,
            jwt=signed.jws,
            spiffe_id=bound.spiffe_id,
            issued_at=bound.bound_at,
            expires_at=bound.expires_at,
        )
        operations = [
            _answered(challenge),
            *proved.uses,
            stored,
            BindKey(key=bound),
            *_kept(proved, bound),
        ]
        await self._store.apply(operations, events=[_affirmed(bound, id, kid=signed.kid)])
        return Outcome(id=id, ear=signed.jws, bound=bound, renew_at=self._renew_at(bound))

    async def _match(self, proved: Proved, wanted: SpiffeId | None) -> Match:
        result = proved.result
        shown = Shown(
            kind=result.kind,
            ek=result.ek,
            pcrs=result.pcrs,
            facts=results.facts(result),
        )
        if result.kind is not EvidenceKind.TPM2:
            entries = await self._store.entries_without_host()
            match = entry_rules.match_entry(entries, shown=shown, requested=wanted)
            await self._check_given(match, shown)
            return match
        host = None if proved.host is None else await self._store.host(proved.host.ek)
        if host is None:
            raise Refused(Reason.EK_NOT_ENROLLED, f"EK {result.ek}")
        entries = await self._store.entries(ek=host.ek)
        return entry_rules.match_entry(entries, shown=shown, host=host, requested=wanted)

    async def _check_given(self, match: Match, shown: Shown) -> None:
        """What a template makes of claims is no host's ID, and no other entry's."""
        if not match.entry.template:
            return
        if await self._store.host_named(match.spiffe_id) is not None:
            raise Conflict(Reason.CONFLICT, f"{match.entry.id} makes an enrolled host's ID")
        entry_rules.check_given(match, await self._store.entries(), shown=shown)

    def _renew_at(self, bound: BoundKey) -> int:
        """When the policy says, or with a third of the binding's life left, whichever is first."""
        life_s = bound.expires_at - bound.bound_at
        wanted_s = self._policy.reattest_after_s.get(bound.residency.kind, life_s)
        return bound.bound_at + min(wanted_s, 2 * life_s // 3)


def _answered(challenge: Challenge) -> UseOnce:
    at = challenge.expires_at
    return UseOnce(
        space="challenge", key=at.to_bytes(TIME_BYTES, "big") + challenge.nonce, until=at
    )


def _kept(proved: Proved, bound: BoundKey) -> list[Operation]:
    """What bound the key before is not what binds it now, so it goes, whatever is kept instead."""
    kept: list[Operation] = [
        KeepEvidence(jkt=bound.jkt, evidence=proved.kept, until=bound.expires_at)
    ]
    if proved.kept is not None and proved.device and not proved.kept.device:
        kept.append(KeepDevice(device=proved.device, evidence=proved.kept))
    return kept


def _affirmed(bound: BoundKey, id: ResultId, *, kid: str) -> AuditEvent:
    detail: dict[str, str | int] = {
        "policy": bound.residency.policy,
        "entry": bound.entry,
        "protection": bound.residency.protection.value,
        "hardware": str(bound.residency.hardware).lower(),
        "freshness": bound.residency.freshness.value,
        "kid": kid,
    }
    if bound.ek is not None:
        detail["ek"] = bound.ek
    return AuditEvent(
        action=AuditAction.ATTESTATION_AFFIRMED,
        at=bound.bound_at,
        caller=bound.spiffe_id,
        jkt=bound.jkt,
        kind=bound.residency.kind.value,
        object=id,
        detail=detail,
    )
