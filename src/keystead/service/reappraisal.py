"""What another policy makes of the bindings that stand: first looked at, then applied.

    for verdict in look(reader, policy=policy, issuer=issuer, now=now):     # changes nothing
        verdict.outcome, verdict.error
    await apply(store, policy=policy, issuer=issuer, clock=clock)           # ends what has to end

The evidence behind each binding was kept with its challenge and time, so the question is the one
that was asked then. A key whose evidence the policy refuses, or makes less of, or reads so that its
entry does not fit any more, loses its binding and its grants; its agent attests again, and gets
what the new policy says.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.result import facts
from keystead.binding.attested import Standing, appraise_again
from keystead.errors import EvidenceRejected, KeysteadError, Reason, Refused, Unavailable
from keystead.identity.entries import Shown, match_entry
from keystead.model import AuditEvent, BoundKey, Jkt, KeptEvidence, RegistrationEntry
from keystead.operations import BindKey, EndBinding, Operation
from keystead.ports import Clock, Store
from keystead.service.refusals import binding_ended

PAGE = 200
"""Bindings that are in memory, and in one transaction, at once."""


class Outcome(StrEnum):
    """What becomes of a binding."""

    STAYS = "stays"
    SHORTER = "shorter"
    """The policy believes results for less long."""
    ENDS = "ends"
    NOT_KEPT = "not-kept"
    """Its evidence was a bearer's token, which is not kept: the binding runs out by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a policy makes of one binding; ``error`` says why it ends."""

    bound: BoundKey
    outcome: Outcome
    expires_at: int
    error: KeysteadError | None = None


class Bindings(Protocol):
    """What is read: a store's reader."""

    def bindings(
        self, *, live_at: int, after: str = "", limit: int = PAGE
    ) -> tuple[BoundKey, ...]: ...

    def evidence(self, jkt: Jkt) -> KeptEvidence | None: ...

    def device(self, id: str) -> KeptEvidence | None: ...

    def entry(self, id: str) -> RegistrationEntry | None: ...


def look(reader: Bindings, *, policy: AppraisalPolicy, issuer: str, now: int) -> Iterator[Verdict]:
    """A verdict on every binding that lives at ``now``; nothing is changed."""
    after = ""
    while page := reader.bindings(live_at=now, after=after, limit=PAGE):
        for bound in page:
            kept = reader.evidence(bound.jkt)
            device = reader.device(kept.device) if kept is not None and kept.device else None
            yield judge(
                bound,
                kept,
                device=device,
                entry=reader.entry(bound.entry),
                policy=policy,
                issuer=issuer,
                now=now,
            )
        after = page[-1].jkt


async def apply(
    store: Store, *, policy: AppraisalPolicy, issuer: str, clock: Clock
) -> Counter[Outcome]:
    """End or shorten what ``policy`` does not carry any more; how many of each outcome.

    Each page of bindings is one transaction with its events. Unavailable where it is not durable.
    """
    counts: Counter[Outcome] = Counter()
    after = ""
    while page := await store.bindings(live_at=clock.now(), after=after, limit=PAGE):
        operations: list[Operation] = []
        events: list[AuditEvent] = []
        for bound in page:
            kept = await store.evidence(bound.jkt)
            device = await store.device(kept.device) if kept is not None and kept.device else None
            entry = await store.entry(bound.entry)
            now = clock.now()
            verdict = await asyncio.to_thread(
                judge,
                bound,
                kept,
                device=device,
                entry=entry,
                policy=policy,
                issuer=issuer,
                now=now,
            )
            counts[verdict.outcome] += 1
            operations += _changes(verdict, now=now)
            if verdict.error is not None:
                events.append(binding_ended(bound, verdict.error, cause="policy", now=now))
        await store.apply(operations, events=events)
        after = page[-1].jkt
    return counts


def judge(
    bound: BoundKey,
    kept: KeptEvidence | None,
    *,
    device: KeptEvidence | None,
    entry: RegistrationEntry | None,
    policy: AppraisalPolicy,
    issuer: str,
    now: int,
) -> Verdict:
    """What ``policy`` makes of one binding and the evidence that was kept of it."""
    if bound.residency.kind not in policy.kinds:
        refusal = EvidenceRejected(
            Reason.KIND_UNSUPPORTED, f"no rules for {bound.residency.kind.value}"
        )
        return _ends(bound, refusal, now)
    if kept is None:
        return Verdict(bound=bound, outcome=Outcome.NOT_KEPT, expires_at=bound.expires_at)
    try:
        standing = _standing(kept, device=device, policy=policy, issuer=issuer, now=now)
        _check_entry(bound, entry, standing)
    except Unavailable:
        raise
    except KeysteadError as error:
        return _ends(bound, error, now)
    said = bound.residency
    if (standing.hardware, standing.protection) != (said.hardware, said.protection):
        told = f"{standing.protection.value}, hardware {str(standing.hardware).lower()}"
        return _ends(bound, Refused(Reason.STANDING_CHANGED, told), now)
    expires_at = min(bound.expires_at, said.verified_at + standing.max_age_s)
    if expires_at <= now:
        return _ends(bound, EvidenceRejected(Reason.EVIDENCE_TOO_OLD, "by the new policy"), now)
    outcome = Outcome.STAYS if expires_at == bound.expires_at else Outcome.SHORTER
    return Verdict(bound=bound, outcome=outcome, expires_at=expires_at)


def _standing(
    kept: KeptEvidence,
    *,
    device: KeptEvidence | None,
    policy: AppraisalPolicy,
    issuer: str,
    now: int,
) -> Standing:
    """As of the time at which it was appraised; where that time has no trusted chain, as of now: a
    revocation list that is newer than the evidence can only be asked about later times."""
    try:
        return appraise_again(kept, policy=policy, issuer=issuer, device=device)
    except KeysteadError as error:
        if error.reason is not Reason.CHAIN_UNTRUSTED:
            raise
        later = replace(kept, appraised_at=now)
        return appraise_again(later, policy=policy, issuer=issuer, device=device)


def _check_entry(bound: BoundKey, entry: RegistrationEntry | None, standing: Standing) -> None:
    """Of a token, the policy says what its claims are called and which of them count."""
    result = standing.result
    if result is None:
        return
    shown = Shown(kind=result.kind, pcrs=result.pcrs, facts=facts(result))
    entries = () if entry is None else (entry,)
    match_entry(entries, shown=shown, requested=bound.spiffe_id)


def _ends(bound: BoundKey, error: KeysteadError, now: int) -> Verdict:
    return Verdict(bound=bound, outcome=Outcome.ENDS, expires_at=now, error=error)


def _changes(verdict: Verdict, *, now: int) -> list[Operation]:
    if verdict.outcome is Outcome.ENDS:
        return [EndBinding(jkt=verdict.bound.jkt, at=now)]
    if verdict.outcome is Outcome.SHORTER:
        return [BindKey(key=replace(verdict.bound, expires_at=verdict.expires_at))]
    return []
