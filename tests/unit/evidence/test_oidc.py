"""The envelope's ``oidc`` member, and audiences that answer challenges."""

import pytest

from keystead.codec import base64url
from keystead.errors import Malformed
from keystead.evidence import oidc
from keystead.evidence.envelope import Submission, encode_envelope, parse_envelope
from keystead.model import EvidenceKind
from tests.workload_tokens import KEY, NONCE, platform_claims, sign

ANSWER = NONCE + b"\x07" * 32


def submission(**members: object) -> Submission:
    return Submission(kind=EvidenceKind.OIDC, nonce=None, key=None, evidence=members)  # type: ignore[arg-type]


def test_travels_in_an_envelope() -> None:
    token = sign(platform_claims())
    data = encode_envelope(
        kind=EvidenceKind.OIDC, evidence=oidc.encode(token=token), nonce=NONCE, key=KEY
    )
    evidence = oidc.parse(parse_envelope(data))
    assert evidence.nonce == NONCE and evidence.key is not None
    assert evidence.key.thumbprint == KEY.thumbprint
    assert evidence.token.claims["repository"] == "acme/rocket"


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"token": 7},
        {"token": ""},
        {"token": "a.b"},
        {"token": sign(platform_claims()), "jwks": {}},
        {"token": "a" * 20_000},
    ],
)
def test_other_members_are_malformed(members: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        oidc.parse(submission(**members))


def test_audience_carries_an_answer() -> None:
    assert oidc.audience(ANSWER) == "keystead:" + base64url.encode(ANSWER)
    assert oidc.answer_of(oidc.audience(ANSWER)) == ANSWER


@pytest.mark.parametrize(
    "audience",
    [
        "",
        "keystead",
        "keystead:",
        "keystead:!",
        base64url.encode(ANSWER),
        oidc.audience(ANSWER[:-1]),
        oidc.audience(ANSWER + b"\x00"),
        oidc.audience(ANSWER) + "=",
        " " + oidc.audience(ANSWER),
    ],
)
def test_other_audiences_are_no_answer(audience: str) -> None:
    assert oidc.answer_of(audience) is None
