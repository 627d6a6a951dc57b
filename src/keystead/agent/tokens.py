"""An access token that is always there: exchanged, kept, renewed.

    nothing yet ──exchange──▶ a token ──shortly before it ends──▶ renewal by its refresh token
                                 ▲                                   │ none, or the grant ended
                                 └────────── exchange again ◀────────┘ (with a subject token only)

A grant that the user revoked ends it all: no exchange works around a user's no.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from keystead.agent.endpoint import KeyHolder, TokenAnswer, TokenEndpoint, check_bound
from keystead.errors import ConfigurationError, Reason, Refused, Unavailable
from keystead.ports import Clock

TOKEN_EXCHANGE_GRANT: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN_TYPE: Final = "urn:ietf:params:oauth:token-type:access_token"
JWT_TYPE: Final = "urn:ietf:params:oauth:token-type:jwt"

RENEW_BEFORE_S: Final = 30
"""Time for a renewal, its retries and the last requests with the old token; never more than a
quarter of a token's life."""
KEEP_FRESH_S: Final = 10
"""A token this young is not renewed because an API refuses it: the fault is elsewhere."""

SubjectToken = str | Callable[[], str | None]

# The grant is over, but the user may have given another one.
_GRANT_OVER: Final = frozenset({Reason.GRANT_UNKNOWN, Reason.GRANT_EXPIRED, Reason.CLIENT_MISMATCH})


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What tokens are asked for: one audience (RFC 8693) or resource (RFC 8707), and scopes."""

    audience: str | None = None
    resource: str | None = None
    scope: str = ""

    def __post_init__(self) -> None:
        if (self.audience is None) == (self.resource is None):
            raise ConfigurationError(
                Reason.CONFIGURATION_INVALID, "give an audience or a resource, one of them"
            )

    def form(self) -> dict[str, str]:
        """The parameters of a token request."""
        single = {"audience": self.audience, "resource": self.resource, "scope": self.scope}
        return {name: value for name, value in single.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """A token and its times, in Unix seconds; ``jkt`` is the key that it is bound to."""

    value: str = field(repr=False)
    scope: str | None
    jkt: str
    obtained_at: int
    renew_at: int
    expires_at: int


class TokenSource:
    """Gives a token that is good now. Threads may share one; one of them renews."""

    def __init__(
        self,
        endpoint: TokenEndpoint,
        *,
        holder: KeyHolder,
        target: Target,
        subject_token: SubjectToken,
        subject_token_type: str = ACCESS_TOKEN_TYPE,
        clock: Clock,
    ) -> None:
        self._endpoint = endpoint
        self._holder = holder
        self._target = target
        self._subject_token = subject_token
        self._subject_token_type = subject_token_type
        self._clock = clock
        self._lock = threading.Lock()
        self._token: AccessToken | None = None
        self._refresh: TokenAnswer | None = None
        self._ended: Refused | None = None

    def ready(self) -> AccessToken | None:
        """The token, if nothing has to be done for it: never waits."""
        token = self._token
        return token if token is not None and self._usable(token, until=token.renew_at) else None

    def current(self) -> AccessToken:
        """A token that is good now, got or renewed if need be.

        Raises:
            Refused: the server's no; grant_revoked stays so for good.
            Unavailable: no token, and none to be had now.
        """
        token = self.ready()
        if token is not None:
            return token
        spare = self._spare()
        # While one thread renews, the others go on with what is still good.
        if not self._lock.acquire(blocking=spare is None) and spare is not None:
            return spare
        try:
            return self.ready() or self._renewed()
        except Unavailable as error:
            return self._postpone(error)
        finally:
            self._lock.release()

    def replace(self, refused: AccessToken) -> AccessToken | None:
        """Another token for one that an API refuses; None where that would not help."""
        with self._lock:
            if self._token is refused:
                if self._clock.now() - refused.obtained_at < KEEP_FRESH_S:
                    return None
                self._token = None
        return self.current()

    def renew(self) -> AccessToken:
        """A new token now, whatever is left of the old one; raises as ``current``."""
        with self._lock:
            return self._renewed()

    def _spare(self) -> AccessToken | None:
        """The token until its very end, for when a newer one is not to be had at once."""
        token = self._token
        return token if token is not None and self._usable(token, until=token.expires_at) else None

    def _usable(self, token: AccessToken, *, until: int) -> bool:
        return (
            self._ended is None
            and token.obtained_at <= self._clock.now() < until
            and token.jkt == self._holder.jkt
        )

    def _renewed(self) -> AccessToken:
        if self._ended is not None:
            raise Refused(self._ended.reason, self._ended.detail)
        self._holder.attest_if_due()
        try:
            answer = check_bound(self._ask())
        except Refused as error:
            if error.reason is Reason.GRANT_REVOKED:
                self._ended, self._token, self._refresh = error, None, None
            raise
        return self._keep(answer)

    def _ask(self) -> TokenAnswer:
        refresh = self._refresh
        if refresh is None or refresh.jkt != self._holder.jkt:
            return self._exchange(None)
        try:
            return self._endpoint.ask(
                {
                    "grant_type": "refresh_token",
                    "refresh_token": refresh.refresh_token or "",
                    **self._target.form(),
                }
            )
        except Refused as error:
            if error.reason not in _GRANT_OVER:
                raise
            self._refresh = None
            return self._exchange(error)

    def _exchange(self, grant_over: Refused | None) -> TokenAnswer:
        subject_token = self._subject_token
        found = subject_token if isinstance(subject_token, str) else subject_token()
        if not found:
            raise grant_over or Refused(
                Reason.SUBJECT_TOKEN_INVALID, "there is no subject token to exchange"
            )
        return self._endpoint.ask(
            {
                "grant_type": TOKEN_EXCHANGE_GRANT,
                "subject_token": found,
                "subject_token_type": self._subject_token_type,
                **self._target.form(),
            }
        )

    def _keep(self, answer: TokenAnswer) -> AccessToken:
        now = self._clock.now()
        if answer.refresh_token is not None:
            self._refresh = answer
        self._token = token = AccessToken(
            value=answer.access_token,
            scope=answer.scope,
            jkt=answer.jkt,
            obtained_at=now,
            renew_at=now + answer.expires_in_s - min(RENEW_BEFORE_S, answer.expires_in_s // 4),
            expires_at=now + answer.expires_in_s,
        )
        return token

    def _postpone(self, error: Unavailable) -> AccessToken:
        """Go on with the old token for as long as it is good; ask again when the server likes."""
        spare = self._spare()
        if spare is None:
            raise error
        renew_at = min(self._clock.now() + error.retry_after_s, spare.expires_at)
        self._token = replace(spare, renew_at=renew_at)
        return self._token
