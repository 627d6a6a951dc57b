"""AttestationService: one attestation, from the challenge to the bound key.

    session = attestations.begin("tpm2")                # → session.challenge
    activation = await session.submit(envelope, …)      # → a credential for that EK and AK
    outcome = await session.finish(secret)              # → the result, and the key is bound

The order is kept by the types: only ``submit`` makes what ``finish`` needs.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from dataclasses import dataclass

from keystead.appraisal import result as results
from keystead.appraisal import tpm2 as appraisal
from keystead.appraisal.credential import PendingActivation
from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.tpm2 import Tpm2Appraisal
from keystead.binding import binder
from keystead.binding import tpm2 as binding
from keystead.binding.certified_key import CertifiedKey
from keystead.codec import base64url
from keystead.errors import (
    EvidenceRejected,
    KeysteadError,
    Malformed,
    NotFound,
    Reason,
    Refused,
    Unavailable,
)
from keystead.evidence import challenge as challenges
from keystead.evidence import envelope, key_proof
from keystead.evidence import tpm2 as evidence
from keystead.identity import entries as entry_rules
from keystead.identity import spiffe
from keystead.model import (
    AuditAction,
    AuditEvent,
    BindKey,
    BoundKey,
    Challenge,
    EnrolledHost,
    EvidenceKind,
    KeyPurpose,
    PutResult,
    RegistrationEntry,
    ResultId,
    SpiffeId,
    UseOnce,
)
from keystead.ports import Clock, Entropy, Store
from keystead.service.keyring import Keyring
from keystead.service.trail import Trail

MAX_APPRAISALS_AT_ONCE = 4
"""Appraisals run in threads; a few at a time keep the loop free for everyone else."""
TIME_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """An affirmed attestation: the EAR JWT, its id, and the key that is bound now."""

    id: ResultId
    ear: str
    bound: BoundKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Appraised:
    """What ``submit`` found, waiting for the credential's secret."""

    appraisal: Tpm2Appraisal
    certified: CertifiedKey
    host: EnrolledHost
    activation: PendingActivation
    wanted: SpiffeId | None


class Attestations:
    """The attestation use case; one :class:`Session` for each attestation."""

    def __init__(
        self,
        *,
        issuer: str,
        policy: AppraisalPolicy,
        store: Store,
        keyring: Keyring,
        trail: Trail,
        clock: Clock,
        entropy: Entropy,
        challenge_ttl_s: int,
    ) -> None:
        self.issuer = issuer
        self.policy = policy
        self.store = store
        self.keyring = keyring
        self.trail = trail
        self.clock = clock
        self.entropy = entropy
        self._challenge_ttl_s = challenge_ttl_s
        self.appraisals = asyncio.Semaphore(MAX_APPRAISALS_AT_ONCE)

    def begin(self, kind: str) -> Session:
        """A session with a fresh challenge; EvidenceRejected(kind_unsupported)."""
        if kind != EvidenceKind.TPM2 or self.policy.tpm2 is None:
            refusal = EvidenceRejected(Reason.KIND_UNSUPPORTED, f"no policy for {kind!r}")
            self.trail.note_refusal(refusal)
            raise refusal
        challenge = challenges.issue_challenge(
            issuer=self.issuer,
            now=self.clock.now(),
            entropy=self.entropy,
            ttl_s=self._challenge_ttl_s,
        )
        return Session(self, challenge)

    async def result(self, id: str) -> str:
        """A stored EAR JWT; NotFound. Its id is a hash that only its token names."""
        ear = await self.store.result(ResultId(id))
        if ear is None:
            raise NotFound()
        return ear


