"""Who is calling, and what that lets them do.

``docs/authorization.md`` is the table of every RPC and endpoint; a test calls each of them as
every role. A caller without any role can still attest or exchange: there the evidence or the proof
is the credential, and it is checked by the use case itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from keystead.errors import Reason, Refused
from keystead.model import SpiffeId


class Role(StrEnum):
    """What a credential stands for."""

    HOST = "host"
    """An enrolled machine; sees only the registration entries that it parents."""
    RELYING_PARTY = "relying_party"
    """May have tokens verified and introspected."""
    ISSUER = "issuer"
    """May have payloads signed by the external keys that it owns."""
    ADMIN_SOCKET = "admin_socket"
    """Whoever may open the administration socket: reads, and enrols hosts."""
    OPERATOR = "operator"
    """A named person: entries, grants, keys, the audit trail."""
    ADMINISTRATOR = "administrator"
    """An operator who may also remove hosts and rotate Keystead's own keys."""


IMPLIED: dict[Role, frozenset[Role]] = {
    Role.ADMINISTRATOR: frozenset({Role.OPERATOR}),
}
"""A role's holder may do what these may as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """One caller: ``name`` is what the audit trail shows."""

    name: str = ""
    spiffe_id: SpiffeId | None = None
    roles: frozenset[Role] = field(default_factory=frozenset)

    def has(self, role: Role) -> bool:
        """Whether the caller holds the role, or one that implies it."""
        return role in self.roles or any(role in IMPLIED.get(r, ()) for r in self.roles)


ANYONE = Caller()


def require(caller: Caller, *roles: Role) -> None:
    """Refused (role_required) unless the caller holds one of the roles."""
    if not any(caller.has(role) for role in roles):
        wanted = " or ".join(roles)
        raise Refused(Reason.ROLE_REQUIRED, f"{caller.name or 'a stranger'} is not {wanted}")
