"""The issuer's keys: made in the hardware, one purpose each, rotated, and used.

Private keys are never here. What is stored is the blob that only the same TPM can load, and the
evidence of where it was made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from keystead.codec import tpm2
from keystead.codec.json import JSON
from keystead.codec.reader import Reader
from keystead.errors import ConfigurationError, NotFound, Reason, Unavailable
from keystead.issuance import signing_keys
from keystead.jose import jws
from keystead.jose.jwk import JwkSet, PublicJwk, parse_public, parse_set
from keystead.model import (
    AuditAction,
    AuditEvent,
    KeyEvidence,
    KeyPurpose,
    KeyState,
    Kid,
    SignerTier,
    SigningKey,
    WrappedKey,
)
from keystead.operations import (
    Operation,
    PutFact,
    PutKey,
    SetKeyState,
)
from keystead.ports import Clock, Endorsement, Entropy, SigningHardware, Store
from keystead.service import stored_keys

OWN_PURPOSES = (
    KeyPurpose.TOKEN,
    KeyPurpose.SVID,
    KeyPurpose.STATUS,
    KeyPurpose.EAR,
    KeyPurpose.AUDIT,
)
"""Keystead's own keys: one of each exists from the first start on."""

OWNER = signing_keys.OWN_OWNER
CERTIFY_NONCE_BYTES = 32
MAX_WRAPPED_BYTES = 2048
"""Either half of a wrapped key: the largest, an RSA-2048 private area, has under 400 bytes."""
FACT_AK = "tpm2.ak"
FACT_EK = "tpm2.ek"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A compact JWS, and the key that made it."""

    jws: str
    kid: Kid


class Keyring:
    """Every signing key of this installation, kept in memory as the store has them."""

    def __init__(
        self,
        *,
        store: Store,
        hardware: SigningHardware,
        clock: Clock,
        entropy: Entropy,
        tier: SignerTier,
        token_algorithm: str,
        publish_ahead_s: int,
    ) -> None:
        self._store = store
        self._hardware = hardware
        self._clock = clock
        self._entropy = entropy
        self._tier = tier
        self._token_algorithm = token_algorithm
        self._publish_ahead_s = publish_ahead_s
        self._keys: dict[Kid, SigningKey] = {}
        self._active: dict[KeyPurpose, SigningKey] = {}
        self._key_sets: dict[KeyPurpose, tuple[tuple[Kid, ...], JwkSet]] = {}
        self._attestation_key: WrappedKey | None = None
        self._endorsement: Endorsement | None = None

    async def open(self) -> None:
        """Load what is stored; on the first start make the AK and one key of each purpose.

        ConfigurationError as :meth:`check_tpm`, and where a stored key is not what this TPM
        certified for its purpose (:mod:`keystead.service.stored_keys`).
        """
        await self.check_tpm()
        self._attestation_key = await self._load_attestation_key()
        await self._check_attestation_key()
        await self.reload()
        for purpose in OWN_PURPOSES:
            algorithm = self._algorithm_of(purpose)
            if signing_keys.active_key(tuple(self._keys.values()), purpose, algorithm) is None:
                await self.create(purpose, algorithm=algorithm, caller=OWNER, at_once=True)

    async def reload(self) -> None:
        """Read every key again from the store; ConfigurationError where one was tampered with."""
        stored = await self._store.keys()
        for key in stored:
            stored_keys.check_stored_key(key, ak=self.attestation_key)
        self._keys = {}
        self._keep(*stored)

    def _keep(self, *keys: SigningKey) -> None:
        """Have these as the store has them; which key signs may be another one now."""
        self._keys.update((key.kid, key) for key in keys)
        self._active.clear()

    def _algorithm_of(self, purpose: KeyPurpose) -> str:
        return self._token_algorithm if purpose is KeyPurpose.TOKEN else "ES256"

    async def check_tpm(self) -> None:
        """ConfigurationError when the stored keys were made by another TPM: they cannot be loaded,
        and making new ones silently would change the issuer's keys.

        To be asked first of all: another TPM also has another counter, which looks like a rollback.
        """
        endorsement = self._endorsement or await self._hardware.endorsement()
        known = await self._store.fact(FACT_EK)
        seen = hashlib.sha256(endorsement.public).digest()
        if known is None:
            await self._store.apply([PutFact(name=FACT_EK, value=seen)], events=())
        elif known != seen:
            raise ConfigurationError(
                Reason.KEYS_OF_ANOTHER_TPM,
                "this state folder's keys were made by another TPM: give the service that TPM, "
                "or a new state folder",
            )
        self._endorsement = endorsement

    async def _load_attestation_key(self) -> WrappedKey:
        stored = await self._store.fact(FACT_AK)
        if stored is not None:
            return _decode_wrapped_key(stored)
        made = await self._hardware.create_attestation_key()
        await self._store.apply(
            [PutFact(name=FACT_AK, value=made.public + made.private)], events=()
        )
        return made

    async def _check_attestation_key(self) -> None:
        nonce = self._entropy.token(CERTIFY_NONCE_BYTES)
        fresh = await self._hardware.certify(
            self.attestation_key, attestation_key=self.attestation_key, qualifying_data=nonce
        )
        stored_keys.check_attestation_key(self.attestation_key, fresh=fresh, nonce=nonce)

    @property
    def attestation_key(self) -> WrappedKey:
        """The AK that certifies the keys."""
        if self._attestation_key is None:
            raise Unavailable(Reason.KEYS_UNAVAILABLE, "the keyring is not open")
        return self._attestation_key

    @property
    def endorsement(self) -> Endorsement:
        """The TPM's EK."""
        if self._endorsement is None:
            raise Unavailable(Reason.KEYS_UNAVAILABLE, "the keyring is not open")
        return self._endorsement

    def all(self) -> tuple[SigningKey, ...]:
        """Every key, oldest first."""
        return tuple(self._keys.values())

    def get(self, kid: str) -> SigningKey:
        """The key; NotFound."""
        key = self._keys.get(Kid(kid))
        if key is None:
            raise NotFound(Reason.KEY_UNKNOWN)
        return key

    def active(self, purpose: KeyPurpose) -> SigningKey:
        """The key that signs for one of our own purposes now."""
        known = self._active.get(purpose)
        if known is not None:
            return known
        key = signing_keys.active_key(self.all(), purpose, self._algorithm_of(purpose))
        if key is None:
            raise Unavailable(Reason.KEYS_UNAVAILABLE, f"no active {purpose} key")
        self._active[purpose] = key
        return key

    def verification_keys(self, purpose: KeyPurpose) -> tuple[SigningKey, ...]:
        """The keys whose signatures still count, newest last."""
        now = self._clock.now()
        return signing_keys.published(self.all(), purpose, now=now)

    def key_set(self, purpose: KeyPurpose) -> JwkSet:
        """The same keys, ready to verify with."""
        keys = self.verification_keys(purpose)
        kids = tuple(key.kid for key in keys)
        kept = self._key_sets.get(purpose)
        if kept is None or kept[0] != kids:
            kept = (kids, parse_set(jwks_document(keys)))
            self._key_sets[purpose] = kept
        return kept[1]

    async def sign_own(
        self, purpose: KeyPurpose, *, typ: str, claims: Mapping[str, JSON]
    ) -> Signed:
        """A compact JWS by the active key of ``purpose``."""
        key = self.active(purpose)
        return Signed(jws=await self.sign_with(key, typ=typ, claims=claims), kid=key.kid)

    async def sign_with(self, key: SigningKey, *, typ: str, claims: Mapping[str, JSON]) -> str:
        """A compact JWS by ``key``, whose purpose the caller has checked."""
        header = {"alg": key.algorithm, "kid": key.kid, "typ": typ}
        return await self.sign_input(key, jws.signing_input(header, claims))

    async def sign_input(self, key: SigningKey, signing_input: bytes) -> str:
        """The compact JWS of a signing input that names ``key`` in its header."""
        digest = hashlib.sha256(signing_input).digest()
        return jws.assemble(signing_input, await self._hardware.sign(key.wrapped, digest))

    async def sign_digest(self, key: SigningKey, digest: bytes) -> bytes:
        """A JOSE signature over a digest, by a key whose purpose the caller has checked."""
        return await self._hardware.sign(key.wrapped, digest)

    async def create(
        self,
        purpose: KeyPurpose,
        *,
        algorithm: str,
        caller: str,
        owner: str = OWNER,
        allow_digest: bool = False,
        at_once: bool,
    ) -> SigningKey:
        """Make a key in the hardware, with its evidence; active at once, or pending until relying
        parties had ``publish_ahead_s`` to see it."""
        now = self._clock.now()
        wrapped = await self._hardware.create_signing_key(algorithm)
        public = public_jwk(wrapped)
        label = stored_keys.label(
            purpose, owner=owner, algorithm=algorithm, allow_digest=allow_digest
        )
        key = SigningKey(
            kid=Kid(public.thumbprint),
            purpose=purpose,
            algorithm=algorithm,
            state=KeyState.ACTIVE if at_once else KeyState.PENDING,
            tier=self._tier,
            owner=owner,
            allow_digest=allow_digest,
            jwk=tpm2.jwk_members(tpm2.parse_tpm2b_public(wrapped.public)),
            wrapped=wrapped,
            evidence=await self._evidence(wrapped, label),
            created_at=now,
            activates_at=now if at_once else now + self._publish_ahead_s,
        )
        event = self._event(AuditAction.KEY_CREATED, key, caller=caller)
        await self._store.apply([PutKey(key=key)], events=[event])
        self._keep(key)
        return key

    async def _evidence(self, wrapped: WrappedKey, label: bytes) -> KeyEvidence:
        certified = await self._hardware.certify(
            wrapped, attestation_key=self.attestation_key, qualifying_data=label
        )
        return KeyEvidence(
            ek_public=self.endorsement.public,
            ek_certificate=self.endorsement.certificate,
            ek_certificate_chain=self.endorsement.chain,
            ak_public=self.attestation_key.public,
            qualifying_data=label,
            certify_attest=certified.attest,
            certify_signature=certified.signature,
        )

    async def rotate(self, purpose: KeyPurpose, *, owner: str, caller: str) -> SigningKey:
        """Start the successor of the key that signs; :meth:`advance` activates it in time."""
        algorithm = None if purpose is KeyPurpose.EXTERNAL else self._algorithm_of(purpose)
        current = signing_keys.active_key(self.all(), purpose, algorithm, owner=owner)
        if current is None:
            raise NotFound(Reason.KEY_UNKNOWN, f"no active {purpose} key of {owner}")
        return await self.create(
            purpose,
            algorithm=current.algorithm,
            caller=caller,
            owner=owner,
            allow_digest=current.allow_digest,
            at_once=False,
        )

    async def advance(self) -> None:
        """Activate pending keys whose time has come and retire those they replace."""
        now = self._clock.now()
        steps = signing_keys.next_states(self.all(), now=now)
        if not steps:
            return
        operations: list[Operation] = []
        events: list[AuditEvent] = []
        for kid, state in steps:
            operations.append(SetKeyState(kid=kid, state=state, at=now))
            events.append(self._event(_ACTION_OF[state], self._keys[kid], caller=OWNER))
        await self._store.apply(operations, events=events)
        for kid, state in steps:
            retired_at = now if state is KeyState.RETIRED else None
            self._keep(replace(self._keys[kid], state=state, retired_at=retired_at))

    def _event(self, action: AuditAction, key: SigningKey, *, caller: str) -> AuditEvent:
        return AuditEvent(
            action=action,
            at=self._clock.now(),
            caller=caller,
            object=key.kid,
            detail={"purpose": key.purpose.value, "alg": key.algorithm, "owner": key.owner},
        )


_ACTION_OF = {
    KeyState.ACTIVE: AuditAction.KEY_ACTIVATED,
    KeyState.RETIRED: AuditAction.KEY_RETIRED,
}


def _decode_wrapped_key(stored: bytes) -> WrappedKey:
    reader = Reader(stored)
    public = tpm2.encode_tpm2b(reader.sized(max_bytes=MAX_WRAPPED_BYTES))
    private = tpm2.encode_tpm2b(reader.sized(max_bytes=MAX_WRAPPED_BYTES))
    reader.end()
    return WrappedKey(public=public, private=private)


def public_jwk(wrapped: WrappedKey) -> PublicJwk:
    """The public key of a TPM key, as a JWK."""
    return parse_public(tpm2.jwk_members(tpm2.parse_tpm2b_public(wrapped.public)))


def jwks_document(keys: Sequence[SigningKey]) -> dict[str, JSON]:
    """The JWK Set of these keys (RFC 7517 §5)."""
    return signing_keys.jwks(keys)
