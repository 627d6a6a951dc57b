"""The issuer's public keys: given once, or read from a file or URL and kept fresh.

    jwks_source({"keys": [...]})                       # as given, for ever
    jwks_source("/etc/issuer.jwks.json")               # read again when it must be
    jwks_source("https://issuer.example/jwks")         # fetched, cached, refreshed

A source that can be refreshed answers from what it has; it fetches in a thread of its own, so that
nobody but a caller who cannot be answered otherwise waits. It never falls back to "no check":
without a set that is young enough it raises ``Unavailable``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Protocol

from keystead.codec.json import JSON
from keystead.errors import ConfigurationError, Malformed, Reason, TokenRejected, Unavailable
from keystead.jose.jwk import MAX_SET_BYTES, JwkSet, PublicJwk, parse_set
from keystead.relying.refreshed import Refreshed
from keystead.relying.steps import Step

# How old a set may be before it is fetched again, in the background.
DEFAULT_MAX_AGE_S = 300
# For how long the last good set stands in for an issuer that cannot be reached: keys that were
# withdrawn stay trusted for no longer than this.
DEFAULT_MAX_STALE_S = 3_600
# Strangers choose the kid, so it may not make us fetch more often than this.
REFRESH_INTERVAL_S = 60
# How long a caller whose key is unknown waits for a fetch, and how long a fetch may take.
DEFAULT_TIMEOUT_S = 5.0


class JwksSource(Protocol):
    """Where a verifier's keys come from; safe to call from any thread."""

    def find(self, kid: str | None, *, now: int) -> PublicJwk:
        """The key called ``kid``, without waiting.

        Raises ``TokenRejected`` (``key_unknown``), or ``Unavailable`` (``keys_unavailable``) when
        there is no set that is young enough to say so.
        """
        ...

    def refresh(self, kid: str | None, *, now: int) -> Future[None] | None:
        """Start what fetching is due; a future only if ``find`` had better wait for it.

        The future is done when the fetch has ended, well or not, and never raises.
        """
        ...

    @property
    def timeout_s(self) -> float:
        """How long to wait for such a future."""
        ...


class StaticJwks:
    """A key set that is given once."""

    timeout_s = 0.0

    def __init__(self, jwks: Mapping[str, JSON]) -> None:
        self._keys = _usable_set(jwks)

    def find(self, kid: str | None, *, now: int) -> PublicJwk:
        """See :meth:`JwksSource.find`."""
        return _find(self._keys, kid)

    def refresh(self, kid: str | None, *, now: int) -> Future[None] | None:
        """Nothing ever needs to be fetched."""
        return None


class CachedJwks:
    """A key set that ``fetch`` reads, kept for ``max_age_s`` and refreshed in the background.

    ``fetch`` returns the document's bytes or raises ``KeysteadError`` or ``OSError``; it runs in a
    thread. An unknown ``kid`` has it run at once, but at most every ``REFRESH_INTERVAL_S``. When it
    fails, the last good set serves until it is ``max_stale_s`` old.
    """

    def __init__(
        self,
        fetch: Callable[[], bytes],
        *,
        max_age_s: int = DEFAULT_MAX_AGE_S,
        max_stale_s: int = DEFAULT_MAX_STALE_S,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        if not 0 < max_age_s <= max_stale_s:
            raise ConfigurationError(detail="max_age_s is above 0 and not above max_stale_s")
        self.timeout_s = timeout_s
        self._max_age_s = max_age_s
        self._max_stale_s = max_stale_s
        self._set = Refreshed(
            lambda now: _usable_set(fetch()), name="keystead-jwks", interval_s=REFRESH_INTERVAL_S
        )

    def find(self, kid: str | None, *, now: int) -> PublicJwk:
        """See :meth:`JwksSource.find`."""
        keys = self._young_enough(now)
        if keys is None:
            raise Unavailable(
                Reason.KEYS_UNAVAILABLE,
                self._set.last_error,
                step=Step.KEY,
                retry_after_s=REFRESH_INTERVAL_S,
            )
        return _find(keys, kid)

    def refresh(self, kid: str | None, *, now: int) -> Future[None] | None:
        """See :meth:`JwksSource.refresh`."""
        keys, last = self._young_enough(now), self._set.last
        missing = keys is None or (kid is not None and keys.get(kid) is None)
        if not missing and last is not None and last.age_s(now) < self._max_age_s:
            return None
        future = self._set.start(now)
        return future if missing else None

    def _young_enough(self, now: int) -> JwkSet | None:
        last = self._set.last
        return last.value if last is not None and last.age_s(now) <= self._max_stale_s else None


def jwks_source(
    jwks: Mapping[str, JSON] | str | Path | JwksSource, *, timeout_s: float = DEFAULT_TIMEOUT_S
) -> JwksSource:
    """The source that ``jwks`` means: a key set, a URL, a file's path, or a source as it is.

    A file or key set that cannot be used raises ``ConfigurationError`` at once; a URL is fetched
    when first needed.
    """
    if isinstance(jwks, Mapping):
        return StaticJwks(jwks)
    if isinstance(jwks, str) and "://" in jwks:
        from keystead.relying.https import Kind, fetcher

        kind = Kind(
            name="jwks",
            media_type="application/json",
            max_bytes=MAX_SET_BYTES,
            reason=Reason.KEYS_UNAVAILABLE,
        )
        return CachedJwks(fetcher(jwks, kind, timeout_s=timeout_s), timeout_s=timeout_s)
    if isinstance(jwks, str | Path):
        path = Path(jwks)
        _usable_set(_read(path), name=f"jwks: {path}")
        return CachedJwks(lambda: _read(path), timeout_s=timeout_s)
    return jwks


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_SET_BYTES + 1)  # one more, so that the parser sees the excess
    except OSError as error:
        raise ConfigurationError(detail=f"jwks: {error}") from error


def _usable_set(jwks: bytes | Mapping[str, JSON], *, name: str = "jwks") -> JwkSet:
    try:
        keys = parse_set(jwks)
    except (Malformed, TokenRejected) as error:
        raise ConfigurationError(
            detail=f'{name} is no set of public keys, {{"keys": [...]}}: {error}'
        ) from None
    if not any(key.kid is not None for key in keys):
        raise ConfigurationError(detail=f"{name}: no key that verifies signatures and has a kid")
    return keys


def _find(keys: JwkSet, kid: str | None) -> PublicJwk:
    key = keys.get(kid) if kid is not None else None
    if key is None:
        raise TokenRejected(Reason.KEY_UNKNOWN, f"kid {kid!r}", step=Step.KEY)
    return key
