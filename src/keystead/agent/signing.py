"""The keys that a workload may have: in the host's TPM, or in its own attested memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Protocol

from keystead.agent.key_file import WorkloadKey
from keystead.codec.json import JSON
from keystead.hardware.memory_key import MemoryKey
from keystead.hardware.tpm2 import Tpm2Device, keys
from keystead.jose.jwk import PublicJwk, parse_public


class SigningKey(Protocol):
    """Signs as JOSE wants it; raises Unavailable, or Refused (hardware_refused)."""

    @property
    def jwk(self) -> PublicJwk:
        """The public key."""
        ...

    def sign(self, message: bytes) -> bytes:
        """A JOSE signature by the algorithm of the key (RFC 7518 §3.3, §3.4)."""
        ...

    async def sign_async(self, message: bytes) -> bytes:
        """The same without blocking the event loop."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TpmKey:
    """A key in a TPM, which signs one thing at a time."""

    device: Tpm2Device
    key: WorkloadKey

    @property
    def jwk(self) -> PublicJwk:
        return self.key.jwk

    def sign(self, message: bytes) -> bytes:
        return self.device.call(
            keys.sign, self.key.wrapped, _digest(message), pcr_policy=self.key.pcr_policy
        )

    async def sign_async(self, message: bytes) -> bytes:
        return await self.device.run(
            keys.sign, self.key.wrapped, _digest(message), pcr_policy=self.key.pcr_policy
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessKey:
    """A key in this process's memory: signing costs less than going elsewhere to do it."""

    key: MemoryKey = field(repr=False)
    jwk: PublicJwk

    @classmethod
    def make(cls) -> ProcessKey:
        """A new ES256 key."""
        key = MemoryKey.make()
        return cls(key=key, jwk=parse_public(dict[str, JSON](key.members)))

    def sign(self, message: bytes) -> bytes:
        return self.key.sign(message)

    async def sign_async(self, message: bytes) -> bytes:
        return self.key.sign(message)


def _digest(message: bytes) -> bytes:
    return hashlib.sha256(message).digest()
