"""What a workload proves itself with: a key, and evidence that answers a server's challenge.

TpmHost(device, folder=Path("/var/lib/my-agent/keystead"))     a key in the host's TPM
VtpmHost(device, folder=…, collector=…)                        a key in the vTPM of evidence
DocumentHost(collector)                                        a key in attested memory
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from keystead.agent import collector as tpm2_collector
from keystead.agent.collector import EVENT_LOG, ServerChallenge
from keystead.agent.collectors import Collector
from keystead.agent.key_file import WorkloadKey
from keystead.agent.keys import DEFAULT_ALGORITHM, AttestedKeys, KeyFolder
from keystead.agent.signing import ProcessKey, SigningKey, TpmKey
from keystead.codec.tpm2 import PcrSelection
from keystead.errors import Malformed, Reason
from keystead.evidence.envelope import encode_envelope
from keystead.hardware.tpm2 import Tpm2Device, activation
from keystead.model import EvidenceKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Evidence in its envelope, and the key that it is to have bound."""

    envelope: bytes = field(repr=False)
    key: SigningKey


class Host(Protocol):
    """One place where a workload runs."""

    @property
    def kind(self) -> EvidenceKind:
        """What its evidence is made of."""
        ...

    def key(self) -> SigningKey:
        """The workload's key, made now where there is none yet."""
        ...

    def answer(self, challenge: ServerChallenge) -> Answer:
        """Evidence for ``challenge``; raises Unavailable, Refused, Malformed, EvidenceRejected."""
        ...

    def activate(self, *, credential_blob: bytes, encrypted_secret: bytes) -> bytes:
        """The secret of a credential, where the host has a TPM that opens it; else Malformed."""
        ...

    def close(self) -> None:
        """Let go of devices."""
        ...


class TpmHost:
    """A host with a TPM that quotes and certifies: kind ``tpm2``."""

    def __init__(
        self,
        device: Tpm2Device,
        *,
        folder: Path,
        algorithm: str = DEFAULT_ALGORITHM,
        event_log: Path = EVENT_LOG,
    ) -> None:
        """``folder`` keeps the wrapped keys (0700); ConfigurationError where it will not do."""
        self.device = device
        self.folder = KeyFolder(folder, device=device, algorithm=algorithm)
        self._event_log = event_log
        self._answered: AttestedKeys | None = None

    @property
    def kind(self) -> EvidenceKind:
        return EvidenceKind.TPM2

    def key(self) -> SigningKey:
        return TpmKey(
            device=self.device, key=self.folder.current() or self.folder.keys().workload_key
        )

    def answer(self, challenge: ServerChallenge) -> Answer:
        if not challenge.required_pcrs.banks:
            raise Malformed(Reason.MALFORMED, "a challenge that requires no PCR")
        keys = self._answered = self.folder.keys(pcr_policy=challenge.pcr_policy)
        return Answer(
            envelope=tpm2_collector.collect(
                self.device, keys_of_host=keys, challenge=challenge, event_log=self._event_log
            ),
            key=TpmKey(device=self.device, key=keys.workload_key),
        )

    def activate(self, *, credential_blob: bytes, encrypted_secret: bytes) -> bytes:
        """The secret that only this TPM can recover, for the AK of the last answer."""
        if self._answered is None:
            raise Malformed(Reason.MALFORMED, "a credential before any evidence")
        return self.device.call(
            activation.activate_credential,
            self._answered.attestation_key,
            self.device.ek_order,
            credential_blob=credential_blob,
            encrypted_secret=encrypted_secret,
        )

    def close(self) -> None:
        self.device.close()


VtpmCollector = Callable[[PcrSelection, WorkloadKey], Collector]
"""Makes the collector for the PCRs that a challenge requires and the key that it is to certify."""


class VtpmHost:
    """A confidential machine whose vTPM has the key, and whose evidence vouches for the vTPM.

    ``collector`` makes what collects with that same device: ``AzureCvmCollector``.
    """

    def __init__(
        self,
        device: Tpm2Device,
        *,
        folder: Path,
        collector: VtpmCollector,
        algorithm: str = DEFAULT_ALGORITHM,
    ) -> None:
        """``folder`` keeps the wrapped keys (0700); ConfigurationError where it will not do."""
        self.device = device
        self.folder = KeyFolder(folder, device=device, algorithm=algorithm)
        self._collector = collector

    @property
    def kind(self) -> EvidenceKind:
        return EvidenceKind.AZURE_CVM

    def key(self) -> SigningKey:
        return TpmKey(device=self.device, key=self.folder.keys().workload_key)

    def answer(self, challenge: ServerChallenge) -> Answer:
        if not challenge.required_pcrs.banks:
            raise Malformed(Reason.MALFORMED, "a challenge that requires no PCR")
        key = self.folder.keys().workload_key
        collector = self._collector(challenge.required_pcrs, key)
        return _answer(collector, TpmKey(device=self.device, key=key), challenge)

    def activate(self, *, credential_blob: bytes, encrypted_secret: bytes) -> bytes:
        """The report vouches for the vTPM's AK, so no server asks that."""
        raise _no_credential(self.kind)

    def close(self) -> None:
        self.device.close()


class DocumentHost:
    """A host whose evidence stands by itself and names a key in this process's memory."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self._key = ProcessKey.make()

    @property
    def kind(self) -> EvidenceKind:
        return self._collector.kind

    def key(self) -> SigningKey:
        return self._key

    def answer(self, challenge: ServerChallenge) -> Answer:
        return _answer(self._collector, self._key, challenge)

    def activate(self, *, credential_blob: bytes, encrypted_secret: bytes) -> bytes:
        """No server asks that of this evidence."""
        raise _no_credential(self.kind)

    def close(self) -> None:
        """There is nothing to let go of: the key ends with the process."""


def _answer(collector: Collector, key: SigningKey, challenge: ServerChallenge) -> Answer:
    evidence = collector.collect(key=key.jwk, issuer=challenge.issuer, nonce=challenge.nonce)
    envelope = encode_envelope(
        kind=collector.kind, evidence=evidence, nonce=challenge.nonce, key=key.jwk
    )
    return Answer(envelope=envelope, key=key)


def _no_credential(kind: EvidenceKind) -> Malformed:
    return Malformed(Reason.MALFORMED, f"a credential for {kind.value} evidence")
