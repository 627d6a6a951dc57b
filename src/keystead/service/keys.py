"""KeyService: keys for issuers that delegate signing to this hardware, and proof of where keys are.

Every key has one purpose. ``Sign`` uses ``external`` keys only, only for their owner, and never a
payload that names this issuer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from keystead.binding import issuer_proof
from keystead.codec import json
from keystead.codec.json import JSON
from keystead.errors import Malformed, Reason, Refused
from keystead.issuance import signing_keys
from keystead.model import AuditAction, AuditEvent, KeyPurpose, KeyState, SigningKey
from keystead.ports import Attestation, Clock, SigningHardware, Store
from keystead.service.keyring import OWNER, Keyring
from keystead.service.metadata import published_keys
from keystead.service.roles import Caller, Role, require

MAX_PAYLOAD_BYTES = 8192
"""A JWS payload to be signed: RFC 9068 tokens are near 1 kB."""

DIGEST_BYTES = 32
MIN_PROOF_NONCE_BYTES = 16
MAX_PROOF_NONCE_BYTES = 64
MAX_CREDENTIAL_BYTES = 1024
"""An RSA-2048 encrypted secret has 258 bytes, a credential blob under 150."""
MAX_OWNER_CHARS = 256

SIGNING_ALGORITHMS = ("ES256", "RS256")
EXTERNAL_TYP_DEFAULT = "JWT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """The answer of ``Sign``: a compact JWS for a payload, a JOSE signature for a digest."""

    jws: str = ""
    signature: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerProof:
    """What convinces one verifier: the secret of its own credential, and a fresh certification."""

    secret: bytes
    certified: Attestation


class Keys:
    """The key use cases."""

    def __init__(
        self,
        *,
        issuer: str,
        keyring: Keyring,
        hardware: SigningHardware,
        store: Store,
        clock: Clock,
    ) -> None:
        self._issuer = issuer
        self._keyring = keyring
        self._hardware = hardware
        self._store = store
        self._clock = clock

    async def create(
        self, caller: Caller, *, purpose: str, algorithm: str, owner: str, allow_digest: bool
    ) -> SigningKey:
        """Make a key; external keys are active at once, our own ones after a rotation's delay.

        A new key of Keystead's own replaces the active one, so it too is an administrator's.
        """
        require(caller, Role.OPERATOR)
        chosen = _purpose(purpose)
        if chosen is not KeyPurpose.EXTERNAL:
            require(caller, Role.ADMINISTRATOR)
        if algorithm not in SIGNING_ALGORITHMS:
            raise Malformed(Reason.ALGORITHM_NOT_ALLOWED, f"{algorithm!r}: ES256 or RS256")
        external = chosen is KeyPurpose.EXTERNAL
        if allow_digest and not external:
            raise Refused(Reason.DIGEST_NOT_ALLOWED, "only external keys may sign digests")
        if len(owner) > MAX_OWNER_CHARS:
            raise Malformed(Reason.TOO_LARGE, "owner")
        return await self._keyring.create(
            chosen,
            algorithm=algorithm,
            caller=caller.name,
            owner=(owner or caller.name) if external else OWNER,
            allow_digest=allow_digest,
            at_once=external,
        )

    def visible(self, caller: Caller, *, purpose: str) -> Sequence[SigningKey]:
        """All keys to an operator or the administration socket, an issuer's own to an issuer."""
        require(caller, Role.OPERATOR, Role.ADMIN_SOCKET, Role.ISSUER)
        wanted = _purpose(purpose) if purpose else None
        return [
            key
            for key in self._keyring.all()
            if wanted in (None, key.purpose) and _may_see(caller, key)
        ]

    def get(self, caller: Caller, *, kid: str) -> SigningKey:
        """One key with its evidence."""
        require(caller, Role.OPERATOR, Role.ADMIN_SOCKET, Role.ISSUER)
        key = self._keyring.get(kid)
        if not _may_see(caller, key):
            raise Refused(Reason.ROLE_REQUIRED, "another owner's key")
        return key

    def published(self) -> dict[str, JSON]:
        """Every key of this issuer with its evidence, for anyone to see."""
        return published_keys(self._issuer, self._keyring.all())

    async def rotate(self, caller: Caller, *, purpose: str, owner: str) -> SigningKey:
        """Start a successor; Keystead's own keys are an administrator's to rotate."""
        chosen = _purpose(purpose)
        external = chosen is KeyPurpose.EXTERNAL
        require(caller, Role.OPERATOR if external else Role.ADMINISTRATOR)
        return await self._keyring.rotate(
            chosen, owner=(owner or caller.name) if external else OWNER, caller=caller.name
        )

    async def sign(
        self, caller: Caller, *, kid: str, payload: bytes | None, digest: bytes | None, typ: str
    ) -> Signature:
        """Sign a payload, or a digest where the key allows it.

        Nothing is answered before the use is in the audit trail.
        """
        require(caller, Role.ISSUER)
        key = self._usable(caller, kid)
        if digest is not None:
            if not key.allow_digest:
                raise Refused(Reason.DIGEST_NOT_ALLOWED)
            if len(digest) != DIGEST_BYTES:
                raise Malformed(Reason.MALFORMED, "a SHA-256 digest has 32 bytes")
            made = Signature(signature=await self._keyring.sign_digest(key, digest))
            await self._record_use(caller, key, "digest", digest)
            return made
        if payload is None:
            raise Malformed(Reason.MALFORMED, "neither payload nor digest")
        claims = json.parse_object(payload, max_bytes=MAX_PAYLOAD_BYTES)
        type_ = typ or EXTERNAL_TYP_DEFAULT
        signing_keys.check_external_payload(claims, typ=type_, issuer=self._issuer)
        jws = await self._keyring.sign_with(key, typ=type_, claims=claims)
        await self._record_use(caller, key, "payload", hashlib.sha256(payload).digest())
        return Signature(jws=jws)

    def _usable(self, caller: Caller, kid: str) -> SigningKey:
        key = self._keyring.get(kid)
        if key.purpose is not KeyPurpose.EXTERNAL:
            raise Refused(Reason.KEY_PURPOSE, f"a {key.purpose} key signs nothing for callers")
        if key.owner != caller.name:
            raise Refused(Reason.ROLE_REQUIRED, "another owner's key")
        if key.state is not KeyState.ACTIVE:
            raise Refused(Reason.KEY_STATE, f"the key is {key.state}")
        return key

    async def _record_use(self, caller: Caller, key: SigningKey, what: str, digest: bytes) -> None:
        event = AuditEvent(
            action=AuditAction.KEY_USED,
            at=self._clock.now(),
            caller=caller.name,
            object=key.kid,
            detail={"signed": what, "sha256": digest.hex()},
        )
        await self._store.apply((), events=[event])

    async def prove(
        self, *, kid: str, nonce: bytes, credential_blob: bytes, encrypted_secret: bytes
    ) -> IssuerProof:
        """Answer a stranger's own credential and nonce (design, section 5).

        The certified qualifying data is not the nonce itself but a hash with this issuer and the
        key in it, so that the answer is of no use as somebody else's attestation evidence.
        """
        key = self._keyring.get(kid)
        if key.purpose is KeyPurpose.EXTERNAL:
            raise Refused(Reason.KEY_PURPOSE, "not one of this issuer's own keys")
        if not MIN_PROOF_NONCE_BYTES <= len(nonce) <= MAX_PROOF_NONCE_BYTES:
            raise Malformed(Reason.MALFORMED, "a nonce has 16 to 64 bytes")
        if max(len(credential_blob), len(encrypted_secret)) > MAX_CREDENTIAL_BYTES:
            raise Malformed(Reason.TOO_LARGE, "credential")
        secret = await self._hardware.activate_credential(
            self._keyring.attestation_key,
            credential_blob=credential_blob,
            encrypted_secret=encrypted_secret,
        )
        certified = await self._hardware.certify(
            key.wrapped,
            attestation_key=self._keyring.attestation_key,
            qualifying_data=issuer_proof.qualifying_data(self._issuer, kid=kid, nonce=nonce),
        )
        await self._record_proof(key)
        return IssuerProof(secret=secret, certified=certified)

    async def _record_proof(self, key: SigningKey) -> None:
        event = AuditEvent(action=AuditAction.KEY_PROVED, at=self._clock.now(), object=key.kid)
        await self._store.apply((), events=[event])


def _purpose(name: str) -> KeyPurpose:
    try:
        return KeyPurpose(name)
    except ValueError:
        expected = ", ".join(KeyPurpose)
        raise Malformed(Reason.KEY_PURPOSE, f"{name!r} is not one of {expected}") from None


def _may_see(caller: Caller, key: SigningKey) -> bool:
    if caller.has(Role.OPERATOR) or caller.has(Role.ADMIN_SOCKET):
        return True
    return key.purpose is KeyPurpose.EXTERNAL and key.owner == caller.name
