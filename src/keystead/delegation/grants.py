"""Grants: (user, agent, audience, scopes, until), and the refresh token that is their handle.

The handle is useless without a proof by the grant's key (RFC 8693 §2.2.1, RFC 9449 §5), and only
its hash is stored.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace

from keystead.codec import base64url
from keystead.errors import Reason, Refused
from keystead.model import Actor, Grant, GrantId, Jkt, SpiffeId, Subject
from keystead.ports import Entropy

REFRESH_TOKEN_PREFIX = "ksr_"
# 256 bits: a hash of it needs no salt and no slow function.
HANDLE_BYTES = 32
GRANT_ID_BYTES = 16
# A working day is what an approval usually means; thirty days is the most policy may give.
MAX_GRANT_TTL_S = 30 * 86_400

_REFRESH_TOKEN = re.compile(REFRESH_TOKEN_PREFIX + r"[A-Za-z0-9_-]{43}")


def make_grant(
    *,
    subject: Subject,
    agent: SpiffeId,
    jkt: Jkt,
    actor: Actor,
    audience: str,
    scopes: tuple[str, ...],
    ttl_s: int,
    now: int,
    entropy: Entropy,
    parent: Grant | None = None,
) -> tuple[Grant, str]:
    """A new grant and its refresh token, which exists nowhere else.

    A child never outlives its ``parent``.
    """
    token = REFRESH_TOKEN_PREFIX + base64url.encode(entropy.token(HANDLE_BYTES))
    until = now + min(ttl_s, MAX_GRANT_TTL_S)
    grant = Grant(
        id=GrantId(base64url.encode(entropy.token(GRANT_ID_BYTES))),
        subject=subject,
        agent=agent,
        jkt=jkt,
        actor=actor,
        audience=audience,
        scopes=scopes,
        handle_hash=handle_hash(token),
        created_at=now,
        expires_at=until,
    )
    if parent is not None:
        grant = replace(grant, parent=parent.id, expires_at=min(until, parent.expires_at))
    return grant, token


def handle_hash(token: str) -> bytes:
    """What a refresh token is looked up by; ``Refused`` (grant_unknown) if misspelled."""
    if not _REFRESH_TOKEN.fullmatch(token):
        raise Refused(Reason.GRANT_UNKNOWN, "not a refresh token of this service")
    return hashlib.sha256(token.encode("ascii")).digest()


def check_live(grant: Grant, *, now: int) -> None:
    """Raise ``Refused`` (grant_revoked, grant_expired) unless the grant holds at ``now``."""
    if grant.revoked_at is not None:
        raise Refused(Reason.GRANT_REVOKED, f"grant {grant.id} was revoked")
    if now >= grant.expires_at:
        raise Refused(Reason.GRANT_EXPIRED, f"grant {grant.id} ended")


def check_renewal(
    grant: Grant,
    *,
    jkt: Jkt,
    agent: SpiffeId,
    now: int,
    audience: str | None = None,
    scopes: tuple[str, ...] | None = None,
) -> tuple[str, ...]:
    """The scopes of a renewal: those asked for, or all of the grant's.

    1. the proof's key is the grant's (key_binding_mismatch); 2. that key still speaks for the
    grant's agent (client_mismatch); 3. the grant is live; 4. the audience, if named, is the
    grant's (audience_not_allowed); 5. no scope is wider (scope_not_allowed). The key comes first:
    a stranger with a stolen handle learns nothing about the grant.
    """
    if jkt != grant.jkt:
        raise Refused(Reason.KEY_BINDING_MISMATCH, "the grant is bound to another key", step=1)
    if agent != grant.agent:
        raise Refused(Reason.CLIENT_MISMATCH, "the key speaks for another agent now", step=2)
    check_live(grant, now=now)
    if audience is not None and audience != grant.audience:
        raise Refused(Reason.AUDIENCE_NOT_ALLOWED, "the grant names another audience", step=4)
    if scopes is None:
        return grant.scopes
    if not scopes or not set(scopes) <= set(grant.scopes):
        raise Refused(Reason.SCOPE_NOT_ALLOWED, "wider than the grant", step=5)
    return scopes
