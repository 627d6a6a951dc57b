"""What every step has at hand, and the questions that several of them ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from keystead.codec import json
from keystead.codec.json import JSON
from keystead.demo.children import run_keystead
from keystead.demo.failure import StepFailed
from keystead.demo.stage import Stage
from keystead.demo.story import Story
from keystead.demo.web import Web
from keystead.jose.jwk import parse_set
from keystead.jose.jwt import Jwt, verify_jwt
from keystead.ports import Clock

# An attestation makes two keys and signs four times; on a chip that takes seconds.
_HOST_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The running parts and the one who tells."""

    stage: Stage
    story: Story
    web: Web
    clock: Clock

    def ask_host(self, what: str, **parameters: str) -> dict[str, JSON]:
        """What the workload's host answers."""
        answer = self.stage.host.child.ask({"do": what, **parameters}, timeout_s=_HOST_TIMEOUT_S)
        if "failed" in answer:
            raise StepFailed(f"the host cannot {what}: {answer['failed']}")
        return answer

    def keystead(self, *arguments: str) -> dict[str, JSON]:
        """What an administration command answers; it is shown as one would type it."""
        self.story.note("$ keystead " + " ".join(self._shown(part) for part in arguments))
        state = () if arguments[0] == "verify-issuer" else ("--state", str(self.stage.state))
        return run_keystead([*arguments, *state], log=self.stage.folder / "commands.log")

    def verify(self, token: str, *, purpose: str, typ: str, audience: str | None) -> Jwt:
        """A token of the service's, checked with the keys that it publishes for ``purpose``."""
        url = f"{self.stage.issuer}/jwks/{purpose}"
        jwt = verify_jwt(
            token,
            keys=parse_set(self.web.get_document(url)),
            types=frozenset({typ}),
            issuer=self.stage.issuer,
            audience=audience,
            now=self.clock.now(),
        )
        self.story.passed(f"signature by {jwt.key.kid}, which {url} lists")
        return jwt

    def _shown(self, argument: str) -> str:
        return argument.replace(f"{self.stage.folder}/", "")


def text(obj: Mapping[str, JSON], *path: str) -> str:
    """A string inside nested objects."""
    *outer, last = path
    for name in outer:
        obj = json.get_object(obj, name)
    return json.get_str(obj, last, max_chars=65_536)
