"""What one verifier asks of tokens, as the native engine reads it."""

from __future__ import annotations

from collections.abc import Iterable, Set

from keystead._native import token as _native
from keystead.relying.claims import TokenRules
from keystead.relying.requirements import Requirements, ResidencyRequirement


def native_rules(
    rules: TokenRules,
    requirements: Requirements,
    *,
    algorithms: Set[str],
    proof_max_age_s: int,
    status_required: bool,
) -> _native.Rules:
    """The same rules and requirements, for :class:`keystead._native.token.TokenBatch`."""
    return _native.Rules(
        algorithms=sorted(algorithms),
        issuer=_utf8(rules.issuer),
        audience=_utf8(rules.audience),
        leeway_s=rules.leeway_s,
        max_lifetime_s=rules.max_lifetime_s,
        proof_max_age_s=proof_max_age_s,
        dpop_required=rules.dpop_required,
        scopes=_all_utf8(requirements.scopes),
        minimum_aal=requirements.minimum_aal,
        acr_values=_all_utf8(requirements.acr_values),
        max_authentication_age_s=requirements.max_authentication_age_s,
        residency=None
        if requirements.residency is None
        else _native_residency(requirements.residency),
        status_required=status_required,
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
