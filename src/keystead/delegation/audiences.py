"""The audiences that tokens may be issued for, and the scopes that each of them knows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from keystead.errors import ConfigurationError, Reason, Refused

# design.md, section 5: five minutes, renewed.
MAX_TOKEN_LIFETIME_S = 300
MAX_AUDIENCE_CHARS = 512
# RFC 6749 §3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
MAX_SCOPE_CHARS = 128
MAX_SCOPES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """One resource server: ``uri`` is the exact ``aud`` of its tokens."""

    uri: str
    scopes: frozenset[str]
    max_lifetime_s: int = MAX_TOKEN_LIFETIME_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Audiences:
    """The registry. Exact strings only: no prefix, no normalisation, no wildcard."""

    by_uri: dict[str, Audience] = field(repr=False)

    @classmethod
    def of(cls, audiences: Iterable[Audience]) -> Audiences:
        """The registry of ``audiences``; ``ConfigurationError`` where one is wrong or doubled."""
        by_uri: dict[str, Audience] = {}
        for audience in audiences:
            _check(audience)
            if audience.uri in by_uri:
                raise ConfigurationError(None, f"audience {audience.uri} is configured twice")
            by_uri[audience.uri] = audience
        return cls(by_uri=by_uri)

    def lookup(self, uri: str) -> Audience:
        """The audience called ``uri``; ``Refused`` (audience_not_allowed: invalid_target)."""
        audience = self.by_uri.get(uri)
        if audience is None:
            raise Refused(Reason.AUDIENCE_NOT_ALLOWED, "no such audience is configured")
        return audience

    def require_scopes(self, uri: str, scopes: Iterable[str]) -> Audience:
        """The audience, if it knows every one of ``scopes``; else ``scope_not_allowed``."""
        audience = self.lookup(uri)
        unknown = set(scopes) - audience.scopes
        if unknown:
            raise Refused(Reason.SCOPE_NOT_ALLOWED, f"{uri} has no scope {sorted(unknown)[0]}")
        return audience


def _check(audience: Audience) -> None:
    if not 0 < len(audience.uri) <= MAX_AUDIENCE_CHARS:
        raise ConfigurationError(None, f"an audience has 1 to {MAX_AUDIENCE_CHARS} characters")
    if not 0 < audience.max_lifetime_s <= MAX_TOKEN_LIFETIME_S:
        raise ConfigurationError(
            None, f"audience {audience.uri}: max_lifetime_s must be 1 to {MAX_TOKEN_LIFETIME_S}"
        )
    if not 0 < len(audience.scopes) <= MAX_SCOPES:
        raise ConfigurationError(None, f"audience {audience.uri}: 1 to {MAX_SCOPES} scopes")
    for scope in audience.scopes:
        if len(scope) > MAX_SCOPE_CHARS or not SCOPE_TOKEN.fullmatch(scope):
            raise ConfigurationError(None, f"audience {audience.uri}: scope {scope!r} is no scope")
