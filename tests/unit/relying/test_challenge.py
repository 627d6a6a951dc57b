import re

import pytest

from keystead.errors import (
    KeysteadError,
    Malformed,
    ProofRejected,
    Reason,
    Replayed,
    TokenRejected,
    Unavailable,
)
from keystead.relying.challenge import challenge_for, challenge_missing
from keystead.relying.requirements import Requirements
from keystead.relying.steps import Step

NOTHING = Requirements()
ALGS = 'algs="ES256 ES384 ES512 Ed25519 EdDSA PS256 RS256"'


@pytest.mark.parametrize(
    ("error", "status", "name"),
    [
        (Malformed(step=Step.DECODE), 401, "invalid_token"),
        (Malformed(step=Step.PROOF), 401, "invalid_dpop_proof"),
        (TokenRejected(Reason.EXPIRED), 401, "invalid_token"),
        (TokenRejected(Reason.KEY_UNKNOWN), 401, "invalid_token"),
        (TokenRejected(Reason.RESIDENCY_INSUFFICIENT), 401, "invalid_token"),
        (TokenRejected(Reason.SCOPE_INSUFFICIENT), 403, "insufficient_scope"),
        (
            TokenRejected(Reason.AUTHENTICATION_INSUFFICIENT),
            401,
            "insufficient_user_authentication",
        ),
        (ProofRejected(Reason.PROOF_MISSING), 401, "invalid_dpop_proof"),
        (ProofRejected(Reason.TOKEN_HASH_MISMATCH), 401, "invalid_dpop_proof"),
        (ProofRejected(Reason.KEY_BINDING_MISMATCH), 401, "invalid_token"),
        (ProofRejected(Reason.NONCE_REQUIRED), 401, "use_dpop_nonce"),
        (ProofRejected(Reason.NONCE_INVALID), 401, "use_dpop_nonce"),
        (Replayed(), 401, "invalid_dpop_proof"),
    ],
)
def test_every_refusal_has_its_error(error: KeysteadError, status: int, name: str) -> None:
    challenge = challenge_for(error, NOTHING)
    assert (challenge.status, challenge.error, challenge.reason) == (status, name, error.reason)
    assert challenge.body == {"error": name, "reason": error.reason.value}
    header = challenge.www_authenticate or ""
    assert header.startswith(f'DPoP error="{name}", error_description="{error.reason.value}"')
    assert header.endswith(ALGS)


def test_without_credentials_there_is_no_error() -> None:
    challenge = challenge_missing()
    assert (challenge.status, challenge.www_authenticate) == (401, f"DPoP {ALGS}")


def test_says_which_scopes_would_do() -> None:
    required = Requirements(scopes=frozenset({"orders:read"}))
    challenge = challenge_for(
        TokenRejected(Reason.SCOPE_INSUFFICIENT), required, scopes=["orders:write"]
    )
    assert 'scope="orders:read orders:write"' in (challenge.www_authenticate or "")


def test_says_which_sign_in_would_do() -> None:
    required = Requirements(
        acr_values=frozenset({"phrh", 'q"\\\r\né'}), max_authentication_age_s=300
    )
    challenge = challenge_for(TokenRejected(Reason.AUTHENTICATION_INSUFFICIENT), required)
    header = challenge.www_authenticate or ""
    assert 'max_age="300"' in header
    assert 'acr_values="phrh q\\"\\\\???"' in header


def test_what_is_away_is_no_challenge() -> None:
    challenge = challenge_for(Unavailable(Reason.KEYS_UNAVAILABLE, retry_after_s=60), NOTHING)
    assert (challenge.status, challenge.retry_after_s, challenge.www_authenticate) == (
        503,
        60,
        None,
    )


def test_the_detail_stays_here() -> None:
    challenge = challenge_for(TokenRejected(Reason.EXPIRED, "secret detail"), NOTHING)
    assert not re.search("secret", f"{challenge.www_authenticate}{challenge.body}")
