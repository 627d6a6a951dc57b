import pytest

from keystead.appraisal.verifier import SAVED, SAVED_TOKENS, appraise_saved
from keystead.errors import EvidenceRejected, Malformed, Reason
from keystead.evidence import kinds
from keystead.evidence.envelope import Submission, parse_envelope
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


def test_what_can_be_read_can_be_appraised() -> None:
    assert {*SAVED, *SAVED_TOKENS} == set(kinds.KINDS)
    assert SAVED.keys().isdisjoint(SAVED_TOKENS)


def test_a_kind_without_an_appraiser_is_refused() -> None:
    for kind in {*EvidenceKind} - {*SAVED, *SAVED_TOKENS}:
        submission = Submission(kind=kind, nonce=None, key=None, evidence={})
        with pytest.raises(Malformed) as caught:
            appraise_saved(submission, policy=appraisal_policy(), now=NOW)
        assert caught.value.reason is Reason.KIND_UNSUPPORTED


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
