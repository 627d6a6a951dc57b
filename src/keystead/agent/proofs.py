"""Signatures by the workload's key: DPoP proofs and the proof for an attestation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from keystead.agent.signing import SigningKey
from keystead.codec import base64url
from keystead.evidence.key_proof import key_proof_signing_input
from keystead.jose.dpop import proof_signing_input
from keystead.jose.jws import assemble
from keystead.ports import Clock, Entropy

JTI_BYTES: Final = 16
"""128 bits: no two proofs of one key ever have the same ``jti``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DpopSigner:
    """Signs with one key; safe to use from any thread and any event loop.

    Every method raises Unavailable when the key's hardware is away, and Refused (hardware_refused)
    when a PCR policy of the key does not hold any more.
    """

    key: SigningKey
    clock: Clock
    entropy: Entropy

    @property
    def jkt(self) -> str:
        """The key's RFC 7638 thumbprint."""
        return self.key.jwk.thumbprint

    def sign(
        self, method: str, url: str, *, access_token: str | None = None, nonce: str | None = None
    ) -> str:
        """A DPoP proof (RFC 9449 §4.2) for one request; ``url`` loses its query."""
        return self._sign(self._proof(method, url, access_token, nonce))

    async def sign_async(
        self, method: str, url: str, *, access_token: str | None = None, nonce: str | None = None
    ) -> str:
        """The same without blocking the event loop while a TPM computes."""
        message = self._proof(method, url, access_token, nonce)
        return assemble(message, await self.key.sign_async(message))

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
        return assemble(message, self.key.sign(message))
