"""What came back over HTTP, whether asked here or told by the host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from keystead.codec import json
from keystead.codec.json import JSON
from keystead.demo.failure import StepFailed
from keystead.demo.story import Story

_TIMEOUT_S = 20.0
_MAX_BODY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A status and a JSON body."""

    status: int
    body: Mapping[str, JSON]
    challenge: str = ""
    """``WWW-Authenticate``, if there was one."""

    @property
    def error(self) -> str:
        """The OAuth error code of a refusal."""
        return json.find_str(self.body, "error") or ""

    @property
    def reason(self) -> str:
        """Keystead's reason: the API's ``reason``, the token endpoint's ``error_description``."""
        name = "reason" if "reason" in self.body else "error_description"
        return json.find_str(self.body, name) or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What somebody tried, and what they were told."""

    attempt: str
    status: int
    error: str
    reason: str


class Web:
    """Plain HTTP to the demo's own processes; the environment's proxies are not asked."""

    def __init__(self) -> None:
        self._http = httpx.Client(timeout=_TIMEOUT_S, trust_env=False, follow_redirects=False)

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        """GET a JSON document, whatever the status."""
        response = self._send("GET", url, headers or {})
        return Answer(
            status=response.status_code,
            body=json.parse_object(response.content, max_bytes=_MAX_BODY_BYTES),
            challenge=response.headers.get("WWW-Authenticate", ""),
        )

    def get_text(self, url: str) -> str:
        """GET what is no JSON; StepFailed unless it is there."""
        response = self._send("GET", url, {})
        if response.status_code != httpx.codes.OK:
            raise StepFailed(f"{url} answers {response.status_code}")
        return response.text

    def get_document(self, url: str) -> dict[str, JSON]:
        """GET a JSON document; StepFailed unless it is there."""
        return json.parse_object(self.get_text(url), max_bytes=_MAX_BODY_BYTES)

    def post(self, url: str, parameters: Mapping[str, str]) -> dict[str, JSON]:
        """POST with a query; StepFailed unless the answer is 200."""
        response = self._send("POST", str(httpx.URL(url, params=parameters)), {})
        if response.status_code != httpx.codes.OK:
            raise StepFailed(f"{url} answers {response.status_code}")
        return json.parse_object(response.content, max_bytes=_MAX_BODY_BYTES)

    def _send(self, method: str, url: str, headers: Mapping[str, str]) -> httpx.Response:
        try:
            return self._http.request(method, url, headers=dict(headers))
        except httpx.HTTPError as error:
            raise StepFailed(f"{method} {url}: {error}") from None


def told(answer: Mapping[str, JSON]) -> Answer:
    """An answer that the host passes on."""
    status = json.get_int(answer, "status")
    return Answer(status=status, body=json.get_object(answer, "body"))


def refused(
    story: Story, attempt: str, answer: Answer, *, status: int, error: str, reason: str
) -> Refusal:
    """The refusal that ``answer`` is, if it is the expected one."""
    found = Refusal(attempt=attempt, status=answer.status, error=answer.error, reason=answer.reason)
    expected = Refusal(attempt=attempt, status=status, error=error, reason=reason)
    what = f"{found.status} {found.error}, reason {found.reason}"
    story.check(found == expected, f"refused: {what}")
    return found
