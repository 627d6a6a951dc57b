"""A small world for tests of relying parties: one issuer, one API, one agent with its key.

``jose_keys`` caches keys by name for one process: ``issuer`` signs tokens, ``holder`` proofs.
"""

from collections.abc import Mapping
from itertools import count
from typing import Any

import pytest

from keystead.errors import KeysteadError, Reason, TokenRejected
from keystead.jose import dpop, jws
from keystead.jose.dpop import access_token_hash
from keystead.model import VerifiedToken
from keystead.relying import RequestToVerify, Verifier
from tests.jose_keys import compact, private_key, public_jwk

NOW = 1_800_000_000
ISSUER = "https://issuer.example"
AUDIENCE = "https://api.example"
URL = "https://api.example/orders"
KID = "token-1"
AGENT = "spiffe://example.org/agent/mail"
RESULT = "A" * 43
LEAVE_OUT = object()

_jti = count()


def jwks(*, algorithm: str = "ES256", kid: str = KID) -> dict[str, Any]:
    return {"keys": [public_jwk(algorithm, "issuer", kid=kid, use="sig").to_dict()]}


def verifier(**options: Any) -> Verifier:
    return Verifier(**{"issuer": ISSUER, "jwks": jwks(), "audience": AUDIENCE, **options})


def residency(**changes: object) -> dict[str, object]:
    return merged(
        {
            "kind": "tpm2",
            "protection": "non-exportable",
            "hardware": False,
            "verified_at": NOW - 30,
            "freshness": "challenged",
            "policy": "servers/3",
            "result": RESULT,
        },
        changes,
    )


def claims(**changes: object) -> dict[str, object]:
    """Good claims with some changed, or left out where ``LEAVE_OUT``."""
    return merged(
        {
            "iss": ISSUER,
            "sub": "user-7",
            "aud": AUDIENCE,
            "client_id": AGENT,
            "scope": "orders:read orders:list",
            "iat": NOW - 10,
            "exp": NOW + 200,
            "jti": f"token-{next(_jti)}",
            "txn": "transaction-1",
            "auth_time": NOW - 600,
            "acr": "phrh",
            "amr": ["pop", "user", "hwk"],
            "aal": 3,
            "act": {"sub": AGENT, "iss": ISSUER, "attestation": "tpm2"},
            "cnf": {"jkt": public_jwk(name="holder").thumbprint, "residency": residency()},
        },
        changes,
    )


def merged(base: Mapping[str, object], changes: Mapping[str, object]) -> dict[str, object]:
    both = {**base, **changes}
    return {name: value for name, value in both.items() if value is not LEAVE_OUT}


def token(
    payload: Mapping[str, object] | bytes | None = None,
    *,
    header: Mapping[str, object] | None = None,
    key: str = "issuer",
    algorithm: str = "ES256",
    **changes: object,
) -> str:
    """A signed token; ``changes`` go to its claims, ``header`` over its header."""
    full = merged({"typ": "at+jwt", "alg": algorithm, "kid": KID}, header or {})
    body = payload if payload is not None else claims(**changes)
    return compact(full, body, key=private_key(algorithm, key), algorithm=algorithm)


def proof(
    access_token: str,
    *,
    key: str = "holder",
    header: Mapping[str, object] | None = None,
    **changes: object,
) -> str:
    """The holder's proof for one GET of ``URL``."""
    body = merged(
        {
            "jti": f"proof-{next(_jti)}",
            "htm": "GET",
            "htu": URL,
            "iat": NOW,
            "ath": access_token_hash(access_token),
        },
        changes,
    )
    jwk = public_jwk(name=key).members
    full = merged({"typ": dpop.PROOF_TYPE, "alg": "ES256", "jwk": jwk}, header or {})
    return compact(full, body, key=private_key(name=key))


def request(
    access_token: str | None = None, proof_value: str | None = None, **changes: object
) -> RequestToVerify:
    """A whole good request; ``changes`` go to the proof's claims."""
    access_token = access_token if access_token is not None else token()
    proof_value = proof_value if proof_value is not None else proof(access_token, **changes)
    return RequestToVerify(token=access_token, proof=proof_value, method="GET", url=URL)


def refusal(check: Verifier, sent: RequestToVerify, *, now: int = NOW) -> KeysteadError:
    """The error that a request ends in; the test fails if there is none."""
    with pytest.raises(KeysteadError) as caught:
        check.verify_request(sent.token, sent.proof, sent.method, sent.url, now=now)
    return caught.value


def spoilt(compact_jws: str) -> str:
    """The same header and payload with one bit of the signature changed."""
    parsed = jws.parse_compact(compact_jws)
    signature = bytes([parsed.signature[0] ^ 1]) + parsed.signature[1:]
    return jws.assemble(parsed.signing_input, signature)


def accept(check: Verifier, access_token: str | None = None, *, now: int = NOW) -> VerifiedToken:
    """The token of a good request, with ``access_token`` or a good one."""
    sent = request(access_token, iat=now)
    return check.verify_request(sent.token, sent.proof, sent.method, sent.url, now=now)


def refused(
    access_token: str, *, now: int = NOW, error: type = TokenRejected, **options: Any
) -> tuple[Reason, int | None]:
    """Why a token with a good proof is refused, and at which step."""
    found = refusal(verifier(**options), request(access_token), now=now)
    assert type(found) is error
    return found.reason, found.step
