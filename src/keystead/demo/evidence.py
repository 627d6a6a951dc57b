"""What differs between the demo's kinds of evidence: one file a kind, and ``kinds`` the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from keystead.codec.json import JSON
from keystead.demo.scene import Scene
from keystead.demo.stage import Crew, Host
from keystead.demo.web import Refusal
from keystead.dev import DevSettings
from keystead.model import AuditAction, EvidenceKind, Protection


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A member of ``cnf.residency`` that every token has to have, and why it is so."""

    name: str
    value: JSON
    why: str


class Evidence(Protocol):
    """One kind: where the workload runs, how it is registered, and what has to come of it."""

    @property
    def kind(self) -> EvidenceKind:
        """What the workload attests with."""
        ...

    @property
    def banner(self) -> str:
        """What this kind does not show, before anything else is told."""
        ...

    @property
    def parts(self) -> str:
        """What is started, in words."""
        ...

    @property
    def claim(self) -> str:
        """What the workload proves, in words."""
        ...

    @property
    def protection(self) -> Protection:
        """What the API asks of the agent's key."""
        ...

    @property
    def residency(self) -> Sequence[Expected]:
        """What tokens say about where the key lives."""
        ...

    @property
    def registered(self) -> Sequence[AuditAction]:
        """The events of :meth:`enrol`."""
        ...

    def start_host(self, crew: Crew, server: str, issuer: str) -> Callable[[], Host]:
        """Start the workload's process, for the service at ``server`` (gRPC) that is ``issuer``.

        The answer waits until it runs; StepFailed if it does not.
        """
        ...

    def configure(self, settings: DevSettings, host: Host) -> DevSettings:
        """The service's settings, so that it believes such a host."""
        ...

    def check_apart(self, scene: Scene, eks: set[str]) -> None:
        """The TPM with ``eks``, which is the service's, has nothing to do with the workload."""
        ...

    def enrol(self, scene: Scene) -> None:
        """Register the workload."""
        ...

    def check_result(
        self, scene: Scene, submodule: Mapping[str, JSON], *, issuer_ek: str, challenged: bool
    ) -> None:
        """What the attestation result has to say; ``submodule`` is that of this kind.

        ``challenged`` is whether the result names a challenge.
        """
        ...

    def attack(self, scene: Scene) -> list[Refusal]:
        """What must not work with evidence of this kind."""
        ...

    def eks(self, host: Host) -> dict[str, JSON]:
        """The EK ids of the TPMs beside the service's, by whose they are."""
        ...
