"""Who may act for whom, decided by Cedar.

    policy = DelegationPolicy.parse(text)
    decision = policy.decide(request)

Policies are parsed and checked once. ``@id`` names a policy in every message and audit event,
``@max_lifetime_s`` caps what it permits, ``@grant_ttl_s`` says how long a grant lasts. Cedar
skips a policy that fails while it is evaluated, which would drop a ``forbid``; here any such error
is a denial.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

import cedarpy

from keystead.codec import base64url, json
from keystead.delegation.policy_form import PolicyRule, parse_rule
from keystead.delegation.schema import SCHEMA, JsonObject, PolicyAction
from keystead.errors import ConfigurationError, Malformed, Reason, Refused
from keystead.model import Freshness, Protection, Residency, SpiffeId, Subject

# Far more than people can review; also bounds what Cedar is asked to parse.
MAX_POLICY_BYTES = 262_144
# Cedar's JSON form nests several levels for each operator.
_MAX_FORM_BYTES = 64 * MAX_POLICY_BYTES
_MAX_FORM_DEPTH = 400
# A denial is explained by asking again with one thing changed: at most this often for scopes.
MAX_SCOPE_PROBES = 8
_VERSION_CHARS = 16
# A parsed agent takes about a kilobyte; beyond so many the least recent is parsed again.
MAX_KEPT_AGENTS = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class DelegationRequest:
    """May ``agent``, its key resident as ``residency`` says, do this for ``subject``?"""

    action: PolicyAction
    agent: SpiffeId
    audience: str
    subject: Subject
    scopes: tuple[str, ...]
    residency: Residency
    lifetime_s: int
    now: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Yes, by these policies. The lifetimes are the smallest that any of them names."""

    policies: tuple[str, ...]
    max_lifetime_s: int | None
    grant_ttl_s: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DelegationPolicy:
    """A loaded policy set; ``version`` is a short hash of its text."""

    version: str
    rules: Mapping[str, PolicyRule]
    _policies: cedarpy.PolicySet = field(repr=False)
    _grants: frozenset[tuple[str, str]] = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> DelegationPolicy:
        """The policy set that ``text`` (Cedar) holds.

        Raises ``ConfigurationError``: policy_empty when nothing is ever permitted, else
        configuration_invalid naming the policy and what is wrong with it.
        """
        if len(text.encode()) > MAX_POLICY_BYTES:
            raise ConfigurationError(None, f"delegation policy over {MAX_POLICY_BYTES} bytes")
        forms = _forms(text)
        _check_types(text, forms)
        rules: dict[str, PolicyRule] = {}
        named: dict[str, json.JSON] = {}
        for name, form in forms.items():
            rule = _rule(name, form)
            if rule.id in rules:
                raise ConfigurationError(None, f'delegation policy: @id("{rule.id}") twice')
            rules[rule.id], named[rule.id] = rule, form
        if not any(rule.permits for rule in rules.values()):
            raise ConfigurationError(Reason.POLICY_EMPTY, "delegation policy permits nothing")
        grants = frozenset(rule.grants for rule in rules.values() if rule.grants is not None)
        return cls(version=_version(text), rules=rules, _policies=_load(named), _grants=grants)

    def decide(self, request: DelegationRequest) -> Decision:
        """What the policy grants, or ``Refused``.

        delegation_denied, or what would have helped: scope_not_allowed (fewer scopes),
        authentication_insufficient (a stronger or fresher sign-in), residency_insufficient
        (a key better protected).
        """
        result = self._ask(request)
        ids = _allowed_by(result)
        if ids is None:
            raise self._denial(request, result)
        return self._decision(ids)

    def find_decision(self, request: DelegationRequest) -> Decision | None:
        """As ``decide``; None, without any reason, where the policy says no."""
        if request.action is PolicyAction.GRANT and not self._may_grant(request):
            return None
        ids = _allowed_by(self._ask(request))
        return None if ids is None else self._decision(ids)

    def _may_grant(self, request: DelegationRequest) -> bool:
        """Whether any policy could say yes, without asking Cedar: those that permit ``grant`` each
        name one agent and one audience, and most exchanges are for none of them."""
        return (request.agent, request.audience) in self._grants

    def _decision(self, ids: list[str]) -> Decision:
        rules = [self.rules[id] for id in ids]
        return Decision(
            policies=tuple(ids),
            max_lifetime_s=_least(rule.max_lifetime_s for rule in rules),
            grant_ttl_s=_least(rule.grant_ttl_s for rule in rules),
        )

    def _ask(self, request: DelegationRequest) -> cedarpy.AuthzResult:
        entities = _entities(request.agent)
        return cedarpy.is_authorized(_cedar_request(request), self._policies, entities)

    def _denial(self, request: DelegationRequest, result: cedarpy.AuthzResult) -> Refused:
        diagnostics = result.diagnostics
        if diagnostics.errors:
            return Refused(Reason.DELEGATION_DENIED, f"policy error: {diagnostics.errors[0]}")
        by = ", ".join(diagnostics.reasons) or "no policy permits it"
        for reason, easier in _easier(request):
            if _allowed_by(self._ask(easier)) is not None:
                return Refused(reason, f"{request.action}: {by}")
        return Refused(Reason.DELEGATION_DENIED, f"{request.action}: {by}")


