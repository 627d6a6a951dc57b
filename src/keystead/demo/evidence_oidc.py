"""The demo without hardware at the workload: a build job that its platform vouches for."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable, Mapping
from typing import Final

from keystead.codec import json
from keystead.codec.json import JSON
from keystead.demo import build_platform, stolen_evidence
from keystead.demo.children import READY_TIMEOUT_S
from keystead.demo.evidence import Expected
from keystead.demo.scene import Scene, text
from keystead.demo.stage import Crew, Host
from keystead.demo.web import Refusal
from keystead.dev import TRUST_DOMAIN, DevSettings
from keystead.model import AuditAction, EvidenceKind, Protection

AGENT_TEMPLATE = f"spiffe://{TRUST_DOMAIN}/ci/{{repository.owner}}/{{repository.name}}"
AGENT_ID = f"spiffe://{TRUST_DOMAIN}/ci/{build_platform.REPOSITORY}"
PROFILE = "github-actions"

# The profile says how the claims are written. The issuer is the stand-in, by the stand-in's key.
APPRAISAL = """\
# Which tokens of workloads are believed; docs/evidence/oidc.md explains every entry.
id = "demo-oidc"
version = 1

[[oidc.issuers]]
issuer = "{platform}"
profile = "{profile}"
jwks_url = "{platform}/jwks"
algorithms = ["ES256"]

[[oidc.issuers.rules]]
repository_id = ["{repository_id}"]
ref = ["refs/heads/main"]
"""


class JobEvidence:
    """Kind ``oidc``; satisfies :class:`keystead.demo.evidence.Evidence`."""

    kind: Final = EvidenceKind.OIDC
    banner: Final = """\
EMULATED HARDWARE: the service's TPM here is software (swtpm).
The workload has no hardware at all. Its platform's token proves
who the workload is and nothing about where its key lives; the
platform is a stand-in that vouches for whatever it is told to.
Every token says "protection": "none" and "hardware": false."""
    parts: Final = "service, identity provider, API, a build platform and a job of it"
    claim: Final = "the platform says who the job is, for the key in the job's memory"
    protection: Final = Protection.NONE
    residency: Final = (
        Expected(name="hardware", value=False, why="no hardware was shown"),
        Expected(name="protection", value="none", why="the key is in the job's memory"),
        Expected(name="freshness", value="challenged", why="the token answered a challenge"),
    )
    registered: Final = (AuditAction.ENTRY_CREATED,)

    def start_host(self, crew: Crew, server: str, issuer: str) -> Callable[[], Host]:
        """The platform, then its job, which is told of the platform by its environment."""
        credential = secrets.token_urlsafe(32)
        platform = crew.start(
            "build platform",
            "keystead.demo.build_platform",
            environment={build_platform.CREDENTIAL: credential},
        )
        url = text(platform.read(timeout_s=READY_TIMEOUT_S), "url")
        environment = build_platform.environment_of_job(url, credential=credential)
        job = crew.start("job", "keystead.demo.job", server, issuer, environment=environment)

        def ready() -> Host:
            said = {**job.read(timeout_s=READY_TIMEOUT_S), "platform": url}
            return Host(child=job, said=said, agent=AGENT_ID, signer="the job's key")

        return ready

    def configure(self, settings: DevSettings, host: Host) -> DevSettings:
        """Tokens of the stand-in for one repository are believed, and no other evidence."""
        policy = APPRAISAL.format(
            platform=_platform(host), profile=PROFILE, repository_id=build_platform.REPOSITORY_ID
        )
        return dataclasses.replace(settings, appraisal=policy)

    def check_apart(self, scene: Scene, eks: set[str]) -> None:
        """There is no other TPM."""
        scene.story.note("the only TPM here: the workload has none")

    def enrol(self, scene: Scene) -> None:
        """Register the job by what its platform says of it; no host is enrolled."""
        with scene.story.step("enrol", "registers the job by its platform's name for it"):
            selectors = {
                "anchor": _platform(scene.stage.host),
                "profile": PROFILE,
                "claims.repository_id": build_platform.REPOSITORY_ID,
            }
            options = [
                option
                for name, value in selectors.items()
                for option in ("--select", f"{name}={value}")
            ]
            entry = scene.keystead("entries", "create", AGENT_TEMPLATE, "--kind", "oidc", *options)
            shown = json.get_object(entry, "selectors")
            check = scene.story.check
            check(
                shown == {name: [value] for name, value in selectors.items()},
                f"only tokens of {selectors['anchor']}, only of repository "
                f"{build_platform.REPOSITORY_ID}",
            )
            check(entry["spiffe_id"] == AGENT_TEMPLATE, "the token's claims will fill the ID")
            by = text(entry, "created_by")
            check(True, f"created by operator {by!r}, whose credential was shown")

    def check_result(
        self, scene: Scene, submodule: Mapping[str, JSON], *, issuer_ek: str, challenged: bool
    ) -> None:
        """The platform named the job, for this challenge and this key."""
        check = scene.story.check
        evidence = json.get_object(submodule, "keystead.evidence")
        residency = json.get_object(submodule, "keystead.residency")
        check(evidence["anchor"] == _platform(scene.stage.host), "a token signed by that platform")
        repository = text(evidence, "claims", "repository_id")
        check(repository == build_platform.REPOSITORY_ID, f"its repository_id {repository}")
        check(
            challenged and residency["freshness"] == "challenged",
            "its audience answers this challenge and names the key",
        )
        check(
            (residency["protection"], residency["hardware"]) == ("none", False),
            "protection none, hardware false: where the key lives was not shown",
        )
        status = text(submodule, "ear.status")
        check(
            evidence["anchor_class"] == "identity-provider" and status == "warning",
            f"an identity provider vouches, no hardware: status {status!r}, never better",
        )

    def attack(self, scene: Scene) -> list[Refusal]:
        """A stolen token of the workload's, used by the thief."""
        return stolen_evidence.attack(scene)

    def eks(self, host: Host) -> dict[str, JSON]:
        """None."""
        return {}


def _platform(host: Host) -> str:
    return text(host.said, "platform")
