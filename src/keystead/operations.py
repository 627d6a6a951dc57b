"""What a store can be asked to change: values that run in one transaction.

    await store.apply([UseOnce(…), BindKey(…)], events=[…])

A unit of work is a list of these and the audit events they cause: all of it is durable, or nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from keystead.model import (
    BoundKey,
    Checkpoint,
    EkId,
    EnrolledHost,
    Grant,
    GrantId,
    Jkt,
    KeptEvidence,
    KeyState,
    Kid,
    RegistrationEntry,
    ResultId,
    SigningKey,
    SpiffeId,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UseOnce:
    """Remember ``key`` in ``space`` until ``until``; Replayed if it is there already.

    Spaces: ``proof`` (DPoP jti), ``challenge`` (attestation nonce), ``handover`` (token jti),
    ``oidc`` (a workload's token that answers no challenge).
    ``key`` starts with a big-endian time so that rows stay near each other (notes: SQLite).
    """

    space: str
    key: bytes
    until: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PutResult:
    """Store an attestation result (the EAR JWT) under its hash."""

    id: ResultId
    jwt: str
    spiffe_id: SpiffeId
    issued_at: int
    expires_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BindKey:
    """Store or renew a binding; Conflict if its ``jkt`` has another SPIFFE ID, Refused
    (no_registration_entry) if its entry is gone or pins another EK now."""

    key: BoundKey


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepEvidence:
    """Keep what ``jkt`` was bound by, in place of what was kept before, until ``until``; None where
    it must not be kept: then nothing is."""

    jkt: Jkt
    evidence: KeptEvidence | None
    until: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepDevice:
    """Keep the attestation of a device's key, on which its later assertions rely."""

    device: str
    evidence: KeptEvidence


@dataclass(frozen=True, slots=True, kw_only=True)
class EndBinding:
    """Remove the binding of ``jkt`` and its evidence, and revoke the grants of that key with all
    below them. A key that is not bound changes nothing."""

    jkt: Jkt
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolHost:
    """Conflict if the EK or the SPIFFE ID is taken by another host."""

    host: EnrolledHost


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveHost:
    """Remove a host, its entries and their bindings, and revoke their grants; NotFound."""

    ek: EkId
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PutEntry:
    """Conflict if the id exists with other content, NotFound if an EK that it pins is not
    enrolled."""

    entry: RegistrationEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveEntry:
    """Remove an entry and its bindings, and revoke their grants; NotFound."""

    id: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PutGrant:
    """Conflict if the grant's id or handle exists; Refused if its parent is revoked, or
    (limit_exceeded) if its key has too many live grants of this user."""

    grant: Grant


@dataclass(frozen=True, slots=True, kw_only=True)
class RequireLiveGrant:
    """Refused (grant_revoked) unless the grant is live when this unit commits: closes the race
    between a renewal and a revocation."""

    id: GrantId
    now: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RequireLiveBinding:
    """Refused (key_not_bound) unless ``jkt`` is bound to ``spiffe_id`` when this unit commits."""

    jkt: Jkt
    spiffe_id: SpiffeId
    now: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeGrant:
    """Revoke a grant and every grant below it; NotFound. Revoking twice changes nothing."""

    id: GrantId
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegation:
    """A user, an agent and an API: what a grant is about, whichever grant it is."""

    subject_issuer: str
    sub: str
    agent: SpiffeId
    audience: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefuseEarlierSubjects:
    """From now on the user's tokens issued until ``at`` start nothing of this delegation: a
    revoked grant cannot be had again with the token that it came from."""

    delegation: Delegation
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RequireLaterSubject:
    """Refused (grant_revoked) if the delegation was revoked at or after ``issued_at``."""

    delegation: Delegation
    issued_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PutKey:
    """Store a signing key; Conflict if its kid exists."""

    key: SigningKey


@dataclass(frozen=True, slots=True, kw_only=True)
class SetKeyState:
    """Move a key forward (pending → active → retired); Conflict on any other move."""

    kid: Kid
    state: KeyState
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PutCheckpoint:
    """Store a signed checkpoint; Conflict if it is not ahead of the last one."""

    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class PutFact:
    """Remember a small named fact of this installation (AK blob, policy versions)."""

    name: str
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RaiseCounter:
    """Set the counter of ``key`` to ``value``; Replayed (counter_not_rising) unless it was lower,
    or not there. ``key`` is what a device signs with, ``value`` 0 at its attestation."""

    key: bytes
    value: int


Operation = (
    UseOnce
    | RaiseCounter
    | PutResult
    | BindKey
    | KeepEvidence
    | KeepDevice
    | EndBinding
    | EnrolHost
    | RemoveHost
    | PutEntry
    | RemoveEntry
    | PutGrant
    | RequireLiveGrant
    | RequireLiveBinding
    | RevokeGrant
    | RefuseEarlierSubjects
    | RequireLaterSubject
    | PutKey
    | SetKeyState
    | PutCheckpoint
    | PutFact
)
