"""The composition root: from a configuration to a running service.

The only module that joins ports to adapters. ``serve`` is the life of one service process.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path

import structlog
import uvloop

from keystead.appraisal.policy import AppraisalPolicy, load_policy
from keystead.audit import HashChain, RefusalAggregator
from keystead.codec import json
from keystead.config import Config, ListenerConfig, SubjectIssuerConfig
from keystead.delegation.audiences import Audience, Audiences
from keystead.delegation.policy import DelegationPolicy
from keystead.errors import ConfigurationError, KeysteadError, Reason
from keystead.hardware.tpm2 import Tpm2Device
from keystead.identity.federation import SubjectIssuer
from keystead.identity.spiffe import parse_spiffe_id
from keystead.identity.subject_claims import TokenType
from keystead.model import AuditAction, AuditEvent, PutFact, SignerTier
from keystead.ports import Clock
from keystead.relying.replay import ReplayMemory
from keystead.server.limits import Limits
from keystead.server.run import Doors
from keystead.server.settings import DoorSettings, Listener, TlsFiles
from keystead.service import UseCases
from keystead.service.attestation import Attestations
from keystead.service.callers import Callers, Operator, new_credential
from keystead.service.grants import Grants
from keystead.service.health import Health
from keystead.service.identity import Identities
from keystead.service.keyring import Keyring
from keystead.service.keys import Keys
from keystead.service.presenter import Presenters
from keystead.service.roles import Role
from keystead.service.subject_keys import SubjectKeys
from keystead.service.tokens import Subjects, Tokens
from keystead.service.trail import Trail
from keystead.service.verification import Verifications
from keystead.storage.sqlite.store import SqliteStore
from keystead.system.clock import SystemClock
from keystead.system.documents import Documents, check_location
from keystead.system.entropy import SystemEntropy

log = structlog.get_logger("keystead")

Task = Callable[[], Coroutine[None, None, None]]

STORE_FILE = "keystead.sqlite3"
ADMIN_SOCKET = "admin/keystead.sock"
KEY_ROTATION_LOOK_S = 10
"""How often pending keys are looked at; they wait for hours."""
VERIFICATION_REPLAY_CAPACITY = 1 << 18
"""Proofs that VerificationService remembers: 2,000 a second for their window of two minutes."""
ACTOR_KEYS_MAX_AGE_S = 300
"""SPIFFE bundles name a refresh hint of this order."""
FACT_APPRAISAL_POLICY = "policy.appraisal"
FACT_DELEGATION_POLICY = "policy.delegation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """The two policies, read and checked."""

    appraisal: AppraisalPolicy
    delegation: DelegationPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Everything that runs behind the doors."""

    use_cases: UseCases
    keyring: Keyring
    trail: Trail
    config: Config
    queue_depth: Callable[[], int]


def load_policies(config: Config, *, base: Path) -> Policies:
    """Read the policy files; ConfigurationError names the file and the entry."""
    path = base / config.delegation.policy
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(Reason.CONFIGURATION_INVALID, f"{path}: {error}") from None
    return Policies(
        appraisal=load_policy(base / config.attestation.policy),
        delegation=DelegationPolicy.parse(text),
    )


@contextlib.asynccontextmanager
async def running_service(config: Config, *, base: Path) -> AsyncIterator[Service]:
    """The service without its doors; relative paths in ``config`` are below ``base``."""
    policies = load_policies(config, base=base)
    folder = base / config.storage.folder
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    async with contextlib.AsyncExitStack() as stack:
        store = await asyncio.to_thread(SqliteStore.open, folder / STORE_FILE, chain=HashChain())
        stack.push_async_callback(store.close)
        device = Tpm2Device(
            config.tpm2.tcti,
            command_timeout_s=config.tpm2.command_timeout_ms / 1000,
            queue_limit=config.tpm2.queue_limit,
            ek_order=config.tpm2.ek_order,
            counter_index=config.tpm2.counter_index,
        )
        stack.callback(device.close)
        tier = await _tier(config, device)
        service = _wire(config, policies, store, device, base=base, tier=tier)
        await service.trail.open()
        await service.keyring.open()
        await _record_start(config, policies, store)
        async with _background(service):
            yield service


