"""The listeners of the gRPC door: TCP, and the administration socket."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from keystead.errors import ConfigurationError, Reason
from keystead.protocol import keystead_v1_pb2 as pb
from keystead.protocol import keystead_v1_pb2_grpc as rpc
from keystead.server.admin_folder import check_admin_folder, check_admin_socket, owner_only
from keystead.server.grpc.attestation import AttestationServicer
from keystead.server.grpc.audit import AuditServicer
from keystead.server.grpc.calls import Registry
from keystead.server.grpc.door import Door
from keystead.server.grpc.identity import IdentityServicer
from keystead.server.grpc.keys import KeyServicer
from keystead.server.grpc.tokens import TokenServicer
from keystead.server.grpc.verification import VerificationServicer
from keystead.server.limits import MAX_GRPC_METADATA_BYTES, Limits, Places
from keystead.server.settings import Listener, TlsFiles

HEALTH_SERVICE = "grpc.health.v1.Health"
MAX_STREAMS_PER_CONNECTION = 128
"""What one connection may have running; the shared limits are far below connections × this."""
KEEPALIVE_MS = 60_000
KEEPALIVE_TIMEOUT_MS = 20_000
"""A peer that vanished holds its streams no longer than both together."""
MAX_IDLE_MS = 600_000
"""A connection without a call for ten minutes is closed."""
SPARE_RPCS = 64
"""Health watchers and reflection, beside what the limits count."""
CALL_SHARE = 4
"""One caller may hold a quarter of a listener's calls, whatever they wait for."""

Services = Sequence[str]
_SERVICES: Services = tuple(
    service.full_name for service in pb.DESCRIPTOR.services_by_name.values()
)


class GrpcServer:
    """One listener and its services."""

    def __init__(self, door: Door, *, limits: Limits) -> None:
        self._door = door
        self._health = HealthServicer()
        calls = limits.concurrent_requests + limits.concurrent_streams + SPARE_RPCS
        self._server = grpc.aio.server(options=_options(limits), maximum_concurrent_rpcs=calls)
        places = Places(calls, share=CALL_SHARE)
        registry = Registry(self._server, places=places, doors=True)
        rpc.add_AttestationServiceServicer_to_server(AttestationServicer(door), registry)
        rpc.add_KeyServiceServicer_to_server(KeyServicer(door), registry)
        rpc.add_TokenServiceServicer_to_server(TokenServicer(door), registry)
        rpc.add_VerificationServiceServicer_to_server(VerificationServicer(door), registry)
        rpc.add_IdentityServiceServicer_to_server(IdentityServicer(door), registry)
        rpc.add_AuditServiceServicer_to_server(AuditServicer(door), registry)
        standard = cast(grpc.aio.Server, Registry(self._server, places=places, doors=False))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, standard)
        names = (*_SERVICES, HEALTH_SERVICE, reflection.SERVICE_NAME)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(  # type: ignore[no-untyped-call]
            reflection.aio.ReflectionServicer(names), standard
        )

    async def start_tcp(self, listener: Listener) -> str:
        """Listen on TCP; ``host:port`` with the real port. ConfigurationError if it is taken."""
        host = f"[{listener.host}]" if ":" in listener.host else listener.host
        at = f"{host}:{listener.port}"
        try:
            if listener.tls is None:
                port = self._server.add_insecure_port(at)
            else:
                port = self._server.add_secure_port(at, _credentials(listener.tls))
        except RuntimeError as error:
            raise ConfigurationError(Reason.CONFIGURATION_INVALID, f"{at}: {error}") from None
        await self._server.start()
        await self.set_serving(True)
        return f"{host}:{port}"

    async def start_socket(self, path: Path) -> str:
        """Listen on the administration socket; ConfigurationError unless only its owner may."""
        check_admin_folder(path)
        try:
            with owner_only():
                self._server.add_insecure_port(f"unix:{path}")
        except RuntimeError as error:
            raise ConfigurationError(Reason.CONFIGURATION_INVALID, f"{path}: {error}") from None
        check_admin_socket(path)
        await self._server.start()
        await self.set_serving(True)
        return f"unix:{path}"

    async def set_serving(self, serving: bool) -> None:
        """What the health service says of every service here."""
        status = (
            health_pb2.HealthCheckResponse.SERVING
            if serving
            else health_pb2.HealthCheckResponse.NOT_SERVING
        )
        for name in ("", *_SERVICES):
            await self._health.set(name, status)

    async def stop(self, *, drain_s: float) -> None:
        """Say NOT_SERVING, end the streams, let calls finish within the drain time, close."""
        await self._health.enter_graceful_shutdown()
        self._door.end_streams()
        await self._server.stop(drain_s)


def _options(limits: Limits) -> list[tuple[str, int]]:
    return [
        # One process, one listener: two of them on one port would share it silently.
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", limits.message_bytes),
        ("grpc.max_send_message_length", limits.message_bytes),
        ("grpc.max_metadata_size", MAX_GRPC_METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", MAX_GRPC_METADATA_BYTES),
        ("grpc.max_concurrent_streams", MAX_STREAMS_PER_CONNECTION),
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.max_connection_idle_ms", MAX_IDLE_MS),
    ]


def _credentials(files: TlsFiles) -> grpc.ServerCredentials:
    try:
        key, certificate = files.private_key.read_bytes(), files.certificate.read_bytes()
        client_ca = files.client_ca.read_bytes() if files.client_ca is not None else None
    except OSError as error:
        raise ConfigurationError(
            Reason.CONFIGURATION_INVALID, f"{error.filename}: {error.strerror}"
        ) from None
    return grpc.ssl_server_credentials(
        [(key, certificate)],
        root_certificates=client_ca,
        require_client_auth=client_ca is not None,
    )
