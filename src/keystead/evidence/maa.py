"""Evidence of kind ``maa``: a token of Microsoft Azure Attestation.

The workload sends its answer to the challenge as the ``nonce`` of the client's payload, which the
service puts into the token: base64url of the challenge's nonce ‖ the binding hash of the key, or of
the nonce alone where the key stands among the runtime's ``keys``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from keystead.codec import base64url, json, maa
from keystead.codec.json import JSON
from keystead.codec.maa import MaaClaims, parse_claims
from keystead.evidence.challenge import NONCE_BYTES
from keystead.evidence.envelope import Submission
from keystead.evidence.signed_token import SignedToken, parse_token
from keystead.jose.jwk import PublicJwk

MAX_TOKEN_BYTES: Final = 32_768
"""The service's own claims are some five kilobytes; the rest is what clients send."""

ANSWER_BYTES: Final = NONCE_BYTES + 32
"""The nonce and a SHA-256."""

_MEMBERS: Final = frozenset({"token", "jwks"})


@dataclass(frozen=True, slots=True, kw_only=True)
class MaaEvidence:
    """What arrived; ``nonce`` and ``key`` are the envelope's.

    ``answer`` is the client's nonce where it is an answer of ours: 32 bytes, or 64. ``jwks`` came
    with the token and proves nothing.
    """

    nonce: bytes | None
    key: PublicJwk | None
    token: SignedToken
    claims: MaaClaims
    answer: bytes | None
    jwks: dict[str, JSON] | None = field(repr=False)


def parse(submission: Submission) -> MaaEvidence:
    """The token of ``submission``; ``Malformed``."""
    members = submission.evidence
    json.refuse_other_members(members, _MEMBERS)
    text = json.get_str(members, "token", max_chars=MAX_TOKEN_BYTES)
    token = parse_token(text, max_bytes=MAX_TOKEN_BYTES)
    claims = parse_claims(token.claims)
    answer = maa.decode_client_nonce(claims.client_nonce, max_bytes=ANSWER_BYTES)
    return MaaEvidence(
        nonce=submission.nonce,
        key=submission.key,
        token=token,
        claims=claims,
        answer=answer if answer and len(answer) in (NONCE_BYTES, ANSWER_BYTES) else None,
        jwks=json.find_object(members, "jwks"),
    )


def encode(*, token: str, jwks: dict[str, JSON] | None = None) -> dict[str, JSON]:
    """The ``evidence`` member of an envelope; ``jwks`` for saved evidence whose keys are gone."""
    members: dict[str, JSON] = {"token": token}
    if jwks is not None:
        members["jwks"] = jwks
    return members


def client_nonce(answer: bytes) -> str:
    """What the client's payload has as ``nonce``."""
    return base64url.encode(answer)
