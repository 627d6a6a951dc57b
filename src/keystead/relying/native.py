"""What one verifier asks of tokens, as the native engine reads it."""

from __future__ import annotations

from collections.abc import Iterable, Set

from keystead._native import rules as _native
from keystead.relying.claims import TokenRules
from keystead.relying.requirements import Requirements, ResidencyRequirement

# Sets of scopes that single calls add, kept ready: an API has a few, one for each method or path.
MAX_SCOPE_SETS = 64


class NativeRules:
    """Rules and requirements for :class:`keystead._native.token.TokenBatch`, by a call's scopes."""

    def __init__(
        self,
        rules: TokenRules,
        requirements: Requirements,
        *,
        algorithms: Set[str],
        proof_max_age_s: int,
        status_required: bool,
    ) -> None:
        self._rules = rules
        self._requirements = requirements
        self._algorithms = algorithms
        self._proof_max_age_s = proof_max_age_s
        self._status_required = status_required
        self._made: dict[frozenset[str], _native.Rules] = {}
        self.with_scopes(frozenset())

    def with_scopes(self, scopes: frozenset[str]) -> _native.Rules:
        """What tokens must satisfy in a call that asks for these scopes too."""
        made = self._made.get(scopes)
        if made is None:
            made = self._make(scopes)
            if len(self._made) < MAX_SCOPE_SETS:
                self._made[scopes] = made
        return made

    def _make(self, scopes: frozenset[str]) -> _native.Rules:
        rules, requirements = self._rules, self._requirements
        return _native.Rules(
            algorithms=sorted(self._algorithms),
            issuer=_utf8(rules.issuer),
            audience=_utf8(rules.audience),
            leeway_s=rules.leeway_s,
            max_lifetime_s=rules.max_lifetime_s,
            proof_max_age_s=self._proof_max_age_s,
            dpop_required=rules.dpop_required,
            scopes=_all_utf8(requirements.scopes | scopes),
            minimum_aal=requirements.minimum_aal,
            acr_values=_all_utf8(requirements.acr_values),
            max_authentication_age_s=requirements.max_authentication_age_s,
            residency=None
            if requirements.residency is None
            else _native_residency(requirements.residency),
            status_required=self._status_required,
        )


def _native_residency(required: ResidencyRequirement) -> _native.Residency:
    return _native.Residency(
        protections=sorted(required.protections),
        freshness=sorted(required.freshness),
        hardware=required.hardware,
        max_age_s=required.max_age_s,
        policies=None if required.policies is None else _all_utf8(required.policies),
    )


def _all_utf8(texts: Iterable[str]) -> list[bytes]:
    return [_utf8(text) for text in sorted(texts)]


def _utf8(text: str) -> bytes:
    # No token holds a lone surrogate, so what does equals nothing.
    return text.encode("utf-8", "surrogatepass")
