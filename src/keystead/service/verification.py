"""VerificationService: verify what this issuer issued, many at a time, in another thread.

The relying party's own :class:`~keystead.relying.verifier.Verifier` does the work; one is kept for
each audience that is asked for, and the replay memory is shared by them all.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

from keystead.errors import Malformed, Reason, Refused
from keystead.model import KeyPurpose
from keystead.ports import Clock
from keystead.relying import BatchResult, ReplayMemory, RequestToVerify, Verifier
from keystead.service.keyring import Keyring, jwks_document
from keystead.service.roles import Caller, Role, require

__all__ = ["BatchResult", "RequestToVerify", "Verifications"]

MAX_VERIFIERS = 64
"""Audiences kept ready; the least recently used one makes room."""
MAX_AUDIENCE_CHARS = 2048


class Verifications:
    """The verification use case."""

    def __init__(
        self,
        *,
        issuer: str,
        keyring: Keyring,
        clock: Clock,
        max_items: int,
        replay: ReplayMemory,
    ) -> None:
        self._issuer = issuer
        self._keyring = keyring
        self._clock = clock
        self._max_items = max_items
        self._replay = replay
        self._verifiers: OrderedDict[tuple[str, tuple[str, ...]], Verifier] = OrderedDict()

    async def verify_tokens(
        self, caller: Caller, tokens: Sequence[str], *, audience: str
    ) -> BatchResult:
        """One verdict for each token. Proofs are not looked at: the caller has checked them, or
        only wants to know what the tokens say."""
        verifier = self._ready(caller, audience, len(tokens))
        now = self._clock.now()
        return await asyncio.to_thread(verifier.verify_batch, tokens, now=now)

    async def verify_requests(
        self, caller: Caller, requests: Sequence[RequestToVerify], *, audience: str
    ) -> BatchResult:
        """One verdict for each token with its proof."""
        verifier = self._ready(caller, audience, len(requests))
        now = self._clock.now()
        return await asyncio.to_thread(verifier.verify_request_batch, requests, now=now)

    def _ready(self, caller: Caller, audience: str, items: int) -> Verifier:
        require(caller, Role.RELYING_PARTY, Role.OPERATOR)
        if not 0 < len(audience) <= MAX_AUDIENCE_CHARS:
            raise Malformed(Reason.PARAMETER_MISSING, "audience")
        if items > self._max_items:
            raise Refused(Reason.LIMIT_EXCEEDED, f"{items} items where {self._max_items} may come")
        return self._verifier(audience)

    def _verifier(self, audience: str) -> Verifier:
        keys = self._keyring.verification_keys(KeyPurpose.TOKEN)
        at = (audience, tuple(key.kid for key in keys))
        verifier = self._verifiers.get(at)
        if verifier is None:
            verifier = Verifier(
                issuer=self._issuer,
                jwks=jwks_document(keys),
                audience=audience,
                allowed_algorithms=("ES256", "RS256"),
                replay=self._replay,
            )
            self._verifiers[at] = verifier
            if len(self._verifiers) > MAX_VERIFIERS:
                self._verifiers.popitem(last=False)
        self._verifiers.move_to_end(at)
        return verifier
