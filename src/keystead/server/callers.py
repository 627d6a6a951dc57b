"""Who is calling: the same rule at both doors.

A caller may show a client certificate's SPIFFE ID, an operator's credential, or nothing. A
credential that is shown and wrong is refused, never ignored; over plaintext it is refused unread.
"""

from __future__ import annotations

from keystead.errors import KeysteadError, Reason, Refused
from keystead.service.callers import Callers
from keystead.service.roles import Caller
from keystead.service.trail import Trail

_CALLER_REFUSALS = frozenset(
    {
        Reason.ROLE_REQUIRED,
        Reason.CREDENTIAL_INVALID,
        Reason.TLS_REQUIRED,
        Reason.KEY_PURPOSE,
        Reason.KEY_STATE,
        Reason.DIGEST_NOT_ALLOWED,
        Reason.PAYLOAD_NAMES_THIS_ISSUER,
    }
)
"""Refusals that only a door sees whole: which caller tried what. The others have records of their
own, made by the use case."""


async def resolve_caller(
    callers: Callers,
    *,
    spiffe_id: str | None,
    authorization: str | None,
    confidential: bool,
    base: Caller | None = None,
) -> Caller:
    """The caller behind what was shown.

    ``confidential`` says whether nobody could have listened (TLS, the Unix socket, development);
    ``base`` is who anyone on this door is before showing anything (default: a stranger).
    """
    caller = base if base is not None else callers.anonymous()
    if spiffe_id is not None:
        caller = callers.merge(caller, await callers.from_spiffe_id(spiffe_id))
    if authorization is None:
        return caller
    if not confidential:
        raise Refused(Reason.TLS_REQUIRED)
    return callers.merge(caller, callers.from_credential(authorization))


async def record_refused_caller(
    trail: Trail, caller: Caller, error: KeysteadError, *, at: str
) -> None:
    """Record what a named caller tried ``at`` an RPC or endpoint; count what a stranger did."""
    if error.reason not in _CALLER_REFUSALS:
        return
    if caller.name:
        await trail.record_caller_refusal(caller, error, at=at)
    else:
        trail.note_refusal(error)
