"""The public keys of the identity providers whose users' tokens are taken.

A JWK Set is kept for ``max_age_s``; a ``kid`` that is not in it refreshes it early, at most once a
minute, so that a stranger's made-up ``kid`` cannot make us hammer the provider. A provider that
is away does not stop users until the kept set is ``GRACE_FACTOR`` times too old.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from keystead.errors import KeysteadError, Reason, Unavailable
from keystead.jose.jwk import JwkSet, parse_set
from keystead.ports import Clock, DocumentSource

MAX_JWKS_BYTES = 262_144
"""A hundred RSA-4096 keys with their certificates fit."""
FETCH_TIMEOUT_S = 5.0
UNKNOWN_KID_INTERVAL_S = 60
GRACE_FACTOR = 12


@dataclass(slots=True)
class _Kept:
    keys: JwkSet
    fetched_at: int


class SubjectKeys:
    """One provider's keys."""

    def __init__(
        self, *, location: str, source: DocumentSource, clock: Clock, max_age_s: int
    ) -> None:
        self._location = location
        self._source = source
        self._clock = clock
        self._max_age_s = max_age_s
        self._kept: _Kept | None = None
        self._asked_at: int | None = None
        self._lock = asyncio.Lock()

    async def key_set(self, *, kid: str | None) -> JwkSet:
        """The keys, with ``kid`` in them if the provider has it. Unavailable(keys_unavailable)."""
        kept = self._kept
        if kept is not None and self._good_for(kept, kid):
            return kept.keys
        async with self._lock:
            kept = self._kept
            if kept is None or not self._good_for(kept, kid):
                await self._refresh()
        if self._kept is None:
            raise Unavailable(Reason.KEYS_UNAVAILABLE, self._location)
        return self._kept.keys

    def _good_for(self, kept: _Kept, kid: str | None) -> bool:
        now = self._clock.now()
        if now - kept.fetched_at > self._max_age_s:
            return False
        if kid is None or kept.keys.get(kid) is not None:
            return True
        return self._asked_at is not None and now - self._asked_at < UNKNOWN_KID_INTERVAL_S

    async def _refresh(self) -> None:
        now = self._clock.now()
        if self._asked_at is not None and self._kept is None and now == self._asked_at:
            raise Unavailable(Reason.KEYS_UNAVAILABLE, "asked this second already")
        self._asked_at = now
        try:
            document = await self._source.fetch(
                self._location, max_bytes=MAX_JWKS_BYTES, timeout_s=FETCH_TIMEOUT_S
            )
            self._kept = _Kept(keys=parse_set(document), fetched_at=now)
        except KeysteadError as error:
            self._forget_if_too_old(now)
            if self._kept is None:
                raise Unavailable(Reason.KEYS_UNAVAILABLE, str(error)) from error

    def _forget_if_too_old(self, now: int) -> None:
        kept = self._kept
        if kept is not None and now - kept.fetched_at > GRACE_FACTOR * self._max_age_s:
            self._kept = None
