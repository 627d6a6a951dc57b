"""The steps that all tokens have in common carry the number that their list gives them."""

from collections.abc import Callable

import pytest

from keystead.appraisal import token_steps
from keystead.errors import EvidenceRejected, Reason
from keystead.evidence.signed_token import SignedToken, parse_token
from tests.jose_keys import public_jwk
from tests.workload_tokens import NOW, issuer_keys, platform_claims, sign

TOKEN = parse_token(sign(platform_claims()), max_bytes=16_384)
KEY = public_jwk("RS256", "platform", kid="k1")


def test_good_token_passes_all() -> None:
    token_steps.check_header(TOKEN, algorithms={"RS256"}, step=1)
    key = token_steps.find_key(TOKEN, issuer_keys(), step=2)
    token_steps.check_signature(TOKEN, key, step=3)
    assert token_steps.check_times(TOKEN, now=NOW, step=4) == NOW
    token_steps.check_age(NOW, now=NOW + 60, max_age_s=60, step=5)


@pytest.mark.parametrize(
    ("check", "reason"),
    [
        (
            lambda token: token_steps.check_header(token, algorithms={"ES256"}, step=41),
            Reason.ALGORITHM_NOT_ALLOWED,
        ),
        (lambda token: token_steps.find_key(token, None, step=41), Reason.KEY_UNKNOWN),
        (
            lambda token: token_steps.check_signature(token, public_jwk("RS256", "thief"), step=41),
            Reason.SIGNATURE_INVALID,
        ),
        (lambda token: token_steps.check_times(token, now=0, step=41), Reason.NOT_YET_VALID),
        (
            lambda token: token_steps.check_age(NOW, now=NOW + 91, max_age_s=60, step=41),
            Reason.EVIDENCE_TOO_OLD,
        ),
    ],
)
def test_refusal_carries_its_number(check: Callable[[SignedToken], object], reason: Reason) -> None:
    with pytest.raises(EvidenceRejected) as refused:
        check(TOKEN)
    assert (refused.value.reason, refused.value.step) == (reason, 41)
