"""What kind of token something is: the declared type against the header and the claims.

Every JWT that an issuer signs for another purpose is a candidate for being presented as a user's
token (RFC 8725 §2.8). The declared type must fit, and known other kinds are refused by name even
where they carry no ``typ``.
"""

from __future__ import annotations

from collections.abc import Mapping

from keystead.codec.json import JSON
from keystead.errors import Reason, TokenRejected
from keystead.identity.subject_claims import TokenType
from keystead.jose.jwt import NO_TYPE

ACCESS_TOKEN_TYP = "at+jwt"
HAND_OVER_TYP = "keystead-handover+jwt"
_PLAIN_TYPES = frozenset({NO_TYPE, "jwt"})

# Claims and headers that say: an EAR or other attestation result, a status list, a DPoP proof,
# a logout token or other security event, a selective-disclosure credential or its key binding,
# a key proof. None of them is ever a subject token, whatever else it says.
_FOREIGN_CLAIMS = frozenset(
    {
        *("eat_profile", "eat_nonce", "submods", "ear.status", "ear.verifier-id"),
        *("status_list", "htm", "htu", "events", "_sd", "_sd_alg", "sd_hash", "vct"),
    }
)
_FOREIGN_HEADERS = frozenset({"jwk", "trust_chain"})
# What only ID tokens have (OpenID Connect Core §3.1.3.6, §3.3.2.11), and what they never have.
_ID_TOKEN_CLAIMS = frozenset({"at_hash", "c_hash", "s_hash"})
_ACCESS_TOKEN_CLAIMS = frozenset({"scope", "scp", "client_id"})


def accepted_header_types(declared: TokenType, *, plain_access_token: bool) -> frozenset[str]:
    """The ``typ`` values, as ``jose.jwt`` spells them, that fit the declared type."""
    if declared is TokenType.ACCESS_TOKEN:
        return frozenset({ACCESS_TOKEN_TYP}) | (_PLAIN_TYPES if plain_access_token else set())
    return _PLAIN_TYPES


def check_kind(
    declared: TokenType, *, header: Mapping[str, JSON], claims: Mapping[str, JSON]
) -> None:
    """Raise ``TokenRejected`` (type_mismatch) where header or claims show another kind."""
    foreign = (_FOREIGN_CLAIMS & claims.keys()) | (_FOREIGN_HEADERS & header.keys())
    if foreign:
        raise TokenRejected(Reason.TYPE_MISMATCH, f"{min(foreign)} in a subject token")
    if declared is TokenType.ID_TOKEN:
        other = _ACCESS_TOKEN_CLAIMS & claims.keys()
    else:
        other = _ID_TOKEN_CLAIMS & claims.keys()
    if other and declared is not TokenType.JWT:
        raise TokenRejected(Reason.TYPE_MISMATCH, f"{min(other)} does not fit the declared type")
