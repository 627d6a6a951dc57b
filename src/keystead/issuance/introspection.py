"""Token introspection (RFC 7662 §2.2): what an active token of ours says, ``act`` included.

The server verifies the token and asks whether its grant is live; this only chooses what to tell.
A token that is not active says nothing else, not even why.
"""

from __future__ import annotations

from collections.abc import Mapping

from keystead.codec.json import JSON
from keystead.issuance.claims import DPOP_TOKEN_TYPE, NOT_AN_ACCESS_TOKEN

INACTIVE: Mapping[str, JSON] = {"active": False}

# RFC 7662 §2.2, RFC 8693 §4, RFC 9470 §6.2, RFC 7800; the rest are ours (docs/tokens.md).
_TOLD = (
    *("iss", "sub", "aud", "client_id", "scope", "iat", "exp", "jti", "txn"),
    *("auth_time", "acr", "amr", "aal", "sub_id", "act", "may_act", "cnf", "status"),
)


def active_response(claims: Mapping[str, JSON]) -> dict[str, JSON]:
    """The answer for a verified, live token with these claims."""
    token_type = NOT_AN_ACCESS_TOKEN if "handover" in claims else DPOP_TOKEN_TYPE
    told = {name: claims[name] for name in _TOLD if name in claims}
    return {"active": True, "token_type": token_type, **told}