def _forms(text: str) -> dict[str, JsonObject]:
    """Every policy of ``text`` in Cedar's JSON form, by its position."""
    try:
        form = json.parse_object(
            cedarpy.policies_to_json_str(text),
            max_bytes=_MAX_FORM_BYTES,
            max_depth=_MAX_FORM_DEPTH,
        )
    except (ValueError, Malformed) as error:
        raise ConfigurationError(None, f"delegation policy does not parse: {error}") from error
    if form.get("templates") or form.get("templateLinks"):
        raise ConfigurationError(None, "delegation policy: templates are not supported")
    policies = json.get_object(form, "staticPolicies")
    return {name: json.get_object(policies, name) for name in policies}


def _check_types(text: str, forms: Mapping[str, JsonObject]) -> None:
    result = cedarpy.validate_policies(text, SCHEMA)
    if result.validation_passed:
        return
    error = result.errors[0]
    annotations = json.find_object(forms.get(error.policy_id, {}), "annotations") or {}
    name = annotations.get("id") or error.policy_id
    raise ConfigurationError(None, f"delegation policy {name}: {error.error}")


def _rule(name: str, form: JsonObject) -> PolicyRule:
    try:
        return parse_rule(name, form)
    except Malformed as error:
        raise ConfigurationError(None, f"delegation policy {name}: {error.detail}") from error


def _load(named: dict[str, json.JSON]) -> cedarpy.PolicySet:
    document = {"staticPolicies": named, "templates": {}, "templateLinks": []}
    try:
        return cedarpy.PolicySet.from_json_str(json.encode(document).decode())
    except ValueError as error:
        raise ConfigurationError(None, f"delegation policy does not load: {error}") from error


def _version(text: str) -> str:
    return base64url.encode(hashlib.sha256(text.encode()).digest())[:_VERSION_CHARS]


def _allowed_by(result: cedarpy.AuthzResult) -> list[str] | None:
    """The permitting policies; None for Deny, for NoDecision, and after any error."""
    if result.decision is not cedarpy.Decision.Allow or result.diagnostics.errors:
        return None
    return sorted(result.diagnostics.reasons)


def _least(values: Iterator[int | None]) -> int | None:
    return min((value for value in values if value is not None), default=None)


@lru_cache(maxsize=MAX_KEPT_AGENTS)
def _entities(agent: SpiffeId) -> cedarpy.Entities:
    """The agent with its attributes; an audience has none."""
    domain, slash, path = agent.removeprefix("spiffe://").partition("/")
    entity = {
        "uid": {"type": "Agent", "id": agent},
        "attrs": {"trust_domain": domain, "path": slash + path},
        "parents": [],
    }
    return cedarpy.Entities.from_json_str(f"[{json.encode(entity).decode()}]")


def _cedar_request(request: DelegationRequest) -> dict[str, object]:
    residency = request.residency
    context = {
        "user": _user(request.subject, request.now),
        "scopes": request.scopes,
        "residency": {
            "kind": residency.kind,
            "protection": residency.protection,
            "hardware": residency.hardware,
            "freshness": residency.freshness,
        },
        "lifetime_s": request.lifetime_s,
    }
    return {
        "principal": {"type": "Agent", "id": request.agent},
        "action": {"type": "Action", "id": request.action.value},
        "resource": {"type": "Audience", "id": request.audience},
        "context": json.encode(context).decode(),
    }


def _user(subject: Subject, now: int) -> dict[str, object]:
    user: dict[str, object] = {
        "sub": subject.sub,
        "issuer": subject.issuer,
        "client": subject.client or "",
        "aal": subject.aal,
        "acr": subject.acr or "",
        "amr": subject.amr,
    }
    if subject.auth_time is not None:
        user["auth_age_s"] = max(0, now - subject.auth_time)
    return user


def _easier(request: DelegationRequest) -> Iterator[tuple[Reason, DelegationRequest]]:
    """The same request with one kind of thing improved, and what its success would explain."""
    if len(request.scopes) > 1:
        for scope in request.scopes[:MAX_SCOPE_PROBES]:
            yield Reason.SCOPE_NOT_ALLOWED, replace(request, scopes=(scope,))
    yield Reason.SCOPE_NOT_ALLOWED, replace(request, scopes=())
    yield (
        Reason.AUTHENTICATION_INSUFFICIENT,
        replace(request, subject=replace(request.subject, aal=3, auth_time=request.now)),
    )
    yield (
        Reason.RESIDENCY_INSUFFICIENT,
        replace(
            request,
            residency=replace(
                request.residency,
                protection=Protection.NON_EXPORTABLE,
                hardware=True,
                freshness=Freshness.CHALLENGED,
            ),
        ),
    )
