"""From a configuration to the use cases: the only module that joins ports to adapters."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog

from keystead.app import settings
from keystead.app.background import background
from keystead.appraisal.issuer_keys import KeySource
from keystead.appraisal.maa_keys import parse_maa_keys
from keystead.appraisal.policy import AppraisalPolicy, load_policy
from keystead.appraisal.policy_files import policy_digest
from keystead.audit import HashChain, RefusalAggregator
from keystead.config import Config
from keystead.delegation.policy import DelegationPolicy
from keystead.errors import ConfigurationError, KeysteadError, Reason
from keystead.hardware.tpm2 import Tpm2Device
from keystead.jose.jwk import JwkSet, parse_set
from keystead.model import (
    AuditAction,
    AuditEvent,
    SignerTier,
)
from keystead.operations import (
    PutFact,
)
from keystead.ports import Clock, DocumentSource
from keystead.relying.replay import ReplayMemory
from keystead.service import UseCases, reappraisal
from keystead.service.attestation import Attestations
from keystead.service.callers import Callers, new_credential
from keystead.service.evidence_keys import EvidenceKeys
from keystead.service.grants import Grants
from keystead.service.health import Health
from keystead.service.identity import Identities
from keystead.service.keyring import Keyring
from keystead.service.keys import Keys
from keystead.service.presenter import Presenters
from keystead.service.subject_keys import SubjectKeys
from keystead.service.tokens import Subjects, Tokens
from keystead.service.trail import Trail
from keystead.service.verification import Verifications
from keystead.storage.sqlite.reader import SqliteReader
from keystead.storage.sqlite.store import SqliteStore
from keystead.system.clock import SystemClock
from keystead.system.documents import Documents, check_location
from keystead.system.entropy import SystemEntropy

log = structlog.get_logger("keystead")

STORE_FILE = "keystead.sqlite3"
VERIFICATION_REPLAY_CAPACITY = 1 << 18
"""Proofs that VerificationService remembers: 2,000 a second for their window of two minutes."""
POLICY_DIGEST_CHARS = 16
"""Enough to tell two versions of one file apart in the audit trail."""
FACT_APPRAISAL_POLICY = "policy.appraisal"
FACT_DELEGATION_POLICY = "policy.delegation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """The two policies, read and checked."""

    appraisal: AppraisalPolicy
    appraisal_digest: str
    """Of the file and all that it names: a change, also where nobody counted the version up."""
    delegation: DelegationPolicy

    @property
    def appraisal_version(self) -> str:
        """``id@version`` and the digest."""
        return f"{self.appraisal.name} {self.appraisal_digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Everything that runs behind the doors."""

    use_cases: UseCases
    keyring: Keyring
    trail: Trail
    config: Config
    queue_depth: Callable[[], int]
    broken: asyncio.Future[KeysteadError]
    """Done when the service must not go on."""


def load_policies(config: Config, *, base: Path) -> Policies:
    """Read the policy files; ConfigurationError names the file and the entry."""
    path = base / config.delegation.policy
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(Reason.CONFIGURATION_INVALID, f"{path}: {error}") from None
    appraisal, digest = _appraisal(base / config.attestation.policy)
    return Policies(
        appraisal=appraisal,
        appraisal_digest=digest[:POLICY_DIGEST_CHARS],
        delegation=DelegationPolicy.parse(text),
    )


def _appraisal(path: Path) -> tuple[AppraisalPolicy, str]:
    """The policy and its digest, which is recorded as what bindings were asked by: of one state of
    its files, or the next start would not ask again."""
    digest = policy_digest(path)
    policy = load_policy(path)
    if policy_digest(path) != digest:
        raise ConfigurationError(Reason.CONFIGURATION_INVALID, f"{path}: changed as it was read")
    return policy, digest


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
            owner_auth=_password(base, config.tpm2.owner_auth_file),
            endorsement_auth=_password(base, config.tpm2.endorsement_auth_file),
        )
        stack.callback(device.close)
        tier = await _tier(config, device)
        service = _wire(config, policies, store, device, base=base, tier=tier)
        await service.keyring.check_tpm()
        await service.trail.open()
        await service.keyring.open()
        await service.trail.resume()
        await _reappraise(config, policies, store)
        await _record_start(config, policies, store)
        await service.trail.seal_first()

        def stop(error: KeysteadError) -> None:
            if not service.broken.done():
                service.broken.set_result(error)

        async with background(service.keyring, service.trail, config.audit, stop=stop):
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
            keys=evidence_keys(policies.appraisal, source=Documents(), clock=clock),
            clock=clock,
            entropy=entropy,
            challenge_ttl_s=config.attestation.challenge_ttl_s,
        ),
        tokens=Tokens(
            issuer=config.issuer,
            policy=policies.delegation,
            audiences=settings.audiences(config),
            subjects=_subjects(config, base),
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
            trust_domain=settings.trust_domain(config),
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
        broken=asyncio.get_running_loop().create_future(),
    )


