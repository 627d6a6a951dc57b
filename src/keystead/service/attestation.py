"""AttestationService: one attestation, from the challenge to the bound key.

    session = attestations.begin("tpm2")                # → session.challenge
    answer = await session.submit(envelope, …)          # tpm2: a credential for that EK and AK
    outcome = await session.finish(secret)              # → the result, and the key is bound

Evidence of every other kind stands by itself: ``submit`` answers with the outcome. The order is
kept by the types: only ``submit`` makes what ``finish`` needs.

A key that is bound already attests again before its binding ends. If its evidence is refused then,
the binding ends at once (``service.refusals``): whatever runs there now is not what was attested.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field

from keystead.appraisal import tpm2 as appraisal
from keystead.appraisal.credential import PendingActivation
from keystead.appraisal.policy import AppraisalPolicy
from keystead.appraisal.tpm2 import Tpm2Appraisal
from keystead.binding import tpm2 as binding
from keystead.binding.attested import ATTESTERS, Attested, Question, attest, signed_token
from keystead.binding.certified_key import CertifiedKey
from keystead.codec.tpm2 import PcrSelection
from keystead.errors import (
    EvidenceRejected,
    KeysteadError,
    Malformed,
    NotFound,
    Reason,
    Refused,
)
from keystead.evidence import app_attest as app_attest_evidence
from keystead.evidence import challenge as challenges
from keystead.evidence import envelope, key_proof
from keystead.evidence import tpm2 as evidence
from keystead.evidence.envelope import Submission
from keystead.identity import spiffe
from keystead.jose.jwk import PublicJwk
from keystead.model import (
    Challenge,
    EnrolledHost,
    EvidenceKind,
    Jkt,
    KeptEvidence,
    ResultId,
    SpiffeId,
)
from keystead.ports import Clock, Entropy, Store
from keystead.service.affirmation import Affirmations, Outcome, Proved
from keystead.service.evidence_keys import EvidenceKeys, signer_of
from keystead.service.keyring import Keyring
from keystead.service.refusals import Refusals
from keystead.service.trail import Trail

MAX_APPRAISALS_AT_ONCE = 4
"""Appraisals run in threads; a few at a time keep the loop free for everyone else."""

Banks = Sequence[tuple[str, Sequence[int]]]
"""PCR banks by name, each with indexes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the policy asks of a machine's TPM or vTPM beside the challenge's answer."""

    pcrs: Banks = ()
    key_policy_pcrs: Banks = ()
    event_log: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """An envelope for this challenge, whose key signed the challenge; ``data`` is it without what
    says nothing, so that nobody has two megabytes of spaces kept."""

    data: bytes = field(repr=False)
    submission: Submission
    key: PublicJwk


@dataclass(frozen=True, slots=True, kw_only=True)
class Appraised:
    """What ``submit`` found, waiting for the credential's secret."""

    appraisal: Tpm2Appraisal
    certified: CertifiedKey
    host: EnrolledHost
    activation: PendingActivation
    wanted: SpiffeId | None
    kept: KeptEvidence


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
        keys: EvidenceKeys,
        clock: Clock,
        entropy: Entropy,
        challenge_ttl_s: int,
    ) -> None:
        self.issuer = issuer
        self.policy = policy
        self.store = store
        self.trail = trail
        self.keys = keys
        self.clock = clock
        self.entropy = entropy
        self.affirmations = Affirmations(
            issuer=issuer, policy=policy, store=store, keyring=keyring, clock=clock
        )
        self.refusals = Refusals(store=store, trail=trail, clock=clock)
        self._challenge_ttl_s = challenge_ttl_s
        self.appraisals = asyncio.Semaphore(MAX_APPRAISALS_AT_ONCE)

    def begin(self, kind: str) -> Session:
        """A session with a fresh challenge; EvidenceRejected(kind_unsupported)."""
        if kind not in self.policy.kinds or (kind != EvidenceKind.TPM2 and kind not in ATTESTERS):
            refusal = EvidenceRejected(Reason.KIND_UNSUPPORTED, f"no policy for {kind!r}")
            self.trail.note_refusal(refusal)
            raise refusal
        challenge = challenges.issue_challenge(
            issuer=self.issuer,
            now=self.clock.now(),
            entropy=self.entropy,
            ttl_s=self._challenge_ttl_s,
        )
        return Session(self, challenge, EvidenceKind(kind))

    async def result(self, id: str) -> str:
        """A stored EAR JWT; NotFound. Its id is a hash that only its token names."""
        ear = await self.store.result(ResultId(id))
        if ear is None:
            raise NotFound()
        return ear


