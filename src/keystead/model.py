"""The vocabulary: the typed values that travel from stage to stage.

Everything is frozen. Times are integer Unix seconds. Identifiers that must not be swapped are
NewTypes. Nothing here does anything; ``docs/glossary.md`` explains the words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

SpiffeId = NewType("SpiffeId", str)
"""``spiffe://trust-domain/path``, already checked by ``identity.spiffe``."""

Jkt = NewType("Jkt", str)
"""RFC 7638 SHA-256 thumbprint of a public key, base64url."""

Kid = NewType("Kid", str)
ResultId = NewType("ResultId", str)
"""Base64url SHA-256 of an attestation result (the EAR JWT's bytes)."""

GrantId = NewType("GrantId", str)
EkId = NewType("EkId", str)
"""Base64url SHA-256 of the EK's SubjectPublicKeyInfo: what an enrolled host is known by."""


class EvidenceKind(StrEnum):
    """What the evidence is made of (``notes`` of every kind: ``docs/evidence/<kind>.md``)."""

    TPM2 = "tpm2"
    AWS_NITRO = "aws-nitro"
    SEV_SNP = "sev-snp"
    TDX = "tdx"
    AZURE_CVM = "azure-cvm"
    MAA = "maa"
    APP_ATTEST = "app-attest"
    OIDC = "oidc"


class Protection(StrEnum):
    """What was proved of the key. Only the first says that the key cannot leave hardware."""

    NON_EXPORTABLE = "non-exportable"
    MEASURED_CODE = "measured-code"
    NONE = "none"


class AnchorClass(StrEnum):
    """What a trust anchor vouches for; ``hardware`` is true for ``tpm`` and ``tee`` alone."""

    TPM = "tpm"
    VIRTUAL_TPM = "virtual-tpm"
    TEE = "tee"
    EMULATED = "emulated"
    IDENTITY_PROVIDER = "identity-provider"
    """Keys of an issuer of tokens: it says who a workload is, and nothing about any hardware."""

    @property
    def hardware(self) -> bool:
        """Whether keys under this anchor are in a chip or a hardware enclave."""
        return self in (AnchorClass.TPM, AnchorClass.TEE)


class OidcProfile(StrEnum):
    """Whose workload tokens they are: how their claims are read (``docs/evidence/oidc.md``)."""

    GITHUB_ACTIONS = "github-actions"
    AWS_EKS = "aws-eks"
    AWS_STS = "aws-sts"
    AZURE = "azure"
    GCP = "gcp"
    KUBERNETES = "kubernetes"
    OTHER = "other"


class Freshness(StrEnum):
    """Whether the evidence answered our challenge, or only could have been young."""

    CHALLENGED = "challenged"
    BEARER = "bearer"


class KeyPurpose(StrEnum):
    """Every issuer key has exactly one."""

    TOKEN = "token"
    SVID = "svid"
    STATUS = "status"
    EAR = "ear"
    AUDIT = "audit"
    EXTERNAL = "external"


class KeyState(StrEnum):
    """``pending`` is published but does not sign yet; ``retired`` still verifies, never signs."""

    PENDING = "pending"
    ACTIVE = "active"
    RETIRED = "retired"


class SignerTier(StrEnum):
    """Where the signing key lives; there is never a silent fall to a lower one.

    ``emulated-tpm`` is a TPM that says of itself that it is software; it serves only in
    development.
    """

    TPM = "tpm"
    EMULATED_TPM = "emulated-tpm"
    ENCLAVE = "enclave"
    SOFTWARE = "software"


# --- evidence, appraisal, binding -----------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """A nonce that may be answered once, before ``expires_at``."""

    nonce: bytes
    issuer: str
    issued_at: int
    expires_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Residency:
    """What was proved about where a key lives: ``cnf.residency`` of a token (design, section 5).

    ``hardware`` is derived from the trust anchor's class and never set by hand.
    """

    kind: EvidenceKind
    protection: Protection
    hardware: bool
    verified_at: int
    freshness: Freshness
    policy: str
    result: ResultId


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundKey:
    """A key whose residency was proved, and the one SPIFFE ID that it speaks for."""

    jkt: Jkt
    jwk: Mapping[str, str]
    spiffe_id: SpiffeId
    residency: Residency
    ek: EkId | None
    """Of a TPM; evidence of other kinds names no EK."""
    entry: str
    bound_at: int
    expires_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptEvidence:
    """Evidence that was affirmed, kept to be appraised again when the policy changes.

    ``nonce`` and ``appraised_at`` are what it answered and when, so that the same question can be
    asked again; ``signer`` is the public JWK by which a token verified, since its issuer may have
    forgotten it. ``device`` is the App Attest key whose attestation an assertion relies on.
    """

    kind: EvidenceKind
    envelope: bytes = field(repr=False)
    nonce: bytes
    appraised_at: int
    signer: Mapping[str, str] = field(default_factory=dict)
    device: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolledHost:
    """An endorsement key that an administrator vouched for."""

    ek: EkId
    ek_public_name: str
    """Hex Name of the EK's public area, for people who compare with ``tpm2_readpublic``."""
    spiffe_id: SpiffeId
    """The host itself: registration entries name it as their parent."""
    labels: tuple[tuple[str, str], ...] = ()
    enrolled_at: int
    enrolled_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationEntry:
    """A workload's SPIFFE ID, and what its evidence must show.

    A ``tpm2`` entry pins the EK of its parent host; entries of other kinds have no parent, and pin
    by ``selectors``: facts of the result, each with its allowed values (``identity.entries``).
    ``pcrs`` adds reference values (bank → index → allowed hex values), ``labels`` are compared with
    the enrolled host's, which administrators set. ``template`` is for workloads' tokens: a path
    whose placeholders the token's claims fill (``identity.claim_paths``); ``spiffe_id`` is then the
    trust domain alone.
    """

    id: str
    spiffe_id: SpiffeId
    parent: SpiffeId | None
    kind: EvidenceKind
    ek: EkId | None
    pcrs: Mapping[str, Mapping[int, tuple[str, ...]]] = field(default_factory=dict)
    labels: tuple[tuple[str, str], ...] = ()
    binding_ttl_s: int
    created_at: int
    created_by: str
    selectors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    template: str = ""


