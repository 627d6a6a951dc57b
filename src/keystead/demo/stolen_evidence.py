"""A workload's token in other hands: what a thief can do with it at the service.

The thief opens an attestation of its own and fools the job into answering that challenge. So the
token is good, young and for the right challenge; only the key in its audience is the job's.
"""

from __future__ import annotations

from typing import Final

import grpc

from keystead.agent import DocumentHost, Workload
from keystead.codec import base64url, json
from keystead.codec.json import JSON
from keystead.demo.failure import StepFailed
from keystead.demo.scene import Scene
from keystead.demo.web import Answer, Refusal, refused
from keystead.errors import KeysteadError
from keystead.jose.jwk import PublicJwk
from keystead.model import EvidenceKind


class FooledJob:
    """Collects the job's answers to the thief's challenges, whatever the thief's key is."""

    kind: Final = EvidenceKind.OIDC

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.taken: dict[str, JSON] = {}

    def collect(self, *, key: PublicJwk, issuer: str, nonce: bytes) -> dict[str, JSON]:
        answer = self._scene.ask_host("answer", issuer=issuer, nonce=base64url.encode(nonce))
        self.taken = json.get_object(answer, "evidence")
        return self.taken


class Taken:
    """Shows again what was taken before."""

    kind: Final = EvidenceKind.OIDC

    def __init__(self, evidence: dict[str, JSON]) -> None:
        self._evidence = evidence

    def collect(self, *, key: PublicJwk, issuer: str, nonce: bytes) -> dict[str, JSON]:
        return self._evidence


def attack(scene: Scene) -> list[Refusal]:
    """The stolen token with the thief's key; then the same token for another challenge."""
    fooled = FooledJob(scene)
    with scene.story.step("stolen_evidence", "the job's token, with a key of the thief's to bind"):
        wrong_key = _refused(
            scene, fooled, "a stolen workload token for another key", reason="key_mismatch"
        )
        scene.story.note("the token's audience names the job's key")
    with scene.story.step("used_evidence", "the same token, for a second attestation"):
        wrong_challenge = _refused(
            scene,
            Taken(fooled.taken),
            "a workload token for another challenge",
            reason="nonce_mismatch",
        )
        scene.story.note("its audience answers the first challenge alone")
    return [wrong_key, wrong_challenge]


def _refused(scene: Scene, collector: FooledJob | Taken, attempt: str, *, reason: str) -> Refusal:
    """The service's no over gRPC: ``status`` is the number of its code, ``error`` the name."""
    code, said = _attest(scene, DocumentHost(collector))
    number, _ = code.value
    answer = Answer(status=number, body={"error": code.name, "reason": said})
    denied = grpc.StatusCode.PERMISSION_DENIED
    return refused(
        scene.story, attempt, answer, status=denied.value[0], error=denied.name, reason=reason
    )


def _attest(scene: Scene, host: DocumentHost) -> tuple[grpc.StatusCode, str]:
    stage = scene.stage
    with Workload(host, server=stage.server, issuer=stage.issuer) as thief:
        scene.story.note(f"the thief's key: {thief.jkt}")
        try:
            thief.attest()
        except KeysteadError as error:
            if isinstance(error.__cause__, grpc.RpcError):
                return error.__cause__.code(), error.reason.value
            raise
    raise StepFailed("the thief's key was bound")
