import pytest

from keystead.errors import EvidenceRejected, Reason
from keystead.evidence.challenge import NONCE_BYTES, check_challenge, issue_challenge
from tests.evidence_builder import NOW, Dice


def test_issues_a_nonce_for_a_minute() -> None:
    challenge = issue_challenge(issuer="https://i.example", now=NOW, entropy=Dice())
    assert len(challenge.nonce) == NONCE_BYTES == 32
    assert (challenge.issuer, challenge.issued_at) == ("https://i.example", NOW)
    assert challenge.expires_at == NOW + 60


def test_never_issues_one_nonce_twice() -> None:
    dice = Dice()
    nonces = {issue_challenge(issuer="i", now=NOW, entropy=dice).nonce for _ in range(50)}
    assert len(nonces) == 50


@pytest.mark.parametrize("now", [NOW, NOW + 29])
def test_accepts_an_answer_in_time(now: int) -> None:
    check_challenge(issue_challenge(issuer="i", now=NOW, entropy=Dice(), ttl_s=30), now=now)


@pytest.mark.parametrize("now", [NOW - 1, NOW + 30, NOW + 86_400])
def test_rejects_an_answer_outside_its_time(now: int) -> None:
    challenge = issue_challenge(issuer="i", now=NOW, entropy=Dice(), ttl_s=30)
    with pytest.raises(EvidenceRejected) as refused:
        check_challenge(challenge, now=now)
    assert refused.value.reason is Reason.CHALLENGE_EXPIRED
