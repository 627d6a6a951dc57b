"""What the doors of a server, ASGI and gRPC, do alike: admit or refuse, and log it in one line."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from keystead.errors import KeysteadError
from keystead.model import VerifiedToken
from keystead.ports import Clock
from keystead.relying.challenge import Challenge, challenge_for, challenge_missing
from keystead.relying.credentials import Scheme, parse_authorization
from keystead.relying.verifier import Verifier

# Paths are the sender's; the log line stays a line.
_MAX_LOGGED_CHARS = 200
_log = logging.getLogger("keystead.relying")


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """What a request presented: the values of its headers, and what it asks for."""

    authorization: Sequence[str] = field(repr=False)
    proofs: Sequence[str] = field(repr=False)
    method: str
    url: str
    scopes: frozenset[str] = frozenset()


class Door:
    """Admits requests by one verifier; from now on, by the clock, for its own memory of proofs."""

    def __init__(self, verifier: Verifier, clock: Clock) -> None:
        self._verifier = verifier
        self._clock = clock
        verifier.refuse_proofs_before(clock.now())

    def nonce(self) -> str | None:
        """The nonce that the next proof must carry, if proofs must carry one."""
        nonces = self._verifier.nonces
        return nonces.current(now=self._clock.now()) if nonces is not None else None

    def admit(self, presented: Presented) -> VerifiedToken | Challenge:
        """The token behind the request, or how to refuse it."""
        try:
            found = self._token_and_proof(presented)
            if found is None:
                return self._without_credentials(presented)
            token = self._verifier.verify_request(
                *found,
                presented.method,
                presented.url,
                now=self._clock.now(),
                scopes=presented.scopes,
                explain=False,  # the log has no detail, and strangers shall not make us look twice
            )
        except KeysteadError as error:
            return self._refused(presented, error)
        return _admitted(presented, token)

    async def admit_async(self, presented: Presented) -> VerifiedToken | Challenge:
        """As ``admit``, without ever holding up the event loop for the issuer's keys."""
        try:
            found = self._token_and_proof(presented)
            if found is None:
                return self._without_credentials(presented)
            token = await self._verifier.verify_request_async(
                *found,
                presented.method,
                presented.url,
                now=self._clock.now(),
                scopes=presented.scopes,
                explain=False,  # the log has no detail, and strangers shall not make us look twice
            )
        except KeysteadError as error:
            return self._refused(presented, error)
        return _admitted(presented, token)

    def _token_and_proof(self, presented: Presented) -> tuple[str, Sequence[str] | None] | None:
        credentials = parse_authorization(
            presented.authorization, bearer_allowed=not self._verifier.dpop_required
        )
        if credentials is None:
            return None
        # RFC 9449 §7.2: a bound token is not accepted as Bearer, whatever else was sent.
        proofs = presented.proofs if credentials.scheme is Scheme.DPOP else None
        return credentials.token, proofs

    def _without_credentials(self, presented: Presented) -> Challenge:
        if _log.isEnabledFor(logging.INFO):
            _log.info("event=refused status=401 reason=no_credentials %s", _place(presented))
        return challenge_missing()

    def _refused(self, presented: Presented, error: KeysteadError) -> Challenge:
        challenge = challenge_for(error, self._verifier.requirements, scopes=presented.scopes)
        if _log.isEnabledFor(logging.INFO):
            _log.info(
                "event=refused status=%d error=%s reason=%s step=%s %s",
                challenge.status,
                challenge.error,
                error.reason.value,
                error.step if error.step is None else int(error.step),
                _place(presented),
            )
        return challenge


def _admitted(presented: Presented, token: VerifiedToken) -> VerifiedToken:
    if _log.isEnabledFor(logging.INFO):
        _log.info(
            "event=admitted user=%s agent=%s jkt=%s jti=%s %s",
            _quoted(token.user),
            _quoted(token.agent),
            token.jkt,
            _quoted(token.jti),
            _place(presented),
        )
    return token


def _place(presented: Presented) -> str:
    return f"method={_quoted(presented.method)} url={_quoted(presented.url)}"


def _quoted(text: str) -> str:
    """As a JSON string: no space, quote or line break of the sender's ends a field."""
    return json.dumps(text[:_MAX_LOGGED_CHARS])
