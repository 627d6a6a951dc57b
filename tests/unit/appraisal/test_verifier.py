import pytest

from keystead.appraisal.verifier import SAVED, appraise_saved
from keystead.errors import EvidenceRejected, Reason
from keystead.evidence.envelope import parse_envelope
from keystead.model import EvidenceKind, Freshness
from tests.evidence_builder import (
    NOW,
    Host,
    appraisal_policy,
    certificate,
    document,
    private_key,
    usage,
)

HOST = Host.make()


def test_every_kind_has_a_row() -> None:
    assert set(SAVED) == set(EvidenceKind)


def test_saved_evidence_is_affirmed_by_a_trusted_ak_certificate_only() -> None:
    made = certificate(
        "ak",
        HOST.ak_key,
        issuer="root",
        issuer_key=private_key("p256", "root"),
        extensions=[(usage(sign=True), True)],
    )
    submission = parse_envelope(document(HOST, ak_certificate=made))
    policy = appraisal_policy(accept_ak_certificate=True)
    assert appraise_saved(submission, policy=policy, now=NOW).freshness is Freshness.BEARER
    with pytest.raises(EvidenceRejected) as refused:
        appraise_saved(parse_envelope(document(HOST)), policy=policy, now=NOW)
    assert (refused.value.reason, refused.value.step) == (Reason.AK_NOT_BOUND_TO_EK, 15)


def test_says_what_else_is_wrong_first() -> None:
    with pytest.raises(EvidenceRejected) as refused:
        appraise_saved(parse_envelope(document(HOST)), policy=appraisal_policy(), now=0)
    assert (refused.value.reason, refused.value.step) == (Reason.EK_CHAIN_UNTRUSTED, 2)