class Session:
    """One attestation of one kind."""

    def __init__(
        self, attestations: Attestations, challenge: Challenge, kind: EvidenceKind
    ) -> None:
        self._all = attestations
        self._appraised: Appraised | None = None
        self.challenge = challenge
        self.kind = kind

    @property
    def wanted(self) -> Wanted:
        """What the policy asks of this kind."""
        tpm2, azure = self._all.policy.tpm2, self._all.policy.azure_cvm
        if self.kind is EvidenceKind.TPM2 and tpm2 is not None:
            return Wanted(
                pcrs=_banks(tpm2.required_pcrs),
                key_policy_pcrs=_banks(tpm2.require_key_policy),
                event_log=tpm2.event_log.required,
            )
        if self.kind is EvidenceKind.AZURE_CVM and azure is not None:
            return Wanted(pcrs=_banks(azure.required_pcrs))
        return Wanted()

    async def submit(self, data: bytes, *, proof: str, wanted: str) -> PendingActivation | Outcome:
        """Appraise the evidence. For ``tpm2``, what is missing then is only the credential's
        secret; of every other kind this is the whole attestation.

        Refusals of a key that is not bound are a stranger's: counted, not written one by one. What
        an earlier call left does not outlive a refusal.
        """
        self._appraised = None
        try:
            challenges.check_challenge(self.challenge, now=self._all.clock.now())
            read = await asyncio.to_thread(self._read, data, proof)
            id = spiffe.parse_spiffe_id(wanted) if wanted else None
        except KeysteadError as error:
            self._all.trail.note_refusal(error)
            raise
        try:
            if self.kind is EvidenceKind.TPM2:
                self._appraised = await self._appraise_tpm2(read, id)
                return self._appraised.activation
            return await self._attest(read, id)
        except KeysteadError as error:
            await self._refuse(error, key=read.key)
            raise

    def _read(self, data: bytes, proof: str) -> Read:
        """What has to hold of any evidence: it is of this kind, for this challenge, and whoever
        sends it has the key. Runs in a thread."""
        nonce = self.challenge.nonce
        submission = envelope.parse_envelope(data)
        if submission.kind is not self.kind:
            raise EvidenceRejected(Reason.KIND_UNSUPPORTED, "not the kind that was begun")
        if submission.nonce is None or not hmac.compare_digest(submission.nonce, nonce):
            raise EvidenceRejected(Reason.NONCE_MISMATCH, "the envelope's nonce")
        if submission.key is None:
            raise Malformed(Reason.EVIDENCE_MEMBER_MISSING, "key")
        key_proof.verify_key_proof(proof, key=submission.key, issuer=self._all.issuer, nonce=nonce)
        kept = envelope.encode_envelope(
            kind=submission.kind,
            evidence=submission.evidence,
            nonce=submission.nonce,
            key=submission.key,
        )
        return Read(data=kept, submission=submission, key=submission.key)

    async def _attest(self, read: Read, wanted: SpiffeId | None) -> Outcome:
        now = self._all.clock.now()
        token = await asyncio.to_thread(signed_token, read.submission)
        keys = await self._all.keys.keys_for(token)
        device, counter = await self._device(read.submission)
        asked = Question(
            policy=self._all.policy,
            issuer=self._all.issuer,
            nonce=self.challenge.nonce,
            now=now,
            keys=keys,
            device=device,
            counter=counter,
        )
        async with self._all.appraisals:
            found = await asyncio.to_thread(attest, read.submission, asked)
        kept = self._keep(
            read,
            now=now,
            signer=signer_of(token, keys),
            device=found.device if device is not None else "",
        )
        return await self._all.affirmations.affirm(
            _proved(found, kept), challenge=self.challenge, wanted=wanted
        )

    async def _device(self, submission: Submission) -> tuple[KeptEvidence | None, int]:
        """The attestation that an App Attest assertion relies on, and its key's last counter."""
        if submission.kind is not EvidenceKind.APP_ATTEST or not app_attest_evidence.is_assertion(
            submission
        ):
            return None, 0
        key_id = app_attest_evidence.parse_assertion_evidence(submission).key_id
        device = await self._all.store.device(key_id.hex())
        return device, await self._all.store.counter(key_id) or 0

    async def _appraise_tpm2(self, read: Read, wanted: SpiffeId | None) -> Appraised:
        now = self._all.clock.now()
        async with self._all.appraisals:
            appraised, certified = await asyncio.to_thread(self._check_tpm2, read, now)
        host = await self._all.store.host(appraised.ek)
        if host is None:
            raise Refused(Reason.EK_NOT_ENROLLED, f"EK {appraised.ek}")
        return Appraised(
            appraisal=appraised,
            certified=certified,
            host=host,
            activation=appraisal.begin_activation(appraised, entropy=self._all.entropy),
            wanted=wanted,
            kept=self._keep(read, now=now),
        )

    def _check_tpm2(self, read: Read, now: int) -> tuple[Tpm2Appraisal, CertifiedKey]:
        """Everything that can be checked without the TPM's answer; runs in a thread."""
        policy, nonce = self._all.policy, self.challenge.nonce
        parsed = evidence.parse(read.submission)
        appraised = appraisal.appraise(parsed, policy=policy, nonce=nonce, now=now)
        certified = binding.certify_key(parsed, appraised, key=read.key, policy=policy, nonce=nonce)
        return appraised, certified

    async def finish(self, secret: bytes) -> Outcome:
        """The TPM's answer to the credential: affirm, name, bind, record."""
        appraised, self._appraised = self._appraised, None
        if appraised is None:
            refusal = EvidenceRejected(Reason.ACTIVATION_FAILED, "no evidence was submitted")
            self._all.trail.note_refusal(refusal)
            raise refusal
        try:
            challenges.check_challenge(self.challenge, now=self._all.clock.now())
            result = appraisal.conclude(
                appraised.appraisal, activation=appraised.activation, returned_secret=secret
            )
        except KeysteadError as error:
            await self._refuse(error, key=appraised.certified.key)
            raise
        proved = Proved(
            result=result,
            certified=appraised.certified,
            host=appraised.host,
            kept=appraised.kept,
        )
        try:
            return await self._all.affirmations.affirm(
                proved, challenge=self.challenge, wanted=appraised.wanted
            )
        except KeysteadError as error:
            # The TPM has answered, so this refusal has a name to it.
            await self._refuse(error, key=appraised.certified.key, host=appraised.host)
            raise

    def _keep(
        self, read: Read, *, now: int, signer: dict[str, str] | None = None, device: str = ""
    ) -> KeptEvidence:
        return KeptEvidence(
            kind=self.kind,
            envelope=read.data,
            nonce=self.challenge.nonce,
            appraised_at=now,
            signer=signer or {},
            device=device,
        )

    async def _refuse(
        self, error: KeysteadError, *, key: PublicJwk, host: EnrolledHost | None = None
    ) -> None:
        await self._all.refusals.refuse(error, kind=self.kind, jkt=Jkt(key.thumbprint), host=host)


def _banks(selection: PcrSelection | None) -> Banks:
    if selection is None:
        return ()
    return [(bank.digest_name, tuple(indexes)) for bank, indexes in selection.banks]


def _proved(found: Attested, kept: KeptEvidence) -> Proved:
    return Proved(
        result=found.result,
        certified=found.certified,
        uses=found.uses,
        kept=None if found.bearer else kept,
        device=found.device,
    )
