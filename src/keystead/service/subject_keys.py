"""The public keys of the identity providers whose users' tokens are taken.

A JWK Set is kept for ``max_age_s``; a ``kid`` that is not in it refreshes it early, at most once a
minute, so that a stranger's made-up ``kid`` cannot make us hammer the provider. A provider that
is away does not stop users until the kept set is ``GRACE_FACTOR`` times too old, and is asked
again every ``RETRY_INTERVAL_S``, not by every request: each try may wait for its whole deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from keystead.errors import KeysteadError, Reason, Unavailable
from keystead.jose.jwk import JwkSet, parse_set
from keystead.ports import Clock, DocumentSource

MAX_JWKS_BYTES = 262_144
"""A hundred RSA-4096 keys with their certificates fit."""
FETCH_TIMEOUT_S = 5.0
UNKNOWN_KID_INTERVAL_S = 60
RETRY_INTERVAL_S = 10
"""Twice the deadline of a try: requests wait for at most every second of them."""
GRACE_FACTOR = 12


@dataclass(slots=True)
class _Kept:
    keys: JwkSet
    fetched_at: int


class SubjectKeys:
    """One provider's keys; ``parse`` is for providers whose key sets have a form of their own."""

    def __init__(
        self,
        *,
        location: str,
        source: DocumentSource,
        clock: Clock,
        max_age_s: int,
        parse: Callable[[bytes], JwkSet] = parse_set,
    ) -> None:
        self._location = location
        self._source = source
        self._clock = clock
        self._max_age_s = max_age_s
        self._parse = parse
        self._kept: _Kept | None = None
        self._asked_at: int | None = None
        self._failed_at: int | None = None
        self._failure = ""
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
        return self._within_grace()

    def _good_for(self, kept: _Kept, kid: str | None) -> bool:
        now = self._clock.now()
        if now - kept.fetched_at > self._max_age_s:
            return False
        if kid is None or kept.keys.get(kid) is not None:
            return True
        return self._asked_at is not None and now - self._asked_at < UNKNOWN_KID_INTERVAL_S

    async def _refresh(self) -> None:
        """Ask the provider, unless it failed a moment ago; a failure changes nothing kept."""
        now = self._clock.now()
        if self._failed_at is not None and now - self._failed_at < RETRY_INTERVAL_S:
            return
        self._asked_at = now
        try:
            document = await self._source.fetch(
                self._location, max_bytes=MAX_JWKS_BYTES, timeout_s=FETCH_TIMEOUT_S
            )
            self._kept = _Kept(keys=self._parse(document), fetched_at=now)
            self._failed_at = None
        except KeysteadError as error:
            self._failed_at = self._clock.now()
            self._failure = str(error)

    def _within_grace(self) -> JwkSet:
        kept = self._kept
        if kept is None or self._clock.now() - kept.fetched_at > GRACE_FACTOR * self._max_age_s:
            raise Unavailable(Reason.KEYS_UNAVAILABLE, self._failure or self._location)
        return kept.keys
