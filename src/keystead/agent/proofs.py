"""Signatures by the workload's key, in the TPM: DPoP proofs and the proof for an attestation."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from keystead.agent.key_file import WorkloadKey
from keystead.codec import base64url
from keystead.evidence.key_proof import key_proof_signing_input
from keystead.hardware.tpm2 import Tpm2Device, keys
from keystead.jose.dpop import proof_signing_input
from keystead.jose.jws import assemble
from keystead.ports import Clock, Entropy

JTI_BYTES: Final = 16
"""128 bits: no two proofs of one key ever have the same ``jti``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DpopSigner:
    """Signs with one key of one TPM; safe to use from any thread and any event loop.

    Every method raises Unavailable when the TPM is away, and Refused (hardware_refused) when the
    key's PCR policy does not hold any more.
    """

    device: Tpm2Device
    key: WorkloadKey
    clock: Clock
    entropy: Entropy

    @property
    def jkt(self) -> str:
        """The key's RFC 7638 thumbprint."""
        return self.key.jkt

    def sign(
        self, method: str, url: str, *, access_token: str | None = None, nonce: str | None = None
    ) -> str:
        """A DPoP proof (RFC 9449 §4.2) for one request; ``url`` loses its query."""
        return self._sign(self._proof(method, url, access_token, nonce))

    async def sign_async(
        self, method: str, url: str, *, access_token: str | None = None, nonce: str | None = None
    ) -> str:
        """The same without blocking the event loop while the TPM computes."""
        message = self._proof(method, url, access_token, nonce)
        signature = await self.device.run(
            keys.sign, self.key.wrapped, _digest(message), pcr_policy=self.key.pcr_policy
        )
        return assemble(message, signature)

    def key_proof(self, *, issuer: str, nonce: bytes) -> str:
        """The signature over an attestation's challenge by the key that shall be bound."""
        return self._sign(key_proof_signing_input(self.key.jwk, issuer=issuer, nonce=nonce))

    def _proof(self, method: str, url: str, access_token: str | None, nonce: str | None) -> bytes:
        return proof_signing_input(
            self.key.jwk,
            method=method,
            url=url.partition("#")[0].partition("?")[0],
            jti=base64url.encode(self.entropy.token(JTI_BYTES)),
            issued_at=self.clock.now(),
            access_token=access_token,
            nonce=nonce,
        )

    def _sign(self, message: bytes) -> str:
        signature = self.device.call(
            keys.sign, self.key.wrapped, _digest(message), pcr_policy=self.key.pcr_policy
        )
        return assemble(message, signature)


def _digest(message: bytes) -> bytes:
    return hashlib.sha256(message).digest()
