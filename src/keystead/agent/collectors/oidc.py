"""Evidence of kind ``oidc``: the token that a platform gives to this workload."""

from __future__ import annotations

from typing import Final

from keystead.agent.collectors.token_providers import TokenProvider
from keystead.binding.oidc import audience_for
from keystead.codec.json import JSON
from keystead.errors import EvidenceRejected, Malformed
from keystead.evidence import oidc
from keystead.evidence.signed_token import parse_token
from keystead.jose.jwk import PublicJwk
from keystead.jose.jws import MAX_TOKEN_BYTES
from keystead.model import EvidenceKind


class OidcCollector:
    """Asks ``provider`` for a token whose audience is the answer to the challenge.

    A provider that has tokens of a fixed audience alone gives one of those; the service then takes
    it as a bearer's, once, and while it is young.
    """

    kind: Final = EvidenceKind.OIDC

    def __init__(self, *, provider: TokenProvider) -> None:
        self._provider = provider

    def collect(self, *, key: PublicJwk, issuer: str, nonce: bytes) -> dict[str, JSON]:
        """A new token; raises as :class:`keystead.agent.collectors.Collector` says."""
        token = self._provider.token(audience_for(key, issuer=issuer, nonce=nonce))
        _check_token(token)
        return oidc.encode(token=token)


def _check_token(token: str) -> None:
    """A token with a header that no service here accepts is something else than was asked for."""
    try:
        parse_token(token, max_bytes=MAX_TOKEN_BYTES)
    except EvidenceRejected as error:
        raise Malformed(error.reason, error.detail) from error
