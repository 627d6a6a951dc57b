"""The agent in a workload's process: it answers one JSON line with another.

    {"do": "attest"}                                            prove the key, have it bound
    {"do": "exchange", "subject_token", "audience", "scope"}    a token; kept if there is one
    {"do": "call", "url"}                                       GET, with that token and a proof
    {"do": "renew"}                                             another token, by the grant's handle

Whatever the token endpoint answers is told as it came: ``{"status", "body"}``. The refresh token
never leaves this process.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

import httpx

from keystead.agent import KeysteadAuth, Workload
from keystead.codec import json
from keystead.codec.json import JSON
from keystead.errors import KeysteadError, Malformed, Reason, Unavailable

_TIMEOUT_S = 20.0
# The demo's own lines, with a subject token in them.
_MAX_LINE_BYTES = 65_536


class TokenAnswers:
    """The last thing that the token endpoint answered to the agent."""

    def __init__(self) -> None:
        self.last: dict[str, JSON] | None = None

    def note(self, response: httpx.Response) -> None:
        """An ``httpx`` event hook."""
        body = json.parse_object(response.read(), max_bytes=_MAX_LINE_BYTES)
        if "refresh_token" in body:
            body["refresh_token"] = "(kept by the host)"
        self.last = {"status": response.status_code, "body": body}


class Agent:
    """One workload and the tokens that it gets."""

    def __init__(self, workload: Workload, answers: TokenAnswers) -> None:
        self.workload = workload
        self._answers = answers
        self._auth: KeysteadAuth | None = None

    def answer(self, request: Mapping[str, JSON]) -> dict[str, JSON]:
        """Do what the line says; a refusal by the token endpoint is an answer, too."""
        match json.get_str(request, "do"):
            case "attest":
                return self._attest()
            case "exchange":
                return self._exchange(request)
            case "renew":
                return self._asked(self._authorized().tokens.renew)
            case "call":
                return self._call(json.get_str(request, "url"))
            case other:
                raise Malformed(Reason.PARAMETER_INVALID, f"cannot {other}")

    def _attest(self) -> dict[str, JSON]:
        binding = self.workload.attest()
        return {
            "spiffe_id": binding.spiffe_id,
            "jkt": binding.jkt,
            "result_id": binding.result_id,
            "ear": binding.ear,
            "expires_at": binding.expires_at,
        }

    def _exchange(self, request: Mapping[str, JSON]) -> dict[str, JSON]:
        auth = self.workload.auth(
            json.get_str(request, "subject_token"),
            audience=json.get_str(request, "audience"),
            scope=json.get_str(request, "scope"),
        )
        answer = self._asked(auth.tokens.current)
        if answer.get("status") == httpx.codes.OK:
            self._auth = auth
        return answer

    def _asked(self, ask: Callable[[], object]) -> dict[str, JSON]:
        """What the token endpoint answered, yes or no."""
        self._answers.last = None
        try:
            ask()
        except KeysteadError:
            if self._answers.last is None or self._answers.last["status"] == httpx.codes.OK:
                raise
        if self._answers.last is None:
            raise Unavailable(Reason.SERVER_UNAVAILABLE, "the token endpoint was not asked")
        return self._answers.last

    def _call(self, url: str) -> dict[str, JSON]:
        with httpx.Client(auth=self._authorized(), timeout=_TIMEOUT_S, trust_env=False) as http:
            response = http.get(url)
        sent = response.request
        return {
            "status": response.status_code,
            "body": json.parse_object(response.content, max_bytes=_MAX_LINE_BYTES),
            "method": sent.method,
            "url": str(sent.url),
            "access_token": sent.headers["Authorization"].removeprefix("DPoP "),
            "dpop_proof": sent.headers["DPoP"],
        }

    def _authorized(self) -> KeysteadAuth:
        if self._auth is None:
            raise Malformed(Reason.PARAMETER_INVALID, "there is no token yet")
        return self._auth


def answer_lines(agent: Agent) -> None:
    """Until standard input ends."""
    for line in sys.stdin.buffer:
        say(_answer(agent, line))


def token_client(answers: TokenAnswers) -> httpx.Client:
    """For the token endpoint, whose answers are noted."""
    return httpx.Client(trust_env=False, event_hooks={"response": [answers.note]})


def _answer(agent: Agent, line: bytes) -> dict[str, JSON]:
    try:
        return agent.answer(json.parse_object(line, max_bytes=_MAX_LINE_BYTES))
    except KeysteadError as error:
        return {"failed": str(error)}
    except httpx.HTTPError as error:
        return {"failed": f"{type(error).__name__}: {error}"}


def say(document: Mapping[str, JSON]) -> None:
    sys.stdout.buffer.write(json.encode(document) + b"\n")
    sys.stdout.buffer.flush()
