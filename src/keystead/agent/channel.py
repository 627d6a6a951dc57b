"""The gRPC channel to a service, and its refusals as the errors that they were."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Final

import grpc

from keystead.errors import (
    ConfigurationError,
    Conflict,
    EvidenceRejected,
    KeysteadError,
    Malformed,
    NotFound,
    Reason,
    Refused,
    Unavailable,
)

# Longest pause that a server may ask for and get.
MAX_RETRY_AFTER_S: Final = 3_600

_CLASSES: Final[dict[grpc.StatusCode, type[KeysteadError]]] = {
    grpc.StatusCode.INVALID_ARGUMENT: Malformed,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: Conflict,
}
_AWAY: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.CANCELLED,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificate:
    """What a host shows a server that wants mTLS: PEM, the chain and its private key."""

    chain: bytes
    private_key: bytes = field(repr=False)


def open_channel(
    server: str, *, ca: bytes | None = None, certificate: ClientCertificate | None = None
) -> grpc.Channel:
    """A channel to ``HOST:PORT`` or ``unix:PATH``.

    With ``ca`` (PEM) over TLS to a server under that CA; without, over TLS to a server under a
    public CA, and in the clear only to a Unix socket or a loopback address. ``certificate`` is
    for servers that ask for one, and only over TLS.

    Raises:
        ConfigurationError: ``server`` is neither form.
    """
    if server.startswith("unix:") and ca is None:
        return grpc.insecure_channel(server)
    host, _, port = server.rpartition(":")
    if not host or not port.isdigit():
        raise ConfigurationError(
            Reason.CONFIGURATION_INVALID, f"server {server!r}: expected HOST:PORT or unix:PATH"
        )
    if ca is None and certificate is None and is_loopback(host):
        return grpc.insecure_channel(server)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=ca,
        private_key=certificate.private_key if certificate else None,
        certificate_chain=certificate.chain if certificate else None,
    )
    return grpc.secure_channel(server, credentials)


def is_loopback(host: str) -> bool:
    """Whether nothing sent to ``host`` leaves this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def from_rpc(error: grpc.RpcError) -> KeysteadError:
    """The error behind a status and its trailing metadata ``keystead-reason``, ``keystead-step``.

    A refusal with the number of a check is EvidenceRejected; without one, Refused.
    """
    trailing = {entry.key: entry.value for entry in error.trailing_metadata() or ()}
    code = error.code()
    step = _number(trailing.get("keystead-step"))
    try:
        reason = Reason(str(trailing.get("keystead-reason", "")))
    except ValueError:
        return Unavailable(Reason.SERVER_UNAVAILABLE, f"{code.name}: {error.details()}")
    if code in _AWAY:
        wait_s = _number(trailing.get("keystead-retry-after-s"))
        return Unavailable(reason, "said by the server", step=step, retry_after_s=wait_s or 1)
    rejected = EvidenceRejected if step is not None else Refused
    return _CLASSES.get(code, rejected)(reason, "said by the server", step=step)


def _number(value: str | bytes | None) -> int | None:
    text = value if isinstance(value, str) else ""
    return min(int(text), MAX_RETRY_AFTER_S) if text.isdecimal() and len(text) < 10 else None
