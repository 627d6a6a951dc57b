"""The documents under ``/.well-known``: what this server is, and where its keys are."""

from __future__ import annotations

from collections.abc import Sequence

from keystead.codec import base64url
from keystead.codec.json import JSON
from keystead.issuance import request as forms
from keystead.issuance.signing_keys import OWN_OWNER
from keystead.jose.algorithms import DEFAULT_ALGORITHMS
from keystead.model import KeyPurpose, SigningKey

DOCUMENTATION_VERSION = 1


def server_metadata(issuer: str) -> dict[str, JSON]:
    """RFC 8414 §2, with the members of RFC 9449 §5.1 and two of our own."""
    base = issuer.rstrip("/")
    return {
        "issuer": issuer,
        "token_endpoint": f"{base}/token",
        "jwks_uri": f"{base}/jwks",
        "introspection_endpoint": f"{base}/introspect",
        "revocation_endpoint": f"{base}/revoke",
        "grant_types_supported": [forms.TOKEN_EXCHANGE_GRANT, forms.REFRESH_GRANT],
        # The DPoP key is the client's key, and it is attested: nothing else authenticates.
        "token_endpoint_auth_methods_supported": ["none"],
        "response_types_supported": [],
        "dpop_signing_alg_values_supported": list[JSON](sorted(DEFAULT_ALGORITHMS)),
        "keystead_keys_uri": f"{base}/.well-known/keystead/keys",
        "keystead_attestation_results_uri": f"{base}/attestation-results/",
    }


def published_keys(issuer: str, keys: Sequence[SigningKey]) -> dict[str, JSON]:
    """``/.well-known/keystead/keys``: every key of this issuer with its saved evidence.

    The evidence alone convinces nobody (design, section 5): ``prove_uri`` is where a verifier
    sends its own credential and nonce.
    """
    base = issuer.rstrip("/")
    return {
        "keystead_keys": DOCUMENTATION_VERSION,
        "issuer": issuer,
        "prove_uri": f"{base}/.well-known/keystead/keys/prove",
        "keys": [_key(key) for key in keys if _is_shown(key)],
    }


def _is_shown(key: SigningKey) -> bool:
    return key.owner == OWN_OWNER and key.purpose is not KeyPurpose.EXTERNAL


def _key(key: SigningKey) -> dict[str, JSON]:
    evidence = key.evidence
    certificate = evidence.ek_certificate
    return {
        "kid": key.kid,
        "purpose": key.purpose.value,
        "alg": key.algorithm,
        "state": key.state.value,
        "tier": key.tier.value,
        "jwk": dict(key.jwk),
        "evidence": {
            "kind": "tpm2",
            "ek_public": base64url.encode(evidence.ek_public),
            "ek_certificate": base64url.encode(certificate) if certificate else None,
            "ek_certificate_chain": [base64url.encode(c) for c in evidence.ek_certificate_chain],
            "ak_public": base64url.encode(evidence.ak_public),
            "key_public": base64url.encode(key.wrapped.public),
            "qualifying_data": base64url.encode(evidence.qualifying_data),
            "certify": {
                "attest": base64url.encode(evidence.certify_attest),
                "signature": base64url.encode(evidence.certify_signature),
            },
        },
    }
