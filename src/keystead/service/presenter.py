"""Who is asking for a token: the holder of an attested key, by one DPoP proof.

The key is the client's credential; nothing else authenticates. A proof is used up by the request
that it came with, whether that is answered or refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from keystead.errors import Reason, Refused, Replayed
from keystead.jose.dpop import Proof, replay_window_s, verify_proof
from keystead.model import (
    AuditAction,
    AuditEvent,
    BoundKey,
    GrantId,
    Jkt,
)
from keystead.operations import (
    Operation,
    RequireLiveBinding,
    RequireLiveGrant,
    UseOnce,
)
from keystead.ports import Clock, Entropy, Store
from keystead.service.nonces import DpopNonces

TIME_BYTES = 4
REPLAY_KEY_BYTES = 16
"""Half a SHA-256: a second preimage is what a thief would need, and there are 2^128 of them."""
MINUTE_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Presenter:
    """A verified proof, the attested key behind it, and what records its one use."""

    proof: Proof
    bound: BoundKey
    used: UseOnce

    def conditions(self, *grants: GrantId | None, now: int) -> list[Operation]:
        """What has to hold when the answer is made durable: the proof unused, the key still bound,
        these grants still live."""
        bound = self.bound
        return [
            self.used,
            RequireLiveBinding(jkt=bound.jkt, spiffe_id=bound.spiffe_id, now=now),
            *(RequireLiveGrant(id=grant, now=now) for grant in grants if grant is not None),
        ]

    def event(self, action: AuditAction, *, at: int) -> AuditEvent:
        """An event that this presenter caused."""
        return AuditEvent(
            action=action,
            at=at,
            caller=self.bound.spiffe_id,
            actors=(self.bound.spiffe_id,),
            jkt=self.bound.jkt,
            kind=self.bound.residency.kind.value,
        )


class Presenters:
    """Verifies proofs and finds the keys that made them."""

    def __init__(self, *, store: Store, clock: Clock, entropy: Entropy) -> None:
        self._store = store
        self._clock = clock
        self.nonces = DpopNonces(clock=clock, entropy=entropy)

    async def present(self, proofs: Sequence[str], *, url: str) -> Presenter:
        """The presenter of a ``POST`` to ``url``, after these checks:

        1. the proof (RFC 9449 §4.3), with a nonce of ours; 2. it was not used before, an early
        look that spares the TPM: the transaction decides; 3. its key is bound (key_not_bound);
        4. the binding has not ended (binding_expired).
        """
        now = self._clock.now()
        proof = verify_proof(
            proofs,
            method="POST",
            url=url,
            now=now,
            access_token=None,
            expected_jkt=None,
            nonce=self.nonces.check,
        )
        used = _use_of(proof)
        if await self._store.seen(used.space, used.key):
            raise Replayed(Reason.PROOF_REPLAYED)
        bound = await self._store.binding(Jkt(proof.jkt))
        if bound is None:
            raise Refused(Reason.KEY_NOT_BOUND)
        if now >= bound.expires_at:
            raise Refused(Reason.BINDING_EXPIRED)
        return Presenter(proof=proof, bound=bound, used=used)


def _use_of(proof: Proof) -> UseOnce:
    """The replay row of a proof: its minute first, so that rows of one time lie together."""
    minute = (proof.issued_at // MINUTE_S).to_bytes(TIME_BYTES, "big")
    name = hashlib.sha256(f"{proof.jkt}\0{proof.jti}".encode()).digest()[:REPLAY_KEY_BYTES]
    return UseOnce(space="proof", key=minute + name, until=proof.issued_at + replay_window_s())
