"""The audit trail of what the demo did: complete, whole, and not rolled back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keystead.codec import json
from keystead.demo import oidc_issuer
from keystead.demo.delegation import Bound, Delegated
from keystead.demo.scene import Scene
from keystead.demo.stage import AGENT_ID
from keystead.demo.web import Refusal
from keystead.model import AuditAction

_EXPECTED = (
    AuditAction.HOST_ENROLLED,
    AuditAction.ENTRY_CREATED,
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
    scene: Scene, *, bound: Bound, delegated: Delegated, refusals: Sequence[Refusal]
) -> Audit:
    """Who did what for whom is there; then the chain, its checkpoints and the TPM's counter."""
    with scene.story.step("audit", "the service's own record of all this"):
        _check_events(scene, bound=bound, delegated=delegated, refusals=refusals)
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


def _check_events(
    scene: Scene, *, bound: Bound, delegated: Delegated, refusals: Sequence[Refusal]
) -> None:
    check = scene.story.check
    events = json.get_object_list(scene.keystead("audit", "list"), "events", max_items=100_000)
    actions = {event["action"] for event in events}
    missing = [action.value for action in _EXPECTED if action.value not in actions]
    check(not missing, f"every kind of event is there{''.join(f', but not {m}' for m in missing)}")
    issued = [event for event in events if event["object"] == delegated.jti]
    check(
        [(e["sub"], e["actors"], e["jkt"]) for e in issued]
        == [(oidc_issuer.USER, [AGENT_ID], bound.jkt)],
        "the last token: its user, its agent, its key",
    )
    recorded = {event["reason"] for event in events}
    by_service = {refusal.reason for refusal in refusals if refusal.status == 400}
    check(by_service <= recorded, f"refusals: {', '.join(sorted(by_service))}")