class Session:
    """One attestation."""

    def __init__(self, attestations: Attestations, challenge: Challenge) -> None:
        self._all = attestations
        self._appraised: Appraised | None = None
        self.challenge = challenge

    async def submit(self, data: bytes, *, proof: str, wanted: str) -> PendingActivation:
        """Appraise the evidence; what is missing then is only the credential's secret.

        Refusals here are a stranger's: counted, not written one by one. What an earlier call left
        does not outlive a refusal.
        """
        self._appraised = None
        try:
            self._appraised = await self._appraise(data, proof=proof, wanted=wanted)
        except KeysteadError as error:
            self._all.trail.note_refusal(error)
            raise
        return self._appraised.activation

    async def _appraise(self, data: bytes, *, proof: str, wanted: str) -> Appraised:
        challenges.check_challenge(self.challenge, now=self._all.clock.now())
        async with self._all.appraisals:
            appraised, certified = await asyncio.to_thread(self._check_evidence, data, proof)
        host = await self._all.store.host(appraised.ek)
        if host is None:
            raise Refused(Reason.EK_NOT_ENROLLED, f"EK {appraised.ek}")
        return Appraised(
            appraisal=appraised,
            certified=certified,
            host=host,
            activation=appraisal.begin_activation(appraised, entropy=self._all.entropy),
            wanted=spiffe.parse_spiffe_id(wanted) if wanted else None,
        )

    def _check_evidence(self, data: bytes, proof: str) -> tuple[Tpm2Appraisal, CertifiedKey]:
        """Everything that can be checked without the TPM's answer; runs in a thread."""
        nonce, now = self.challenge.nonce, self._all.clock.now()
        submission = envelope.parse_envelope(data)
        if submission.kind != EvidenceKind.TPM2:
            raise EvidenceRejected(Reason.KIND_UNSUPPORTED, "not the kind that was begun")
        if submission.nonce is None or not hmac.compare_digest(submission.nonce, nonce):
            raise EvidenceRejected(Reason.NONCE_MISMATCH, "the envelope's nonce")
        if submission.key is None:
            raise Malformed(Reason.EVIDENCE_MEMBER_MISSING, "key")
        key_proof.verify_key_proof(proof, key=submission.key, issuer=self._all.issuer, nonce=nonce)
        parsed = evidence.parse(submission)
        appraised = appraisal.appraise(parsed, policy=self._all.policy, nonce=nonce, now=now)
        certified = binding.certify_key(
            parsed, appraised, key=submission.key, policy=self._all.policy, nonce=nonce
        )
        return appraised, certified

    async def finish(self, secret: bytes) -> Outcome:
        """The TPM's answer to the credential: affirm, name, bind, record."""
        appraised, self._appraised = self._appraised, None
        try:
            if appraised is None:
                raise EvidenceRejected(Reason.ACTIVATION_FAILED, "no evidence was submitted")
            challenges.check_challenge(self.challenge, now=self._all.clock.now())
            result = appraisal.conclude(
                appraised.appraisal, activation=appraised.activation, returned_secret=secret
            )
        except KeysteadError as error:
            self._all.trail.note_refusal(error)
            raise
        try:
            entry = await self._entry(appraised)
            return await self._bind(appraised, result, entry)
        except Unavailable:
            raise
        except KeysteadError as error:
            await self._record_refusal(appraised, error)
            raise

    async def _entry(self, appraised: Appraised) -> RegistrationEntry:
        """By what is enrolled and registered now; the evidence may be a minute older."""
        host = await self._all.store.host(appraised.host.ek)
        if host is None:
            raise Refused(Reason.EK_NOT_ENROLLED, f"EK {appraised.host.ek}")
        return entry_rules.match_entry(
            await self._all.store.entries(ek=host.ek),
            host=host,
            ek=appraised.appraisal.ek,
            kind=EvidenceKind.TPM2,
            pcrs=appraised.appraisal.pcrs_hex,
            requested=appraised.wanted,
        )

    async def _bind(
        self, appraised: Appraised, result: appraisal.AttestationResult, entry: RegistrationEntry
    ) -> Outcome:
        now = self._all.clock.now()
        expires_at = binder.binding_expiry(result, entry=entry, now=now)
        claims = results.ear_claims(
            result,
            issuer=self._all.issuer,
            key=appraised.certified,
            nonce=self.challenge.nonce,
            now=now,
            expires_at=expires_at,
        )
        signed = await self._all.keyring.sign_own(
            KeyPurpose.EAR, typ=results.EAR_TYP, claims=claims
        )
        id = ResultId(base64url.encode(hashlib.sha256(signed.jws.encode()).digest()))
        bound = binder.bind(result, appraised.certified, entry=entry, result_id=id, now=now)
        await self._record(id, signed.jws, bound, kid=signed.kid)
        return Outcome(id=id, ear=signed.jws, bound=bound)

    async def _record(self, id: ResultId, ear: str, bound: BoundKey, *, kid: str) -> None:
        event = AuditEvent(
            action=AuditAction.ATTESTATION_AFFIRMED,
            at=bound.bound_at,
            caller=bound.spiffe_id,
            jkt=bound.jkt,
            kind=bound.residency.kind.value,
            object=id,
            detail={
                "policy": bound.residency.policy,
                "entry": bound.entry,
                "ek": bound.ek,
                "protection": bound.residency.protection.value,
                "hardware": str(bound.residency.hardware).lower(),
                "kid": kid,
            },
        )
        at = self.challenge.expires_at
        used = UseOnce(
            space="challenge", key=at.to_bytes(TIME_BYTES, "big") + self.challenge.nonce, until=at
        )
        stored = PutResult(
            id=id,
            jwt=ear,
            spiffe_id=bound.spiffe_id,
            issued_at=bound.bound_at,
            expires_at=bound.expires_at,
        )
        await self._all.store.apply([used, stored, BindKey(key=bound)], events=[event])

    async def _record_refusal(self, appraised: Appraised, error: KeysteadError) -> None:
        """By now the TPM has answered, so this refusal has a name to it."""
        event = AuditEvent(
            action=AuditAction.ATTESTATION_REFUSED,
            at=self._all.clock.now(),
            caller=appraised.host.spiffe_id,
            jkt=appraised.certified.jkt,
            kind=EvidenceKind.TPM2.value,
            reason=error.reason.value,
            step=error.step,
            object=appraised.host.ek,
        )
        await self._all.store.apply((), events=[event])
