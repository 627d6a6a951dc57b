"""What must not work, tried for real."""

from __future__ import annotations

from uuid import uuid4

from keystead.demo import api
from keystead.demo.delegation import Call, Delegated
from keystead.demo.scene import Scene
from keystead.demo.software_key import SoftwareKey
from keystead.demo.web import Refusal, refused, told

FOREIGN_AUDIENCE = "https://payroll.example"


def steal_token(scene: Scene, call: Call) -> Refusal:
    """The thief has the token, and makes a good proof with a key of its own."""
    with scene.story.step("thief", "the same token, with a proof by another key"):
        thief = SoftwareKey()
        proof = thief.prove(
            method=call.method,
            url=call.url,
            jti=str(uuid4()),
            issued_at=scene.clock.now(),
            access_token=call.access_token,
        )
        scene.story.note(f"the thief's key: {thief.public.thumbprint}")
        return _refused_by_api(
            scene,
            "a stolen token with another key",
            access_token=call.access_token,
            proof=proof,
            url=call.url,
            error="invalid_token",
            reason="key_binding_mismatch",
        )


def replay_proof(scene: Scene, call: Call) -> Refusal:
    """The thief has token and proof, and sends both again."""
    with scene.story.step("replay", "the whole request that was answered, once more"):
        return _refused_by_api(
            scene,
            "a replayed proof",
            access_token=call.access_token,
            proof=call.dpop_proof,
            url=call.url,
            error="invalid_dpop_proof",
            reason="proof_replayed",
        )


def widen_scope(scene: Scene, delegated: Delegated) -> Refusal:
    """The agent asks for more than the policy lets it have; the API does know that scope."""
    wider = f"{api.READ_SCOPE} {api.WRITE_SCOPE}"
    with scene.story.step("wider_scope", f"the agent asks for {wider!r}"):
        answer = scene.ask_host(
            "exchange",
            subject_token=delegated.subject_token,
            audience=scene.stage.audience,
            scope=wider,
        )
        return refused(
            scene.story,
            "a wider scope",
            told(answer),
            status=400,
            error="invalid_scope",
            reason="scope_not_allowed",
        )


def change_audience(scene: Scene, delegated: Delegated) -> Refusal:
    """The agent asks for a token for somebody else's API."""
    with scene.story.step("foreign_audience", f"the agent asks for {FOREIGN_AUDIENCE}"):
        answer = scene.ask_host(
            "exchange",
            subject_token=delegated.subject_token,
            audience=FOREIGN_AUDIENCE,
            scope=api.READ_SCOPE,
        )
        return refused(
            scene.story,
            "a foreign audience",
            told(answer),
            status=400,
            error="invalid_target",
            reason="audience_not_allowed",
        )


def _refused_by_api(
    scene: Scene,
    attempt: str,
    *,
    access_token: str,
    proof: str,
    url: str,
    error: str,
    reason: str,
) -> Refusal:
    answer = scene.web.get(url, {"Authorization": f"DPoP {access_token}", "DPoP": proof})
    scene.story.check(answer.challenge.startswith("DPoP "), "WWW-Authenticate: DPoP …")
    return refused(scene.story, attempt, answer, status=401, error=error, reason=reason)
