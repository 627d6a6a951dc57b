"""Who is at the other end of a gRPC call, as far as the transport tells."""

from __future__ import annotations

from typing import TypeVar
from urllib.parse import unquote

from grpc.aio import ServicerContext

from keystead.errors import Reason, Refused
from keystead.server.limits import rate_key

Req = TypeVar("Req")
Resp = TypeVar("Resp")
AUTHORIZATION = "authorization"
_SPIFFE_ID = "peer_spiffe_id"


def spiffe_id(context: ServicerContext[Req, Resp]) -> str | None:
    """What the client's verified certificate names: gRPC sets it where there is exactly one
    well-formed SPIFFE ID among its URI names."""
    names = [bytes(name) for name in context.auth_context().get(_SPIFFE_ID, ())]
    return names[0].decode("ascii") if len(names) == 1 else None


def address_key(context: ServicerContext[Req, Resp]) -> str:
    """What a stranger's rate is counted under; ``context.peer()`` is ``ipv4:host:port``,
    ``ipv6:%5Bhost%5D:port`` or ``unix:``."""
    family, _, rest = context.peer().partition(":")
    if family not in ("ipv4", "ipv6"):
        return family
    host, _, _port = unquote(rest).rpartition(":")
    return rate_key(host.strip("[]"))


def key(context: ServicerContext[Req, Resp]) -> str:
    """What a caller's rate and places are counted under."""
    return spiffe_id(context) or address_key(context)


def authorization(context: ServicerContext[Req, Resp]) -> str | None:
    """The ``authorization`` metadata; Refused(credential_invalid) when there are two."""
    values = [
        value
        for key, value in context.invocation_metadata() or ()
        if key == AUTHORIZATION and isinstance(value, str)
    ]
    if len(values) > 1:
        raise Refused(Reason.CREDENTIAL_INVALID)
    return values[0] if values else None
