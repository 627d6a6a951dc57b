"""The demo with a TPM at the workload's host, which has the key and quotes itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from keystead.codec import json
from keystead.codec.json import JSON
from keystead.demo.children import READY_TIMEOUT_S
from keystead.demo.evidence import Expected
from keystead.demo.scene import Scene, text
from keystead.demo.stage import Crew, Host
from keystead.demo.web import Refusal
from keystead.dev import TRUST_DOMAIN, DevSettings
from keystead.model import AuditAction, EvidenceKind, Protection

HOST_ID = f"spiffe://{TRUST_DOMAIN}/host/one"
AGENT_ID = f"spiffe://{TRUST_DOMAIN}/agent/calendar"
ADMIN_SOCKET = "admin-socket"
# Says that no credential is sent along: the administration socket alone may enrol.
_NO_CREDENTIAL = ("--credential-file", "/dev/null")


class TpmEvidence:
    """Kind ``tpm2``; satisfies :class:`keystead.demo.evidence.Evidence`."""

    kind: Final = EvidenceKind.TPM2
    banner: Final = """\
EMULATED HARDWARE: both TPMs here are software (swtpm).
This shows that the protocol works, not that a key is safe,
and every token says "hardware": false."""
    parts: Final = "service, identity provider, API and a host with its own TPM"
    claim: Final = "the host proves where the agent's key is"
    protection: Final = Protection.NON_EXPORTABLE
    residency: Final = (Expected(name="hardware", value=False, why="an emulator is none"),)
    registered: Final = (AuditAction.HOST_ENROLLED, AuditAction.ENTRY_CREATED)

    def start_host(self, crew: Crew, server: str, issuer: str) -> Callable[[], Host]:
        """It makes its TPM meanwhile, which takes longest."""
        folder = str(crew.folder / "host")
        child = crew.start("host", "keystead.demo.host", folder, server, issuer)

        def ready() -> Host:
            said = child.read(timeout_s=READY_TIMEOUT_S)
            return Host(child=child, said=said, agent=AGENT_ID, signer="the TPM")

        return ready

    def configure(self, settings: DevSettings, host: Host) -> DevSettings:
        """TPMs under the CA of the host's manufacturer are believed, and no others."""
        ca = _file(host, "ca").read_bytes()
        return dataclasses.replace(settings, anchors={"host-ek-ca.pem": ca})

    def check_apart(self, scene: Scene, eks: set[str]) -> None:
        """Two TPMs."""
        ek = _ek(scene.stage.host)
        scene.story.check(ek not in eks, f"host's EK     {ek}: another TPM")

    def enrol(self, scene: Scene) -> None:
        """Vouch for the host, and register the agent below it."""
        with scene.story.step("enrol", "vouches for the host, registers the agent below it"):
            host, check = scene.stage.host, scene.story.check
            files = (
                *("--ek-public", str(_file(host, "ek_public"))),
                *("--ek-certificate", str(_file(host, "ek_certificate"))),
            )
            enrolled = scene.keystead("hosts", "enrol", HOST_ID, *files, *_NO_CREDENTIAL)
            check(enrolled["ek"] == _ek(host), f"the EK of {text(enrolled, 'spiffe_id')} is pinned")
            check(enrolled["enrolled_by"] == ADMIN_SOCKET, f"enrolled by {ADMIN_SOCKET!r}")
            entry = scene.keystead("entries", "create", AGENT_ID, "--parent", HOST_ID)
            check(entry["ek"] == _ek(host), f"{text(entry, 'spiffe_id')} only with that EK")
            by = text(entry, "created_by")
            check(True, f"created by operator {by!r}, whose credential was shown")

    def check_result(
        self, scene: Scene, submodule: Mapping[str, JSON], *, issuer_ek: str, challenged: bool
    ) -> None:
        """The enrolled TPM quoted itself and certified the key."""
        check = scene.story.check
        evidence = json.get_object(submodule, "keystead.evidence")
        pcrs = json.get_object(json.get_object(evidence, "pcrs"), "sha256")
        check(
            evidence["ek"] == _ek(scene.stage.host), "credential activation: it is the enrolled EK"
        )
        check(evidence["ek"] != issuer_ek, "which is not the EK of the service's TPM")
        check(challenged, f"quote over {len(pcrs)} PCRs, for this challenge")
        check(
            text(submodule, "keystead.residency", "protection") == "non-exportable",
            "the TPM certified the key: made there, cannot leave it",
        )
        status = text(submodule, "ear.status")
        check(
            evidence["anchor_class"] == "emulated" and status == "warning",
            f"EK chain ends in an emulator's CA: status {status!r}, never better",
        )

    def attack(self, scene: Scene) -> list[Refusal]:
        """Nothing beyond what is tried with every kind."""
        return []

    def eks(self, host: Host) -> dict[str, JSON]:
        """The host's."""
        return {"host": _ek(host)}


def _ek(host: Host) -> str:
    return text(host.said, "ek")


def _file(host: Host, name: str) -> Path:
    return Path(text(host.said, name))
