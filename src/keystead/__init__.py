"""Keystead: hardware-bound delegated tokens, and the fastest way to check them.

    import time
    from keystead import KeysteadError, Verifier

    verifier = Verifier(
        issuer="https://issuer.example",
        jwks="https://issuer.example/jwks",
        audience="https://api.example",
    )
    try:
        token = verifier.verify_request(
            access_token, dpop_header, "GET", "https://api.example/orders", now=int(time.time())
        )
    except KeysteadError as error:
        print("refused:", error.reason)
    else:
        print(token.user, "lets", token.agent, "do", token.scopes)

This is all that a relying party needs, and it needs nothing but ``cryptography``. Services are
started by ``keystead serve``, agents use :mod:`keystead.agent`, tests :mod:`keystead.testing`.
"""

from keystead.errors import (
    ConfigurationError,
    KeysteadError,
    Malformed,
    ProofRejected,
    Reason,
    Refused,
    Rejected,
    Replayed,
    TokenRejected,
    Unavailable,
)
from keystead.model import Actor, Freshness, Protection, Residency, VerifiedToken
from keystead.relying import (
    BatchResult,
    JwksSource,
    ReplayMemory,
    ReplayStore,
    RequestToVerify,
    ResidencyRequirement,
    Verifier,
)

__all__ = [
    "Actor",
    "BatchResult",
    "ConfigurationError",
    "Freshness",
    "JwksSource",
    "KeysteadError",
    "Malformed",
    "ProofRejected",
    "Protection",
    "Reason",
    "Refused",
    "Rejected",
    "ReplayMemory",
    "ReplayStore",
    "Replayed",
    "RequestToVerify",
    "Residency",
    "ResidencyRequirement",
    "TokenRejected",
    "Unavailable",
    "VerifiedToken",
    "Verifier",
]
