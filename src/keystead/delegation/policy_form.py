"""What a delegation policy must look like, read from Cedar's JSON form when it is loaded.

Cedar's own validator checks types. This file checks what Keystead adds: ids, annotations, and
that whatever may start a grant names issuer, client, agent, audience and scopes in plain sight.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from keystead.codec import json
from keystead.codec.json import JSON
from keystead.delegation.audiences import MAX_TOKEN_LIFETIME_S
from keystead.delegation.grants import MAX_GRANT_TTL_S
from keystead.delegation.schema import JsonObject, PolicyAction
from keystead.errors import ConfigurationError

# More than any SPIFFE ID or audience has.
MAX_ID_CHARS = 4_096

_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_SECONDS = re.compile(r"[1-9][0-9]{0,8}")
_ANNOTATIONS = frozenset({"id", "description", "max_lifetime_s", "grant_ttl_s"})
_ISSUER = ("context", "user", "issuer")
_CLIENT = ("context", "user", "client")
_SCOPES = ("context", "scopes")


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRule:
    """One policy, as far as it concerns what happens before Cedar is asked and after it said yes.

    ``grants`` is the only agent and audience that it lets start a grant; None: it lets nobody.
    """

    id: str
    permits: bool
    max_lifetime_s: int | None
    grant_ttl_s: int | None
    grants: tuple[str, str] | None = None


def parse_rule(name: str, policy: JsonObject) -> PolicyRule:
    """The rule of a policy in JSON form; ``name`` is what to call it if it has no ``@id``.

    Raises ``ConfigurationError`` naming the policy and what is missing.
    """
    annotations = json.find_object(policy, "annotations") or {}
    id = annotations.get("id")
    if not isinstance(id, str) or not _ID.fullmatch(id):
        raise _wrong(name, 'needs an annotation such as @id("payments-read")')
    unknown = annotations.keys() - _ANNOTATIONS
    if unknown:
        raise _wrong(id, f"has the unknown annotation @{min(unknown)}")
    permits = policy.get("effect") == "permit"
    grants = permits and PolicyAction.GRANT in _actions(policy)
    rule = PolicyRule(
        id=id,
        permits=permits,
        max_lifetime_s=_seconds(id, annotations, "max_lifetime_s", MAX_TOKEN_LIFETIME_S),
        grant_ttl_s=_seconds(id, annotations, "grant_ttl_s", MAX_GRANT_TTL_S),
    )
    if not permits and (rule.max_lifetime_s or rule.grant_ttl_s):
        raise _wrong(id, "forbids, so a lifetime means nothing on it")
    if rule.grant_ttl_s and not grants:
        raise _wrong(id, "has @grant_ttl_s but does not permit the action grant")
    return _granting(rule, policy) if grants else rule


def _granting(rule: PolicyRule, policy: JsonObject) -> PolicyRule:
    """A grant is made only where policy names all five: the rule, with two of them."""
    conditions = list(_conjuncts(policy))
    agent = _scope_of(policy, "principal", "Agent")
    audience = _scope_of(policy, "resource", "Audience")
    named = {
        'the agent, as principal == Agent::"…"': bool(agent),
        'the audience, as resource == Audience::"…"': bool(audience),
        'the issuer, as context.user.issuer == "…"': _names_one(conditions, _ISSUER),
        'the client, as context.user.client == "…"': _names_one(conditions, _CLIENT),
        'the scopes, as ["…"].containsAll(context.scopes)': _names_scopes(conditions),
        'how long a grant lasts, as @grant_ttl_s("28800")': rule.grant_ttl_s is not None,
    }
    missing = [what for what, present in named.items() if not present]
    if missing:
        raise _wrong(rule.id, f"permits the action grant and must name {'; '.join(missing)}")
    return replace(rule, grants=(agent, audience))


def _actions(policy: JsonObject) -> frozenset[str]:
    """The actions that the policy's head covers."""
    head = json.get_object(policy, "action")
    if head.get("op") == "All":
        return frozenset(PolicyAction)
    entities = json.find_object_list(head, "entities") or (json.get_object(head, "entity"),)
    return frozenset(json.get_str(entity, "id") for entity in entities)


def _scope_of(policy: JsonObject, variable: str, entity_type: str) -> str:
    """The id in ``variable == Type::"id"`` of the policy's head; empty where it says otherwise."""
    head = json.get_object(policy, variable)
    entity = json.find_object(head, "entity") or {}
    if head.get("op") != "==" or entity.get("type") != entity_type:
        return ""
    return json.find_str(entity, "id", max_chars=MAX_ID_CHARS, allow_empty=True) or ""


def _conjuncts(policy: JsonObject) -> Iterator[JsonObject]:
    """Every expression that must be true: the ``when`` bodies, taken apart at ``&&``."""
    pending: list[JSON] = [
        condition.get("body")
        for condition in json.get_object_list(policy, "conditions")
        if condition.get("kind") == "when"
    ]
    while pending:
        body = pending.pop()
        if not isinstance(body, dict):
            continue
        both = body.get("&&")
        if isinstance(both, dict):
            pending += [both.get("left"), both.get("right")]
        else:
            yield body


def _names_one(conditions: list[JsonObject], path: tuple[str, ...]) -> bool:
    """Whether some condition is ``path == "…"``, or ``["…"].contains(path)``."""
    for condition in conditions:
        left, right = _operands(condition, "==")
        if {_path(left), _path(right)} == {path, None} and _text(left) + _text(right):
            return True
        allowed, member = _operands(condition, "contains")
        if _path(member) == path and _texts(allowed):
            return True
    return False


def _names_scopes(conditions: list[JsonObject]) -> bool:
    return any(
        _path(right) == _SCOPES and _texts(left)
        for left, right in (_operands(condition, "containsAll") for condition in conditions)
    )


def _operands(expression: JsonObject, operator: str) -> tuple[JSON, JSON]:
    both = expression.get(operator)
    return (both.get("left"), both.get("right")) if isinstance(both, dict) else (None, None)


def _path(expression: JSON) -> tuple[str, ...] | None:
    """``("context", "user", "issuer")`` for the expression ``context.user.issuer``."""
    names: list[str] = []
    while isinstance(expression, dict):
        access = expression.get(".")
        if not isinstance(access, dict):
            variable = expression.get("Var")
            return (variable, *reversed(names)) if isinstance(variable, str) else None
        names.append(str(access.get("attr")))
        expression = access.get("left")
    return None


def _text(expression: JSON) -> str:
    value = expression.get("Value") if isinstance(expression, dict) else None
    return value if isinstance(value, str) else ""


def _texts(expression: JSON) -> bool:
    """Whether it is a set of one or more string literals, none of them empty."""
    items = expression.get("Set") if isinstance(expression, dict) else None
    return isinstance(items, list) and bool(items) and all(_text(item) for item in items)


def _seconds(id: str, annotations: JsonObject, name: str, maximum: int) -> int | None:
    text = annotations.get(name)
    if name not in annotations:
        return None
    if not isinstance(text, str) or not _SECONDS.fullmatch(text) or int(text) > maximum:
        raise _wrong(id, f"@{name} must be a number of seconds from 1 to {maximum}")
    return int(text)


def _wrong(id: str, detail: str) -> ConfigurationError:
    return ConfigurationError(None, f"delegation policy {id}: {detail}")
