"""The use cases over a real store and a TPM of software keys: all that a service is, less doors.

async with installation(tmp_path) as it:
    agent = await it.agent()              # enrolled, registered, attested
    issued = await it.exchange(agent)     # a delegated token for alice
"""

import hashlib
import json
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keystead.app.wiring import evidence_keys
from keystead.audit import HashChain, RefusalAggregator
from keystead.delegation.policy import DelegationPolicy
from keystead.errors import Reason, Unavailable
from keystead.evidence.key_proof import key_proof_signing_input
from keystead.identity.subject_claims import TokenType
from keystead.issuance.request import REFRESH_GRANT, TOKEN_EXCHANGE_GRANT
from keystead.jose import dpop, jws
from keystead.model import (
    AuditAction,
    AuditEvent,
    ChainedEvent,
    IssuedToken,
    RegistrationEntry,
    SignerTier,
    SpiffeId,
)
from keystead.operations import (
    Operation,
)
from keystead.relying import ReplayMemory
from keystead.service.affirmation import Outcome
from keystead.service.attestation import Attestations, Session
from keystead.service.callers import Callers, Operator
from keystead.service.grants import Grants
from keystead.service.health import Health
from keystead.service.identity import Identities
from keystead.service.keyring import Keyring
from keystead.service.keys import Keys
from keystead.service.presenter import Presenters
from keystead.service.roles import Caller, Role
from keystead.service.subject_keys import SubjectKeys
from keystead.service.tokens import Subjects, Tokens
from keystead.service.trail import Trail
from keystead.service.verification import Verifications
from keystead.storage.sqlite.store import SqliteStore
from tests import exchange_parts as parts
from tests.evidence_builder import Host, appraisal_policy, document
from tests.exchange_parts import AGENT, API, IDP, ISSUER, NOW
from tests.jose_keys import signature
from tests.software_hardware import SoftwareTpm

TRUST_DOMAIN = "example.org"
HOST_ID = SpiffeId("spiffe://example.org/host/1")
PUBLISH_AHEAD_S = 600
CHALLENGE_TTL_S = 60
BINDING_TTL_S = 3_600
MAX_ITEMS = 8
TOKEN_URL = f"{ISSUER}/token"
REVOKE_URL = f"{ISSUER}/revoke"

OPERATOR_CREDENTIAL = "kso_" + "o" * 43
SOCKET = Caller(name="admin-socket", roles=frozenset({Role.ADMIN_SOCKET}))
OLGA = Caller(name="olga", roles=frozenset({Role.OPERATOR}))
ADAM = Caller(name="adam", roles=frozenset({Role.ADMINISTRATOR}))
ISSUER_ID = SpiffeId("spiffe://example.org/issuer")
DELEGATE = Caller(name=ISSUER_ID, spiffe_id=ISSUER_ID, roles=frozenset({Role.ISSUER}))
API_CALLER = Caller(name="api", roles=frozenset({Role.RELYING_PARTY}))
HOST_CALLER = Caller(name=HOST_ID, spiffe_id=HOST_ID, roles=frozenset({Role.HOST}))


class Clock:
    """Time that stands still until it is moved."""

    def __init__(self, at: int = NOW) -> None:
        self.at = at

    def now(self) -> int:
        return self.at


class Chance:
    """Entropy as the operating system gives it."""

    def token(self, size_bytes: int) -> bytes:
        return secrets.token_bytes(size_bytes)


class UnreliableStore:
    """A real store that refuses the units of work that ``fails`` names, as a full disk would.

    ``writes`` lists the actions of the events of every unit that was tried.
    """

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.fails: Callable[[Sequence[AuditEvent]], bool] = lambda events: False
        self.writes: list[tuple[AuditAction, ...]] = []

    async def apply(
        self, operations: Sequence[Operation], *, events: Sequence[AuditEvent]
    ) -> tuple[ChainedEvent, ...]:
        self.writes.append(tuple(event.action for event in events))
        if self.fails(events):
            raise Unavailable(Reason.AUDIT_UNAVAILABLE, "disk full")
        return await self._store.apply(operations, events=events)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class Provider:
    """An identity provider's key document; ``away`` or ``document`` say what a fetch gets."""

    def __init__(self, document: bytes) -> None:
        self.document = document
        self.away = False
        self.fetches = 0

    async def fetch(self, location: str, *, max_bytes: int, timeout_s: float) -> bytes:
        self.fetches += 1
        if self.away:
            raise Unavailable(Reason.KEYS_UNAVAILABLE, location)
        return self.document


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """A workload with a key in its host's TPM."""

    id: SpiffeId
    host: Host
    entry: RegistrationEntry | None = None

    @property
    def jkt(self) -> str:
        return self.host.jwk.thumbprint

    def proof(self, *, url: str = TOKEN_URL, now: int = NOW, **claims: Any) -> str:
        """A DPoP proof by the agent's key; ``jti`` is new each time unless given."""
        return self._signed(
            dpop.proof_signing_input(
                self.host.jwk,
                method=claims.pop("method", "POST"),
                url=url,
                jti=claims.pop("jti", secrets.token_urlsafe(16)),
                issued_at=now,
                **claims,
            )
        )

    def key_proof(self, *, nonce: bytes, issuer: str = ISSUER) -> str:
        """The signature over an attestation's challenge."""
        return self._signed(key_proof_signing_input(self.host.jwk, issuer=issuer, nonce=nonce))

    def _signed(self, message: bytes) -> str:
        return jws.assemble(message, signature("ES256", self.host.key, message))


