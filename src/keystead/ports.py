"""What the outside must provide: time, chance, hardware, storage, network.

Adapters in ``hardware``, ``storage`` and ``system`` implement these; only ``app.py`` joins them
to the stages. Every method that waits is a coroutine and has a deadline of its own; what it raises
is from :mod:`keystead.errors`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from keystead.model import (
    AuditEvent,
    BoundKey,
    ChainedEvent,
    Checkpoint,
    EkId,
    EnrolledHost,
    Grant,
    GrantId,
    Jkt,
    KeptEvidence,
    KeyPurpose,
    KeyState,
    Kid,
    RegistrationEntry,
    ResultId,
    SigningKey,
    SpiffeId,
    WrappedKey,
)
from keystead.operations import (
    Operation,
)


class Clock(Protocol):
    """The only source of time."""

    def now(self) -> int:
        """Unix seconds."""
        ...


class Entropy(Protocol):
    """The only source of chance, from the operating system."""

    def token(self, size_bytes: int) -> bytes:
        """That many unpredictable bytes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Endorsement:
    """A TPM's endorsement key: ``public`` is its TPM2B_PUBLIC, certificates are DER."""

    public: bytes
    certificate: bytes | None
    chain: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """A signed TPMS_ATTEST: ``attest`` is its bytes, ``signature`` a TPMT_SIGNATURE."""

    attest: bytes
    signature: bytes


class SigningHardware(Protocol):
    """A TPM that holds the issuer's keys. Raises Unavailable when it is away or too slow."""

    async def endorsement(self) -> Endorsement:
        """The EK and its certificate."""
        ...

    async def create_attestation_key(self) -> WrappedKey:
        """A restricted signing key of this TPM."""
        ...

    async def create_signing_key(self, algorithm: str) -> WrappedKey:
        """A non-exportable unrestricted signing key: ``ES256`` or ``RS256``."""
        ...

    async def sign(self, key: WrappedKey, digest: bytes) -> bytes:
        """A JOSE signature (RFC 7518 §3.3, §3.4) over a SHA-256 digest."""
        ...

    async def certify(
        self, key: WrappedKey, *, attestation_key: WrappedKey, qualifying_data: bytes
    ) -> Attestation:
        """TPM2_Certify (TPM 2.0 Part 3 §18.2) of ``key`` by ``attestation_key``."""
        ...

    async def activate_credential(
        self, attestation_key: WrappedKey, *, credential_blob: bytes, encrypted_secret: bytes
    ) -> bytes:
        """TPM2_ActivateCredential (Part 3 §12.5); Refused if the credential is not for them."""
        ...

    async def increment_counter(self) -> int:
        """Add one to this installation's NV counter and return its value."""
        ...

    async def read_counter(self) -> int:
        """The NV counter's value, 0 if it was never incremented."""
        ...


class EventChain(Protocol):
    """How events are chained; the store calls it inside its transaction."""

    def link(self, previous: ChainedEvent | None, event: AuditEvent) -> ChainedEvent:
        """The event as it follows ``previous``."""
        ...


class Store(Protocol):
    """The system of record. A reply leaves only after its unit of work is durable."""

    async def apply(
        self, operations: Sequence[Operation], *, events: Sequence[AuditEvent]
    ) -> tuple[ChainedEvent, ...]:
        """Run all operations and append all events in one durable transaction, or do nothing.

        Raises Replayed, Conflict, NotFound or Refused as the operation documents; Unavailable
        (store_unavailable, audit_unavailable) when it cannot be made durable.
        """
        ...

    async def seen(self, space: str, key: bytes) -> bool:
        """Whether ``UseOnce`` would refuse: an early look that saves a signature, never the
        decision."""
        ...

    async def counter(self, key: bytes) -> int | None:
        """What ``RaiseCounter`` set last; to look at early, never the decision."""
        ...

    async def binding(self, jkt: Jkt) -> BoundKey | None: ...

    async def bindings(
        self, *, live_at: int, after: str = "", limit: int = 500
    ) -> tuple[BoundKey, ...]:
        """Bindings that have not ended at ``live_at``, by their ``jkt``, a page above ``after``."""
        ...

    async def evidence(self, jkt: Jkt) -> KeptEvidence | None:
        """What ``jkt`` was bound by last; None where it was not kept, or the binding is over."""
        ...

    async def device(self, id: str) -> KeptEvidence | None:
        """The attestation of a device's key."""
        ...

    async def result(self, id: ResultId) -> str | None:
        """The EAR JWT, or None when unknown or expired."""
        ...

    async def host(self, ek: EkId) -> EnrolledHost | None: ...

    async def host_named(self, spiffe_id: SpiffeId) -> EnrolledHost | None:
        """As ``host``, by the name that it was enrolled under, which no two hosts share."""
        ...

    async def hosts(self) -> tuple[EnrolledHost, ...]: ...

    async def entries(
        self, *, ek: EkId | None = None, parent: SpiffeId | None = None
    ) -> tuple[RegistrationEntry, ...]:
        """Entries, oldest first, narrowed to an EK or to what one host parents."""
        ...

    async def entries_without_host(self) -> tuple[RegistrationEntry, ...]:
        """Entries of workloads whose evidence is not a TPM's, oldest first."""
        ...

    async def entry(self, id: str) -> RegistrationEntry | None: ...

    async def grant(self, id: GrantId) -> Grant | None: ...

    async def grant_by_handle(self, handle_hash: bytes) -> Grant | None: ...

    async def grants(
        self, *, sub: str | None = None, agent: SpiffeId | None = None, limit: int = 1000
    ) -> tuple[Grant, ...]:
        """Grants, newest first."""
        ...

    async def key(self, kid: Kid) -> SigningKey | None: ...

    async def keys(
        self, *, purpose: KeyPurpose | None = None, state: KeyState | None = None
    ) -> tuple[SigningKey, ...]:
        """Signing keys, oldest first."""
        ...

    async def events(self, *, after: int = 0, limit: int = 1000) -> tuple[ChainedEvent, ...]:
        """Audit events with a sequence above ``after``, in order."""
        ...

    async def last_event(self) -> ChainedEvent | None: ...

    async def last_checkpoint(self) -> Checkpoint | None: ...

    async def checkpoints(self) -> tuple[Checkpoint, ...]: ...

    async def fact(self, name: str) -> bytes | None: ...

    async def close(self) -> None:
        """Finish what was accepted, then close."""
        ...


class DocumentSource(Protocol):
    """Where a JWKS comes from: a URL or a file."""

    async def fetch(self, location: str, *, max_bytes: int, timeout_s: float) -> bytes:
        """The document's bytes; Unavailable (keys_unavailable) when it cannot be had."""
        ...


class KeySource(Protocol):
    """An external issuer's public keys, cached with a maximum age."""

    async def key_set(self, *, kid: str | None) -> Mapping[str, object]:
        """The issuer's JWKS as parsed JSON, refreshed at most once a minute for an unknown kid."""
        ...
