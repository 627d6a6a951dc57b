"""Evidence of kind ``oidc``: a token in which an identity provider names a workload.

Where the workload chooses its token's audience, the audience is the answer to the challenge:

    keystead:<base64url of the challenge's nonce ‖ the binding hash of the key>
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from keystead.codec import base64url, json
from keystead.codec.json import JSON
from keystead.errors import Malformed
from keystead.evidence.challenge import NONCE_BYTES
from keystead.evidence.envelope import Submission
from keystead.evidence.signed_token import SignedToken, parse_token
from keystead.jose.jwk import PublicJwk
from keystead.jose.jws import MAX_TOKEN_BYTES

AUDIENCE_PREFIX: Final = "keystead:"
"""A URI scheme, since some platforms want an audience to be a URI."""

ANSWER_BYTES: Final = NONCE_BYTES + 32
"""The nonce and a SHA-256."""

_MEMBERS: Final = frozenset({"token"})


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcEvidence:
    """What arrived; ``nonce`` and ``key`` are the envelope's."""

    nonce: bytes | None
    key: PublicJwk | None
    token: SignedToken


def parse(submission: Submission) -> OidcEvidence:
    """The token of ``submission``; ``Malformed``."""
    members = submission.evidence
    json.refuse_other_members(members, _MEMBERS)
    text = json.get_str(members, "token", max_chars=MAX_TOKEN_BYTES)
    return OidcEvidence(
        nonce=submission.nonce,
        key=submission.key,
        token=parse_token(text, max_bytes=MAX_TOKEN_BYTES),
    )


def encode(*, token: str) -> dict[str, JSON]:
    """The ``evidence`` member of an envelope: ``token`` as the platform gave it."""
    return {"token": token}


def audience(answer: bytes) -> str:
    """The audience to ask the platform for: ``answer`` is nonce ‖ binding hash."""
    return AUDIENCE_PREFIX + base64url.encode(answer)


def answer_of(audience: str) -> bytes | None:
    """Nonce ‖ binding hash, where ``audience`` is an answer to a challenge at all."""
    if not audience.startswith(AUDIENCE_PREFIX):
        return None
    try:
        answer = base64url.decode(audience.removeprefix(AUDIENCE_PREFIX), max_bytes=ANSWER_BYTES)
    except Malformed:
        return None
    return answer if len(answer) == ANSWER_BYTES else None
