"""What ``oidc`` evidence has to show: whose tokens are taken, and which of them.

    [[oidc.issuers]]
    issuer = "https://token.actions.githubusercontent.com"
    profile = "github-actions"
    jwks_url = "https://token.actions.githubusercontent.com/.well-known/jwks"

    [[oidc.issuers.rules]]
    repository_id = ["123456789"]
    ref = ["refs/heads/main"]

``docs/evidence/oidc.md`` has a row for each entry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from keystead.appraisal.issuer_keys import (
    DEFAULT_JWKS_MAX_AGE_S,
    JwksMaxAge,
    KeySource,
    Url,
    key_source,
)
from keystead.appraisal.oidc_profiles import MAX_CLAIM_CHARS, PROFILES
from keystead.appraisal.policy_tables import (
    DEFAULT_MAX_AGE_S,
    FilePath,
    MaxAge,
    Table,
    empty,
    wrong,
)
from keystead.evidence.oidc import AUDIENCE_PREFIX
from keystead.jose.jwk import parse_set
from keystead.model import Freshness, OidcProfile

MAX_TOKEN_AGE_S: Final = 300
"""A token that anybody may show is taken when it is young, or not at all."""
MAX_DATED_BACK_S: Final = 300
"""Some providers date tokens minutes back, for receivers whose clocks are behind."""

_Algorithm = Literal["RS256", "ES256", "PS256"]
ALGORITHMS: Final[tuple[_Algorithm, ...]] = ("RS256", "ES256", "PS256")
_Profile = Literal["github-actions", "aws-eks", "aws-sts", "azure", "gcp", "kubernetes", "other"]
_ClaimName = Annotated[str, Meta(min_length=1, max_length=128)]
_ClaimValue = Annotated[str, Meta(min_length=1, max_length=MAX_CLAIM_CHARS)]
_RuleTable = dict[_ClaimName, list[_ClaimValue] | Literal["any"]]

Rule: TypeAlias = Mapping[str, frozenset[str] | None]
"""Claim → the values of which it has to have one; None: it has to be there, with any value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcIssuer:
    """One identity provider; a token that keeps one of ``rules`` is taken.

    ``freshness``: its tokens answer challenges by their audience, or name one of ``audiences``, are
    at most ``max_token_age_s`` old, and are taken once.
    """

    issuer: str
    profile: OidcProfile
    keys: KeySource
    algorithms: frozenset[str]
    freshness: Freshness
    audiences: frozenset[str]
    max_token_age_s: int
    dated_back_s: int
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcPolicy:
    """``issuers`` by their ``iss``."""

    issuers: Mapping[str, OidcIssuer]
    max_age_s: int = DEFAULT_MAX_AGE_S


class OidcIssuerTable(Table, frozen=True):
    """``[[oidc.issuers]]``."""

    issuer: Url
    profile: _Profile
    jwks_url: Url | None = None
    jwks_file: FilePath | None = None
    jwks_max_age_s: JwksMaxAge = DEFAULT_JWKS_MAX_AGE_S
    algorithms: list[_Algorithm] = msgspec.field(default_factory=lambda: list(ALGORITHMS))
    freshness: Literal["challenged", "bearer"] | None = None
    audiences: list[_ClaimValue] = msgspec.field(default_factory=list)
    max_token_age_s: Annotated[int, Meta(ge=1, le=MAX_TOKEN_AGE_S)] = MAX_TOKEN_AGE_S
    dated_back_s: Annotated[int, Meta(ge=0, le=MAX_DATED_BACK_S)] = 0
    rules: list[_RuleTable] = msgspec.field(default_factory=list)


class OidcTable(Table, frozen=True):
    """``[oidc]``."""

    issuers: list[OidcIssuerTable] = msgspec.field(default_factory=list)
    max_age_s: MaxAge = DEFAULT_MAX_AGE_S


def oidc_policy(table: OidcTable, folder: Path) -> OidcPolicy:
    """The rules that ``table`` spells; ConfigurationError names the entry."""
    if not table.issuers:
        raise empty("oidc.issuers: no identity provider")
    issuers: dict[str, OidcIssuer] = {}
    for index, each in enumerate(table.issuers):
        path = f"oidc.issuers[{index}]"
        if each.issuer in issuers:
            raise wrong(f"{path}.issuer: {each.issuer} stands here twice")
        issuers[each.issuer] = _issuer(each, folder, path)
    return OidcPolicy(issuers=issuers, max_age_s=table.max_age_s)


def _issuer(table: OidcIssuerTable, folder: Path, path: str) -> OidcIssuer:
    profile = OidcProfile(table.profile)
    freshness = _freshness(table, profile, path)
    if not table.algorithms:
        raise empty(f"{path}.algorithms: none is allowed")
    return OidcIssuer(
        issuer=table.issuer,
        profile=profile,
        keys=key_source(
            url=table.jwks_url,
            file=table.jwks_file,
            max_age_s=table.jwks_max_age_s,
            folder=folder,
            parse=parse_set,
            path=path,
        ),
        algorithms=frozenset(table.algorithms),
        freshness=freshness,
        audiences=_audiences(table.audiences, freshness, path),
        max_token_age_s=table.max_token_age_s,
        dated_back_s=table.dated_back_s,
        rules=_rules(table.rules, profile, path),
    )


def _freshness(table: OidcIssuerTable, profile: OidcProfile, path: str) -> Freshness:
    chosen = PROFILES[profile].caller_chooses_audience
    if table.freshness is None:
        if profile is OidcProfile.OTHER:
            raise wrong(f'{path}.freshness: expected "challenged" or "bearer"')
        return Freshness.CHALLENGED if chosen else Freshness.BEARER
    if table.freshness == "challenged" and not chosen:
        raise wrong(f"{path}.freshness: workloads of {profile} do not choose their audience")
    return Freshness(table.freshness)


def _audiences(audiences: Sequence[str], freshness: Freshness, path: str) -> frozenset[str]:
    if freshness is Freshness.CHALLENGED:
        if audiences:
            raise wrong(f"{path}.audiences: the audience is the answer to the challenge")
        return frozenset()
    if not audiences:
        raise empty(f"{path}.audiences: no audience is named")
    if any(each.startswith(AUDIENCE_PREFIX) for each in audiences):
        raise wrong(f"{path}.audiences: {AUDIENCE_PREFIX} is for answers to challenges")
    return frozenset(audiences)


def _rules(tables: Sequence[_RuleTable], profile: OidcProfile, path: str) -> tuple[Rule, ...]:
    if not tables:
        raise empty(f"{path}.rules: every token would be taken, or none")
    return tuple(
        _rule(table, profile, f"{path}.rules[{index}]") for index, table in enumerate(tables)
    )


def _rule(table: _RuleTable, profile: OidcProfile, path: str) -> Rule:
    rules = PROFILES[profile]
    rule: dict[str, frozenset[str] | None] = {}
    for name, values in table.items():
        if not values:
            raise empty(f'{path}.{name}: expected values, or "any" written out')
        rule[name] = None if isinstance(values, str) else frozenset(values)
    for name in sorted(rules.written - rule.keys()):
        raise empty(f'{path}.{name}: expected values, or "any" written out')
    named = {name for name, values in rule.items() if values is not None}
    if not named & (named if rules.identity is None else rules.identity):
        wanted = "any claim" if rules.identity is None else ", ".join(sorted(rules.identity))
        raise empty(f"{path}: expected values of one of: {wanted}")
    return rule
