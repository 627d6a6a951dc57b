"""What an endpoint answers, and how an error looks over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from keystead.codec import json
from keystead.codec.json import JSON
from keystead.errors import KeysteadError, Reason
from keystead.server.status import INTERNAL, INTERNAL_REASON, retry_after_s, status_of

Header = tuple[bytes, bytes]

JSON_TYPE: Header = (b"content-type", b"application/json")
NO_STORE: Header = (b"cache-control", b"no-store")
NO_SNIFF: Header = (b"x-content-type-options", b"nosniff")
CHALLENGE: Header = (b"www-authenticate", b'Bearer realm="keystead"')
CLOSE: Header = (b"connection", b"close")


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole response; ``reason`` is set on refusals, for the metrics."""

    status: int
    body: bytes
    headers: tuple[Header, ...]
    reason: str | None = None

    def plus(self, *headers: Header) -> Answer:
        """The same with more headers."""
        return Answer(self.status, self.body, (*self.headers, *headers), self.reason)


def json_answer(document: Mapping[str, JSON], *, cache: Header = NO_STORE) -> Answer:
    """200 with a JSON document."""
    return Answer(200, json.encode(document), (JSON_TYPE, cache, NO_SNIFF))


def refusal(error: KeysteadError) -> Answer:
    """An error as RFC 6749 §5.2 writes it: the code, and the reason as its description."""
    status = status_of(error)
    headers = [JSON_TYPE, NO_STORE, NO_SNIFF]
    wait_s = retry_after_s(error)
    if wait_s is not None:
        headers.append((b"retry-after", b"%d" % wait_s))
    if status.http == 401:
        headers.append(CHALLENGE)
    if status.http == 408:
        headers.append(CLOSE)
    return Answer(status.http, _error(status.oauth, error.reason), tuple(headers), error.reason)


def unauthenticated(error: KeysteadError) -> Answer:
    """A role is missing because nothing was shown: 401, so that the client shows something."""
    body = _error("invalid_client", error.reason)
    return Answer(401, body, (JSON_TYPE, NO_STORE, NO_SNIFF, CHALLENGE), Reason.ROLE_REQUIRED)


def internal(correlation: str) -> Answer:
    """A bug, and where the log has it."""
    body = json.encode(
        {
            "error": INTERNAL.oauth,
            "error_description": INTERNAL_REASON,
            "correlation_id": correlation,
        }
    )
    return Answer(INTERNAL.http, body, (JSON_TYPE, NO_STORE, NO_SNIFF), INTERNAL_REASON)


def _error(code: str, reason: str) -> bytes:
    return json.encode({"error": code, "error_description": reason})