def _wire(
    config: Config,
    policies: Policies,
    store: SqliteStore,
    device: Tpm2Device,
    *,
    base: Path,
    tier: SignerTier,
) -> Service:
    clock, entropy = SystemClock(), SystemEntropy()
    keyring = Keyring(
        store=store,
        hardware=device,
        clock=clock,
        entropy=entropy,
        tier=tier,
        token_algorithm=config.keys.token_algorithm,
        publish_ahead_s=config.keys.publish_ahead_s,
    )
    trail = Trail(
        issuer=config.issuer,
        store=store,
        hardware=device,
        keyring=keyring,
        clock=clock,
        refusals=RefusalAggregator(),
    )
    presenters = Presenters(store=store, clock=clock, entropy=entropy)
    use_cases = UseCases(
        attestations=Attestations(
            issuer=config.issuer,
            policy=policies.appraisal,
            store=store,
            keyring=keyring,
            trail=trail,
            clock=clock,
            entropy=entropy,
            challenge_ttl_s=config.attestation.challenge_ttl_s,
        ),
        tokens=Tokens(
            issuer=config.issuer,
            policy=policies.delegation,
            audiences=_audiences(config),
            subjects=_subjects(config, base, clock),
            store=store,
            keyring=keyring,
            presenters=presenters,
            trail=trail,
            clock=clock,
            entropy=entropy,
        ),
        grants=Grants(
            issuer=config.issuer,
            store=store,
            keyring=keyring,
            presenters=presenters,
            trail=trail,
            clock=clock,
        ),
        keys=Keys(issuer=config.issuer, keyring=keyring, hardware=device, store=store, clock=clock),
        identities=Identities(
            trust_domain=config.trust_domain,
            store=store,
            clock=clock,
            default_binding_ttl_s=config.attestation.binding_ttl_s,
        ),
        trail=trail,
        verifications=Verifications(
            issuer=config.issuer,
            keyring=keyring,
            clock=clock,
            max_items=config.limits.batch_items,
            replay=ReplayMemory(capacity=VERIFICATION_REPLAY_CAPACITY, not_before=clock.now()),
        ),
        callers=_callers(config, store),
        health=Health(store=store, hardware=device, development=config.development),
    )
    return Service(
        use_cases=use_cases,
        keyring=keyring,
        trail=trail,
        config=config,
        queue_depth=device.queue_depth,
    )


async def _tier(config: Config, device: Tpm2Device) -> SignerTier:
    """What the TPM says it is. An honest emulator is found out here; a lying one has no EK
    certificate under a vendor's root, and ``verify-issuer`` finds that."""
    properties = await device.properties()
    if not properties.emulated:
        return SignerTier.TPM
    if not config.development:
        raise ConfigurationError(
            Reason.CONFIGURATION_INVALID,
            f"tpm2.tcti: an emulated TPM ({properties.manufacturer} {properties.vendor}) "
            "needs development = true",
        )
    return SignerTier.EMULATED_TPM


def _audiences(config: Config) -> Audiences:
    return Audiences.of(
        Audience(uri=a.uri, scopes=frozenset(a.scopes), max_lifetime_s=a.max_lifetime_s)
        for a in config.audiences
    )


def _subject_issuer(issuer: SubjectIssuerConfig) -> SubjectIssuer:
    types = {
        "access_token": TokenType.ACCESS_TOKEN,
        "id_token": TokenType.ID_TOKEN,
        "jwt": TokenType.JWT,
    }
    return SubjectIssuer(
        issuer=issuer.issuer,
        audiences=frozenset(issuer.audiences),
        clients=frozenset(issuer.clients),
        algorithms=frozenset(issuer.algorithms),
        token_types=frozenset(types[name] for name in issuer.token_types),
        max_age_s=issuer.max_age_s,
        aal_by_acr=issuer.aal,
        default_aal=issuer.default_aal,
        scopes_limit=issuer.scopes_limit,
        plain_access_token_typ=issuer.plain_access_token_typ,
    )


def _subjects(config: Config, base: Path, clock: Clock) -> Subjects:
    def keys(url: str | None, file: str | None, max_age_s: int) -> SubjectKeys:
        location = url or str(base / (file or ""))
        check_location(location)
        return SubjectKeys(location=location, source=Documents(), clock=clock, max_age_s=max_age_s)

    actors = config.delegation
    named = actors.actor_jwks_url or actors.actor_jwks_file
    return Subjects(
        issuers={i.issuer: _subject_issuer(i) for i in config.subject_issuers},
        keys={
            i.issuer: keys(i.jwks_url, i.jwks_file, i.jwks_max_age_s)
            for i in config.subject_issuers
        },
        actor_keys=keys(actors.actor_jwks_url, actors.actor_jwks_file, ACTOR_KEYS_MAX_AGE_S)
        if named
        else None,
    )


def _callers(config: Config, store: SqliteStore) -> Callers:
    authorization = config.authorization
    return Callers(
        store=store,
        operators=[
            Operator(
                name=operator.name,
                role=Role(operator.role),
                credential_sha256=bytes.fromhex(operator.credential_sha256),
            )
            for operator in authorization.operators
        ],
        identities={
            parse_spiffe_id(identity.spiffe_id): Role(identity.role)
            for identity in authorization.identities
        },
        anonymous_roles=frozenset(Role(role) for role in authorization.anonymous_roles),
    )


