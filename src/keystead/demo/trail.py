"""The audit trail of what the demo did: complete, whole, and not rolled back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from keystead.codec import json
from keystead.codec.json import JSON
from keystead.demo import oidc_issuer
from keystead.demo.delegation import Bound, Delegated
from keystead.demo.evidence import Evidence
from keystead.demo.scene import Scene
from keystead.demo.web import Refusal
from keystead.model import AuditAction

Events = Sequence[Mapping[str, JSON]]

_EXPECTED = (
    AuditAction.KEY_PROVED,
    AuditAction.ATTESTATION_AFFIRMED,
    AuditAction.GRANT_CREATED,
    AuditAction.TOKEN_ISSUED,
    AuditAction.TOKEN_RENEWED,
    AuditAction.TOKEN_REFUSED,
    AuditAction.GRANT_REVOKED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What `keystead audit verify` found."""

    events: int
    verified: bool


def verify_trail(
    scene: Scene,
    evidence: Evidence,
    *,
    bound: Bound,
    delegated: Delegated,
    refusals: Sequence[Refusal],
) -> Audit:
    """Who did what for whom is there; then the chain, its checkpoints and the TPM's counter."""
    with scene.story.step("audit", "the service's own record of all this"):
        shown = scene.keystead("audit", "list")
        recorded = json.get_object_list(shown, "events", max_items=100_000)
        _check_actions(scene, recorded, expected=(*evidence.registered, *_EXPECTED))
        _check_events(scene, recorded, bound=bound, delegated=delegated, refusals=refusals)
        kept = str(scene.stage.folder / "checkpoint.jws")
        sealed = scene.keystead("audit", "checkpoint", "--out", kept)
        counter = json.get_int(sealed, "counter")
        report = scene.keystead("audit", "verify", "--checkpoint", kept)
        events, pinned = json.get_int(report, "events"), json.get_int(report, "pinned")
        check = scene.story.check
        check(
            report["verified"] is True, f"{events} events, each holding the hash of the one before"
        )
        check(
            json.get_int(sealed, "sequence") <= pinned <= events,
            f"{pinned} of them under a checkpoint that a TPM key signed",
        )
        check(
            json.get_int(report, "counter") >= counter,
            f"TPM counter {report['counter']}: not rolled back behind the kept checkpoint",
        )
    return Audit(events=events, verified=report["verified"] is True)


def _check_actions(scene: Scene, events: Events, *, expected: Sequence[AuditAction]) -> None:
    actions = {event["action"] for event in events}
    missing = "".join(f", but not {each.value}" for each in expected if each.value not in actions)
    scene.story.check(not missing, f"every kind of event is there{missing}")


def _check_events(
    scene: Scene,
    events: Events,
    *,
    bound: Bound,
    delegated: Delegated,
    refusals: Sequence[Refusal],
) -> None:
    check = scene.story.check
    issued = [event for event in events if event["object"] == delegated.jti]
    check(
        [(e["sub"], e["actors"], e["jkt"]) for e in issued]
        == [(oidc_issuer.USER, [scene.stage.host.agent], bound.jkt)],
        "the last token: its user, its agent, its key",
    )
    recorded = {event["reason"] for event in events}
    by_endpoint = {refusal.reason for refusal in refusals if refusal.status == 400}
    check(by_endpoint <= recorded, f"refusals: {', '.join(sorted(by_endpoint))}")
