"""What follows from refused evidence: a line in the trail, and the end of a binding.

The evidence's key signed the challenge before anything else was looked at, so nobody ends the
binding of another's key. A binding ends where the evidence that was to renew it says no: a PCR that
changed, a certificate that was revoked, an entry that no longer fits. What is away, late or out of
step proves nothing about the machine and ends nothing; the binding then runs out by itself.
"""

from __future__ import annotations

from keystead.errors import KeysteadError, Reason, Refused, Rejected, Unavailable
from keystead.model import (
    AuditAction,
    AuditEvent,
    BoundKey,
    EnrolledHost,
    EvidenceKind,
    Jkt,
)
from keystead.operations import (
    EndBinding,
)
from keystead.ports import Clock, Store
from keystead.service.trail import Trail

OF_THE_CONVERSATION = frozenset(
    {
        Reason.CHALLENGE_EXPIRED,
        Reason.NONCE_MISMATCH,
        Reason.EXPIRED,
        Reason.NOT_YET_VALID,
        Reason.EVIDENCE_TOO_OLD,
        Reason.EVIDENCE_IN_FUTURE,
        Reason.COUNTER_NOT_RISING,
        Reason.KEY_UNKNOWN,
        Reason.COLLATERAL_EXPIRED,
    }
)
"""Refusals that say nothing of the machine: late or early, such as a token that its platform had
kept; out of step, such as the later of two assertions that arrives first; by a key set that is
behind, or with a maker's statements that have run out."""


class Refusals:
    """Records refused evidence, and ends what it was to renew."""

    def __init__(self, *, store: Store, trail: Trail, clock: Clock) -> None:
        self._store = store
        self._trail = trail
        self._clock = clock

    async def refuse(
        self, error: KeysteadError, *, kind: EvidenceKind, jkt: Jkt, host: EnrolledHost | None
    ) -> None:
        """``error`` is why evidence of ``kind`` for the key ``jkt`` was refused.

        ``host`` is the enrolled one that answered, where one did. Without it and without a binding
        of this kind the refusal is a stranger's: counted.
        """
        if isinstance(error, Unavailable):
            return
        bound = await self._store.binding(jkt)
        if bound is not None and bound.residency.kind is not kind:
            bound = None
        caller = host.spiffe_id if host is not None else bound.spiffe_id if bound else None
        if caller is None:
            self._trail.note_refusal(error)
            return
        now = self._clock.now()
        events = [
            AuditEvent(
                action=AuditAction.ATTESTATION_REFUSED,
                at=now,
                caller=caller,
                jkt=jkt,
                kind=kind.value,
                reason=error.reason.value,
                step=error.step,
                object=host.ek if host is not None else "",
            )
        ]
        if bound is None or now >= bound.expires_at or not says_no(error):
            await self._store.apply((), events=events)
            return
        events.append(binding_ended(bound, error, cause="attestation", now=now))
        await self._store.apply([EndBinding(jkt=jkt, at=now)], events=events)


def says_no(error: KeysteadError) -> bool:
    """Whether ``error`` is about the machine and its software."""
    return isinstance(error, Rejected | Refused) and error.reason not in OF_THE_CONVERSATION


def binding_ended(bound: BoundKey, error: KeysteadError, *, cause: str, now: int) -> AuditEvent:
    """The record of an ended binding; ``cause`` is ``attestation`` or ``policy``."""
    return AuditEvent(
        action=AuditAction.BINDING_ENDED,
        at=now,
        caller=bound.spiffe_id,
        jkt=bound.jkt,
        kind=bound.residency.kind.value,
        reason=error.reason.value,
        step=error.step,
        object=bound.residency.result,
        detail={"cause": cause, "entry": bound.entry},
    )