@dataclass(kw_only=True)
class Installation:
    """Everything behind the doors."""

    clock: Clock
    tpm: SoftwareTpm
    store: UnreliableStore
    provider: Provider
    keyring: Keyring
    trail: Trail
    attestations: Attestations
    tokens: Tokens
    grants: Grants
    keys: Keys
    identities: Identities
    callers: Callers
    verifications: Verifications
    health: Health

    async def enrol(
        self, host: Host, spiffe_id: str = HOST_ID, *, labels: Mapping[str, str] | None = None
    ) -> None:
        """Vouch for a host's EK."""
        await self.identities.enrol(
            OLGA,
            ek_public=host.ek.sized,
            ek_certificate=host.ek_certificate or b"",
            spiffe_id=spiffe_id,
            labels=labels or {},
        )

    async def register(self, spiffe_id: str = AGENT, **changes: Any) -> RegistrationEntry:
        """A registration entry under an enrolled host."""
        wanted: dict[str, Any] = {
            "parent": HOST_ID,
            "kind": "tpm2",
            "pcrs": {},
            "labels": {},
            "binding_ttl_s": 0,
            **changes,
        }
        return await self.identities.create_entry(OLGA, spiffe_id=spiffe_id, **wanted)

    async def agent(
        self, spiffe_id: str = AGENT, *, name: str = "host", parent: str = HOST_ID
    ) -> Agent:
        """A workload on a host of its own, attested."""
        host = Host.make(name=name)
        await self.enrol(host, parent)
        entry = await self.register(spiffe_id, parent=parent)
        agent = Agent(id=SpiffeId(spiffe_id), host=host, entry=entry)
        await self.attest(agent)
        return agent

    async def attest(self, agent: Agent, *, wanted: str = "") -> Outcome:
        """One good attestation."""
        session = self.attestations.begin("tpm2")
        secret = await self.answer(session, agent, wanted=wanted)
        return await session.finish(secret)

    async def answer(self, session: Session, agent: Agent, *, wanted: str = "") -> bytes:
        """Submit good evidence; what the host's TPM then says."""
        nonce = session.challenge.nonce
        activation = await session.submit(
            document(agent.host, nonce=nonce), proof=agent.key_proof(nonce=nonce), wanted=wanted
        )
        return agent.host.activate(activation.credential_blob, activation.encrypted_secret)

    def proof(self, agent: Agent, **changes: Any) -> str:
        """A proof for the token endpoint, now, with a nonce of this service."""
        made: dict[str, Any] = {
            "now": self.clock.at,
            "nonce": self.tokens.fresh_nonce(),
            **changes,
        }
        return agent.proof(**made)

    async def exchange(
        self, agent: Agent, token: str | None = None, *, proof: str | None = None, **changes: Any
    ) -> IssuedToken:
        """A user's token, alice's unless given, for one of the agent's own."""
        proofs = [proof or self.proof(agent)]
        return await self.tokens.exchange(
            exchange_form(token or self.user_token(), **changes), proofs=proofs
        )

    async def renew(
        self, agent: Agent, refresh_token: str | None, *, proof: str | None = None, **changes: Any
    ) -> IssuedToken:
        """A renewal of a grant by its handle."""
        assert refresh_token is not None
        form = {"grant_type": REFRESH_GRANT, "refresh_token": refresh_token, **changes}
        return await self.tokens.exchange(list(form.items()), proofs=[proof or self.proof(agent)])

    def user_token(self, **claims: object) -> str:
        """A token of the identity provider that is good now."""
        at = self.clock.at
        times = {"iat": at - 10, "exp": at + 3_600, "auth_time": at - 60}
        return parts.idp_token({**times, **claims})

    async def events(self, *actions: AuditAction) -> list[AuditEvent]:
        """The audit events, of some kinds only if named."""
        chained = await self.store.events(after=0, limit=1000)
        return [c.event for c in chained if not actions or c.event.action in actions]