def _password(base: Path, name: str | None) -> bytes:
    """A TPM hierarchy's password from its file, without the line's end; empty without a file."""
    if name is None:
        return b""
    path = base / name
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigurationError(
                Reason.PERMISSIONS_TOO_OPEN, f"{path}: open to other users, expected mode 0600"
            )
        return path.read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise ConfigurationError(
            Reason.CONFIGURATION_INVALID, f"{path}: {error.strerror}"
        ) from None


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


def _callers(config: Config, store: SqliteStore) -> Callers:
    return Callers(
        store=store,
        operators=settings.operators(config),
        identities=settings.identities(config),
        anonymous_roles=settings.anonymous_roles(config),
    )


def evidence_keys(policy: AppraisalPolicy, *, source: DocumentSource, clock: Clock) -> EvidenceKeys:
    """Where the keys of those whose tokens are evidence are, as far as they stand at an URL."""
    sources: dict[str, SubjectKeys] = {}
    issuers = () if policy.oidc is None else policy.oidc.issuers.values()
    for issuer in issuers:
        _add_source(sources, issuer.issuer, issuer.keys, parse_set, source, clock)
    instances = () if policy.maa is None else policy.maa.instances.values()
    for instance in instances:
        _add_source(sources, instance.issuer, instance.keys, parse_maa_keys, source, clock)
    return EvidenceKeys(sources)


def _add_source(
    sources: dict[str, SubjectKeys],
    issuer: str,
    keys: KeySource,
    parse: Callable[[bytes], JwkSet],
    source: DocumentSource,
    clock: Clock,
) -> None:
    if keys.url is not None:
        check_location(keys.url)
        sources[issuer] = SubjectKeys(
            location=keys.url, source=source, clock=clock, max_age_s=keys.max_age_s, parse=parse
        )


def _subjects(config: Config, base: Path) -> Subjects:
    def keys(location: settings.KeyLocation) -> SubjectKeys:
        check_location(location.where)
        return SubjectKeys(
            location=location.where,
            source=Documents(),
            clock=SystemClock(),
            max_age_s=location.max_age_s,
        )

    actors = settings.actor_key_location(config, base)
    return Subjects(
        issuers={i.issuer: settings.subject_issuer(i) for i in config.subject_issuers},
        keys={
            i.issuer: keys(settings.subject_key_location(i, base)) for i in config.subject_issuers
        },
        actor_keys=None if actors is None else keys(actors),
    )


async def _record_start(config: Config, policies: Policies, store: SqliteStore) -> None:
    """The start, and each policy that is not the one of the last start."""
    now = SystemClock().now()
    versions = {
        FACT_APPRAISAL_POLICY: policies.appraisal_version,
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


async def _reappraise(config: Config, policies: Policies, store: SqliteStore) -> None:
    """Before anybody is answered: bindings that a new policy does not carry end.

    The new version is recorded after this, so that a start that was cut short asks again.
    """
    if await store.fact(FACT_APPRAISAL_POLICY) == policies.appraisal_version.encode():
        return
    policy = policies.appraisal
    log.info("the appraisal policy changed: its evidence is appraised again", policy=policy.name)
    counts = await reappraisal.apply(
        store, policy=policy, issuer=config.issuer, clock=SystemClock()
    )
    log.info("appraised again", **{outcome.name.lower(): n for outcome, n in counts.items()})


def new_operator() -> tuple[str, str]:
    """A fresh operator credential, and the hex SHA-256 that the configuration holds."""
    return new_credential(SystemEntropy())


def look_again(
    config: Config, policy: AppraisalPolicy, *, base: Path, now: int
) -> Iterator[reappraisal.Verdict]:
    """What ``policy`` would make of the bindings in the state of ``config``, which may be in use;
    nothing is changed. Unavailable or ConfigurationError where there is no such state."""
    reader = SqliteReader.open(base / config.storage.folder / STORE_FILE)
    with contextlib.closing(reader):
        yield from reappraisal.look(reader, policy=policy, issuer=config.issuer, now=now)
