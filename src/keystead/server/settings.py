"""What ``app.py`` tells the doors; read from the configuration, which the doors do not know."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from keystead.server.limits import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """PEM files. With ``client_ca`` a gRPC client must, and an HTTP client may, show a certificate
    under it."""

    certificate: Path
    private_key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Where a door listens; port 0 lets the system choose."""

    host: str = "127.0.0.1"
    port: int = 0
    tls: TlsFiles | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorSettings:
    """Both doors and the administration socket."""

    http: Listener = field(default_factory=Listener)
    grpc: Listener = field(default_factory=Listener)
    admin_socket: Path | None = None
    limits: Limits = field(default_factory=Limits)
    drain_s: int = 10
    """How long requests in flight may take to finish once a stop was asked for."""
    development: bool = False
    """Whether plaintext listeners, and operator credentials over them, are allowed."""
