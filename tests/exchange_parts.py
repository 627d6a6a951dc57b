"""What a token exchange is made of: a user's token, two agents with their keys, a policy."""

from keystead.delegation.audiences import Audience, Audiences
from keystead.delegation.policy import DelegationPolicy
from keystead.identity.federation import SubjectIssuer, TokenOrigin, verify_subject_token
from keystead.identity.subject_claims import SubjectClaims, TokenType
from keystead.issuance.request import ExchangeRequest
from keystead.jose.jwk import JwkSet
from keystead.model import (
    Actor,
    BoundKey,
    EkId,
    EvidenceKind,
    Freshness,
    Grant,
    GrantId,
    Jkt,
    Protection,
    Residency,
    ResultId,
    SpiffeId,
    Subject,
)
from tests.jose_keys import compact, private_key, public_jwk

NOW = 1_800_000_000
ISSUER = "https://keystead.example"
IDP = "https://idp.example"
CLIENT = "portal"
API = "https://api.example/"
OTHER_API = "https://other.example/"
AGENT = SpiffeId("spiffe://example.org/agent/a")
AGENT_B = SpiffeId("spiffe://example.org/agent/b")

POLICY = f"""
@id("use")
@max_lifetime_s("240")
permit(principal, action in [Action::"exchange", Action::"renew", Action::"handover"], resource)
when {{
  context.user.issuer == "{IDP}" && context.user.aal >= 2 &&
  ["read", "write"].containsAll(context.scopes)
}};
@id("stand-in")
@grant_ttl_s("28800")
permit(principal == Agent::"{AGENT}", action == Action::"grant", resource == Audience::"{API}")
when {{
  context.user.issuer == "{IDP}" && context.user.client == "{CLIENT}" &&
  ["read", "write"].containsAll(context.scopes)
}};
@id("measured")
forbid(principal, action, resource) when {{ context.residency.protection == "none" }};
"""

AUDIENCES = Audiences.of(
    [
        Audience(uri=API, scopes=frozenset({"read", "write", "purge"})),
        Audience(uri=OTHER_API, scopes=frozenset({"read"}), max_lifetime_s=120),
    ]
)

SUBJECT_ISSUER = SubjectIssuer(
    issuer=IDP,
    audiences=frozenset({ISSUER}),
    clients=frozenset({CLIENT}),
    algorithms=frozenset({"ES256"}),
    token_types=frozenset({TokenType.ACCESS_TOKEN, TokenType.ID_TOKEN, TokenType.JWT}),
    aal_by_acr={"phr": 2, "phrh": 3},
)
IDP_KEYS = JwkSet([public_jwk(name="idp", kid="idp-1")])
OWN_KEYS = JwkSet([public_jwk(name="own", kid="own-1")])

ACCESS_HEADER = {"typ": "at+jwt", "alg": "ES256", "kid": "idp-1"}
ACCESS_CLAIMS: dict[str, object] = {
    "iss": IDP,
    "sub": "alice",
    "aud": ISSUER,
    "client_id": CLIENT,
    "scope": "read write",
    "iat": NOW - 10,
    "exp": NOW + 3_600,
    "jti": "at-1",
    "acr": "phr",
    "amr": ["pop", "user"],
    "auth_time": NOW - 60,
}
ID_CLAIMS: dict[str, object] = {
    **{k: v for k, v in ACCESS_CLAIMS.items() if k not in ("client_id", "scope", "jti")},
    "azp": CLIENT,
    "nonce": "n",
}


def merged(base: dict[str, object], changes: dict[str, object]) -> dict[str, object]:
    """``base`` with members changed, or left out where they are ``...``."""
    return {k: v for k, v in {**base, **changes}.items() if v is not ...}


def idp_token(
    claims: dict[str, object] | None = None,
    *,
    header: dict[str, object] | None = None,
    base: dict[str, object] = ACCESS_CLAIMS,
    key: str = "idp",
) -> str:
    return compact(
        merged(dict(ACCESS_HEADER), header or {}),
        merged(base, claims or {}),
        key=private_key(name=key),
    )


def own_token(claims: dict[str, object], *, typ: str = "at+jwt", key: str = "own") -> str:
    header = {"typ": typ, "alg": "ES256", "kid": "own-1"}
    return compact(header, claims, key=private_key(name=key))


def verified(
    token: str | TokenOrigin, token_type: TokenType = TokenType.ACCESS_TOKEN, **changes: object
) -> SubjectClaims:
    arguments: dict[str, object] = {
        "issuers": {IDP: SUBJECT_ISSUER},
        "keys": IDP_KEYS,
        "own_issuer": ISSUER,
        "now": NOW,
        **changes,
    }
    return verify_subject_token(token, token_type=token_type, **arguments)


def bound_key(agent: SpiffeId = AGENT, *, jkt: str = "key-of-a", **changes: object) -> BoundKey:
    members: dict[str, object] = {
        "jkt": Jkt(jkt.ljust(43, "0")),
        "jwk": {"kty": "EC"},
        "spiffe_id": agent,
        "residency": residency(),
        "ek": EkId("ek"),
        "entry": "entry-1",
        "bound_at": NOW - 100,
        "expires_at": NOW + 3_600,
        **changes,
    }
    return BoundKey(**members)


def residency(protection: Protection = Protection.NON_EXPORTABLE) -> Residency:
    return Residency(
        kind=EvidenceKind.TPM2,
        protection=protection,
        hardware=False,
        verified_at=NOW - 100,
        freshness=Freshness.CHALLENGED,
        policy="default@1",
        result=ResultId("w" * 43),
    )


def subject(**changes: object) -> Subject:
    members: dict[str, object] = {
        "sub": "alice",
        "issuer": IDP,
        "client": CLIENT,
        "aal": 2,
        "acr": "phr",
        "amr": ("pop", "user"),
        "auth_time": NOW - 60,
        **changes,
    }
    return Subject(**members)


def subject_claims(**changes: object) -> SubjectClaims:
    members: dict[str, object] = {
        "subject": subject(),
        "token_type": TokenType.ACCESS_TOKEN,
        "issued_at": NOW - 10,
        "expires_at": NOW + 3_600,
        "jti": "at-1",
        "scopes": frozenset({"read", "write"}),
        **changes,
    }
    return SubjectClaims(**members)


def request(**changes: object) -> ExchangeRequest:
    members: dict[str, object] = {
        "subject_token": "t",
        "subject_token_type": TokenType.ACCESS_TOKEN,
        "targets": (API,),
        "scopes": ("read",),
        **changes,
    }
    return ExchangeRequest(**members)


def grant(**changes: object) -> Grant:
    members: dict[str, object] = {
        "id": GrantId("grant-1"),
        "subject": subject(),
        "agent": AGENT,
        "jkt": bound_key().jkt,
        "actor": Actor(sub=AGENT, iss=ISSUER, attestation="tpm2"),
        "audience": API,
        "scopes": ("read", "write"),
        "handle_hash": b"h" * 32,
        "created_at": NOW - 100,
        "expires_at": NOW + 20_000,
        **changes,
    }
    return Grant(**members)


def policy() -> DelegationPolicy:
    return DelegationPolicy.parse(POLICY)