async def _record_start(config: Config, policies: Policies, store: SqliteStore) -> None:
    """The start, and each policy that is not the one of the last start."""
    now = SystemClock().now()
    versions = {
        FACT_APPRAISAL_POLICY: f"{policies.appraisal.id}@{policies.appraisal.version}",
        FACT_DELEGATION_POLICY: policies.delegation.version,
    }
    events = [
        AuditEvent(action=AuditAction.SERVICE_STARTED, at=now, detail={"issuer": config.issuer})
    ]
    facts = []
    for name, version in versions.items():
        before = await store.fact(name)
        if before != version.encode():
            facts.append(PutFact(name=name, value=version.encode()))
            detail: dict[str, str | int] = {"version": version, "before": (before or b"").decode()}
            events.append(
                AuditEvent(action=AuditAction.POLICY_CHANGED, at=now, object=name, detail=detail)
            )
    await store.apply(facts, events=events)


@contextlib.asynccontextmanager
async def _background(service: Service) -> AsyncIterator[None]:
    """Key rotation, checkpoints and the counts of refusals, until the service stops."""
    config = service.config
    tasks = [
        asyncio.create_task(_every(KEY_ROTATION_LOOK_S, service.keyring.advance)),
        asyncio.create_task(_every(config.audit.checkpoint_every_s, service.trail.seal_if_grown)),
        asyncio.create_task(
            _every(config.audit.aggregate_refusals_s, service.trail.flush_refusals)
        ),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for last in (service.trail.flush_refusals, service.trail.seal_if_grown):
            await _try(last)


async def _every(seconds: int, action: Task) -> None:
    while True:
        await asyncio.sleep(seconds)
        await _try(action)


async def _try(action: Task) -> None:
    """A part that is away now is asked again the next time."""
    try:
        await action()
    except KeysteadError as error:
        log.warning(
            "background task failed",
            task=getattr(action, "__qualname__", ""),
            reason=error.reason.value,
            detail=error.detail,
        )


def new_operator() -> tuple[str, str]:
    """A fresh operator credential, and the hex SHA-256 that the configuration holds."""
    return new_credential(SystemEntropy())


def serve(config: Config, *, base: Path, as_json: bool) -> int:
    """Run the service until SIGTERM or SIGINT; the exit status.

    The addresses are printed once everything listens: as JSON
    ``{"http", "grpc", "admin", "state"}``, or for a person, with a banner where the hardware is
    emulated.
    """
    _log_to_stderr()
    return uvloop.run(_serve(config, base=base, as_json=as_json))


def _log_to_stderr() -> None:
    """key=value lines on standard error: standard output belongs to the addresses."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.LogfmtRenderer(
                key_order=["timestamp", "level", "event"], bool_as_flag=False
            ),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="level=%(levelname)s %(message)s"
    )


async def _serve(config: Config, *, base: Path, as_json: bool) -> int:
    folder = base / config.storage.folder
    admin_socket = base / (config.server.admin_socket or ADMIN_SOCKET)
    if not admin_socket.parent.exists():
        admin_socket.parent.mkdir(mode=0o700)
    async with running_service(config, base=base) as service:
        doors = Doors(
            service.use_cases,
            settings=_door_settings(config, base, admin_socket),
            entropy=SystemEntropy(),
            queue_depth=service.queue_depth,
        )
        await doors.start()
        addresses = {
            "http": doors.http_address,
            "grpc": doors.grpc_address,
            "admin": str(admin_socket),
            "state": str(folder.parent if config.development else folder),
        }
        _announce(config, addresses, as_json=as_json)
        await doors.run_until_stopped()
    return 0


def _door_settings(config: Config, base: Path, admin_socket: Path) -> DoorSettings:
    limits = config.limits
    return DoorSettings(
        http=_listener(config.server.http, base),
        grpc=_listener(config.server.grpc, base),
        admin_socket=admin_socket,
        limits=Limits(
            body_bytes=limits.body_bytes,
            message_bytes=limits.message_bytes,
            batch_items=limits.batch_items,
            concurrent_requests=limits.concurrent_requests,
            concurrent_streams=limits.concurrent_streams,
            requests_per_caller_per_s=limits.requests_per_caller_per_s,
            burst_per_caller=limits.burst_per_caller,
            issuer_proofs_per_minute=limits.issuer_proofs_per_minute,
        ),
        drain_s=config.server.drain_s,
        development=config.development,
    )


def _listener(listener: ListenerConfig, base: Path) -> Listener:
    tls = listener.tls
    return Listener(
        host=listener.host,
        port=listener.port,
        tls=None
        if tls is None
        else TlsFiles(
            certificate=base / tls.certificate,
            private_key=base / tls.private_key,
            client_ca=base / tls.client_ca if tls.client_ca else None,
        ),
    )


BANNER = """\
************************************************************************
*  EMULATED HARDWARE: the keys of this service are in a software TPM.  *
*  For development and CI only. Tokens say "hardware": false.          *
************************************************************************"""


def _announce(config: Config, addresses: dict[str, str], *, as_json: bool) -> None:
    if config.development:
        print(BANNER, file=sys.stderr, flush=True)
    if as_json:
        print(json.encode(addresses).decode(), flush=True)
        return
    print(f"keystead serves {config.issuer}")
    for name, address in addresses.items():
        print(f"  {name:<6} {address}", flush=True)
