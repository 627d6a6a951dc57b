"""The Cedar schema that every delegation policy is checked against when it is loaded.

``docs/configuration.md`` explains each attribute. The inner links of an ``act`` chain are history
and are left out on purpose: nothing may be decided by them (RFC 8693 §4.1).
"""

from __future__ import annotations

from enum import StrEnum

from keystead.codec import json


class PolicyAction(StrEnum):
    """What an agent asks for: a token, a standing grant, a renewal, a token for another agent."""

    EXCHANGE = "exchange"
    GRANT = "grant"
    RENEW = "renew"
    HANDOVER = "handover"


_ACTIONS = ", ".join(PolicyAction)

# `client` and `acr` are "" where unknown, which no policy can name; the age of the sign-in is
# absent where unknown, so that "at most five minutes ago" cannot be true by default.
SCHEMA = f"""\
entity Agent = {{ trust_domain: String, path: String }};
entity Audience;
type User = {{
  sub: String, issuer: String, client: String,
  aal: Long, acr: String, amr: Set<String>, auth_age_s?: Long
}};
type Residency = {{ kind: String, protection: String, hardware: Bool, freshness: String }};
action {_ACTIONS} appliesTo {{
  principal: [Agent],
  resource: [Audience],
  context: {{ user: User, scopes: Set<String>, residency: Residency, lifetime_s: Long }}
}};
"""

JsonObject = dict[str, json.JSON]
