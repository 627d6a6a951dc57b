"""From a credential to a :class:`~keystead.service.roles.Caller`.

There are three: an operator's bearer secret, of which only the SHA-256 is known here (256 random
bits need no slow hash); a SPIFFE ID that mTLS proved; and the administration socket.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from keystead.codec import base64url
from keystead.errors import KeysteadError, Reason, Refused
from keystead.identity import spiffe
from keystead.model import SpiffeId
from keystead.ports import Entropy, Store
from keystead.service.roles import Caller, Role

CREDENTIAL_BYTES = 32
CREDENTIAL_PREFIX = "kso_"
_BEARER = re.compile(r"Bearer (kso_[A-Za-z0-9_-]{43})", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """A named person and the hash of that person's credential."""

    name: str
    role: Role
    credential_sha256: bytes


class Callers:
    """Everybody who has a credential."""

    def __init__(
        self,
        *,
        store: Store,
        operators: Iterable[Operator],
        identities: Mapping[SpiffeId, Role],
        anonymous_roles: frozenset[Role],
    ) -> None:
        self._store = store
        self._operators = tuple(operators)
        self._identities = dict(identities)
        self._anonymous = Caller(roles=anonymous_roles)

    def anonymous(self) -> Caller:
        """A caller without a credential."""
        return self._anonymous

    def admin_socket(self) -> Caller:
        """Whoever may open the administration socket."""
        return Caller(name="admin-socket", roles=frozenset({Role.ADMIN_SOCKET}))

    def from_credential(self, authorization: str) -> Caller:
        """The operator of an ``Authorization: Bearer kso_…`` value.

        Refused(credential_invalid) for anything else: a wrong credential is never a stranger.
        """
        match = _BEARER.fullmatch(authorization)
        shown = hashlib.sha256(match[1].encode()).digest() if match else b""
        found: Operator | None = None
        for operator in self._operators:
            if hmac.compare_digest(operator.credential_sha256, shown):
                found = operator
        if found is None:
            raise Refused(Reason.CREDENTIAL_INVALID)
        return Caller(name=found.name, roles=frozenset({found.role}))

    async def from_spiffe_id(self, text: str) -> Caller:
        """The caller behind a client certificate that the door has verified."""
        try:
            id = spiffe.parse_spiffe_id(text)
        except KeysteadError:
            raise Refused(Reason.CREDENTIAL_INVALID, "the certificate's URI name") from None
        roles = set()
        if id in self._identities:
            roles.add(self._identities[id])
        if await self._store.host_named(id) is not None:
            roles.add(Role.HOST)
        return Caller(name=id, spiffe_id=id, roles=frozenset(roles) | self._anonymous.roles)

    @staticmethod
    def merge(first: Caller, second: Caller) -> Caller:
        """One caller with two credentials: the second's name, both roles."""
        return Caller(
            name=second.name or first.name,
            spiffe_id=second.spiffe_id or first.spiffe_id,
            roles=first.roles | second.roles,
        )


def new_credential(entropy: Entropy) -> tuple[str, str]:
    """A fresh operator credential, and the hex SHA-256 that the configuration holds."""
    credential = CREDENTIAL_PREFIX + base64url.encode(entropy.token(CREDENTIAL_BYTES))
    return credential, hashlib.sha256(credential.encode()).hexdigest()