# --- keys -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class WrappedKey:
    """A key that only the TPM that made it can load: the public area and the wrapped private one.

    ``public`` is a TPM2B_PUBLIC, ``private`` a TPM2B_PRIVATE, both with their size prefix.
    """

    public: bytes
    private: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEvidence:
    """Saved evidence that a key is in the TPM of an EK. Convinces nobody by itself (design, §5)."""

    ek_public: bytes
    ek_certificate: bytes | None
    ek_certificate_chain: tuple[bytes, ...]
    ak_public: bytes
    qualifying_data: bytes
    certify_attest: bytes
    certify_signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """One issuer key with its one purpose."""

    kid: Kid
    purpose: KeyPurpose
    algorithm: str
    state: KeyState
    tier: SignerTier
    owner: str
    """For ``external`` keys, the caller who may use it; for all others, ``keystead``."""
    allow_digest: bool
    """Whether the owner may have bare digests signed, not only whole JWS payloads."""
    jwk: Mapping[str, str]
    wrapped: WrappedKey
    evidence: KeyEvidence
    created_at: int
    activates_at: int
    retired_at: int | None = None


# --- delegation -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """One link of the ``act`` chain; ``act`` is the one before it, which is history only."""

    sub: str
    iss: str | None = None
    attestation: str | None = None
    act: Actor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The user whose authority it is, and how the user signed in."""

    sub: str
    issuer: str
    client: str | None
    aal: int
    acr: str | None
    amr: tuple[str, ...]
    auth_time: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """(user, agent, audience, scopes, until): can be listed and revoked at any time."""

    id: GrantId
    subject: Subject
    agent: SpiffeId
    jkt: Jkt
    actor: Actor
    audience: str
    scopes: tuple[str, ...]
    handle_hash: bytes = field(repr=False)
    """SHA-256 of the refresh token; the refresh token itself is never stored."""
    created_at: int
    expires_at: int
    parent: GrantId | None = None
    """The grant whose delegated token started this one: revocation cascades down."""
    revoked_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedToken:
    """What an exchange answers with (RFC 8693 §2.2.1)."""

    access_token: str = field(repr=False)
    token_type: str
    issued_token_type: str
    expires_in: int
    scope: str
    refresh_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedToken:
    """What a relying party learns from a token and its proof, all of it checked."""

    user: str
    issuer: str
    client_id: str
    agent: str
    actor: Actor | None
    scopes: tuple[str, ...]
    audience: tuple[str, ...]
    aal: int | None
    acr: str | None
    amr: tuple[str, ...]
    auth_time: int | None
    residency: Residency | None
    jkt: Jkt | None
    jti: str
    txn: str | None
    issued_at: int
    expires_at: int

    @property
    def actors(self) -> tuple[str, ...]:
        """The SPIFFE IDs of the ``act`` chain, the current actor first."""
        chain: list[str] = []
        actor = self.actor
        while actor is not None:
            chain.append(actor.sub)
            actor = actor.act
        return tuple(chain)


# --- audit ----------------------------------------------------------------------------------------


class AuditAction(StrEnum):
    """What happened; ``docs/audit-log.md`` has a row for each."""

    SERVICE_STARTED = "service.started"
    ATTESTATION_AFFIRMED = "attestation.affirmed"
    ATTESTATION_REFUSED = "attestation.refused"
    BINDING_ENDED = "binding.ended"
    TOKEN_ISSUED = "token.issued"
    TOKEN_REFUSED = "token.refused"
    TOKEN_RENEWED = "token.renewed"
    GRANT_CREATED = "grant.created"
    GRANT_REVOKED = "grant.revoked"
    KEY_CREATED = "key.created"
    KEY_ACTIVATED = "key.activated"
    KEY_RETIRED = "key.retired"
    KEY_USED = "key.used"
    KEY_PROVED = "key.proved"
    HOST_ENROLLED = "host.enrolled"
    HOST_REMOVED = "host.removed"
    ENTRY_CREATED = "entry.created"
    ENTRY_REMOVED = "entry.removed"
    POLICY_CHANGED = "policy.changed"
    CALLER_REFUSED = "caller.refused"
    REFUSALS_AGGREGATED = "refusals.aggregated"
    CHECKPOINT_SIGNED = "checkpoint.signed"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """One thing that happened, before it is chained. Thumbprints only: no token, no secret."""

    action: AuditAction
    at: int
    caller: str = ""
    """Who asked: an operator's name, a SPIFFE ID, ``admin-socket`` or empty for a stranger."""
    sub: str = ""
    actors: tuple[str, ...] = ()
    """The whole ``act`` chain, the current actor first."""
    jkt: str = ""
    kind: str = ""
    reason: str = ""
    step: int | None = None
    object: str = ""
    """What it happened to: a kid, grant, entry, result or token id."""
    detail: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainedEvent:
    """An event as stored: ``hash`` covers ``previous`` and the canonical event."""

    sequence: int
    event: AuditEvent
    previous: bytes
    hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A signed statement: the chain had ``sequence`` events ending in ``hash``.

    ``jws`` is signed by the audit key; ``counter`` is the TPM NV counter's value at that time.
    """

    sequence: int
    hash: bytes
    counter: int
    at: int
    kid: Kid
    jws: str