def exchange_form(token: str, **changes: Any) -> list[tuple[str, str]]:
    """The body of an exchange; a list is a parameter that is there more than once."""
    members: dict[str, Any] = {
        "grant_type": TOKEN_EXCHANGE_GRANT,
        "subject_token": token,
        "subject_token_type": TokenType.ACCESS_TOKEN.value,
        "audience": API,
        "scope": "read",
        **changes,
    }
    return [
        (name, each)
        for name, value in members.items()
        for each in (value if isinstance(value, list) else [value])
        if each is not None
    ]


def idp_document() -> bytes:
    """The identity provider's JWK Set."""
    return json.dumps({"keys": [key.to_dict() for key in parts.IDP_KEYS]}).encode()


@asynccontextmanager
async def installation(
    folder: Path,
    *,
    tpm: SoftwareTpm | None = None,
    clock: Clock | None = None,
    opened: bool = True,
    **changes: Any,
) -> AsyncIterator[Installation]:
    """An installation whose state is in ``folder``; ``changes`` are arguments of ``wire``."""
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    store = SqliteStore.open(folder / "keystead.sqlite3", chain=HashChain())
    try:
        made = wire(UnreliableStore(store), tpm or SoftwareTpm(), clock or Clock(), **changes)
        if opened:
            await made.trail.open()
            await made.keyring.open()
            await made.trail.resume()
            await made.trail.seal_first()
        yield made
    finally:
        await store.close()


def wire(
    store: UnreliableStore,
    tpm: SoftwareTpm,
    clock: Clock,
    *,
    delegation: str = parts.POLICY,
    token_algorithm: str = "ES256",
    appraisal: Any = None,
) -> Installation:
    """The use cases on these parts."""
    chance = Chance()
    provider = Provider(idp_document())
    keyring = Keyring(
        store=store,
        hardware=tpm,
        clock=clock,
        entropy=chance,
        tier=SignerTier.EMULATED_TPM,
        token_algorithm=token_algorithm,
        publish_ahead_s=PUBLISH_AHEAD_S,
    )
    trail = Trail(
        issuer=ISSUER,
        store=store,
        hardware=tpm,
        keyring=keyring,
        clock=clock,
        refusals=RefusalAggregator(),
    )
    presenters = Presenters(store=store, clock=clock, entropy=chance)
    subject_keys = SubjectKeys(
        location="https://idp.example/jwks", source=provider, clock=clock, max_age_s=300
    )
    return Installation(
        clock=clock,
        tpm=tpm,
        store=store,
        provider=provider,
        keyring=keyring,
        trail=trail,
        attestations=Attestations(
            issuer=ISSUER,
            policy=appraisal or appraisal_policy(),
            store=store,
            keyring=keyring,
            trail=trail,
            keys=evidence_keys(appraisal or appraisal_policy(), source=provider, clock=clock),
            clock=clock,
            entropy=chance,
            challenge_ttl_s=CHALLENGE_TTL_S,
        ),
        tokens=Tokens(
            issuer=ISSUER,
            policy=DelegationPolicy.parse(delegation),
            audiences=parts.AUDIENCES,
            subjects=Subjects(
                issuers={IDP: parts.SUBJECT_ISSUER}, keys={IDP: subject_keys}, actor_keys=None
            ),
            store=store,
            keyring=keyring,
            presenters=presenters,
            trail=trail,
            clock=clock,
            entropy=chance,
        ),
        grants=Grants(
            issuer=ISSUER,
            store=store,
            keyring=keyring,
            presenters=presenters,
            trail=trail,
            clock=clock,
        ),
        keys=Keys(issuer=ISSUER, keyring=keyring, hardware=tpm, store=store, clock=clock),
        identities=Identities(
            trust_domain=TRUST_DOMAIN,
            store=store,
            clock=clock,
            default_binding_ttl_s=BINDING_TTL_S,
        ),
        callers=Callers(
            store=store,
            operators=[
                Operator(
                    name="olga",
                    role=Role.OPERATOR,
                    credential_sha256=hashlib.sha256(OPERATOR_CREDENTIAL.encode()).digest(),
                )
            ],
            identities={ISSUER_ID: Role.ISSUER},
            anonymous_roles=frozenset(),
        ),
        verifications=Verifications(
            issuer=ISSUER,
            keyring=keyring,
            clock=clock,
            max_items=MAX_ITEMS,
            replay=ReplayMemory(capacity=1_000, not_before=clock.now() - 600),
        ),
        health=Health(store=store, hardware=tpm, development=True),
    )
