from keystead.audit import HashChain, RefusalAggregator
from keystead.audit.aggregate import MAX_KINDS
from keystead.audit.events import MAX_DETAIL_MEMBERS
from keystead.errors import Reason
from keystead.model import AuditAction
from tests.store_samples import NOW


def test_nobody_refused_is_no_event() -> None:
    assert RefusalAggregator().drain(NOW) is None


def test_counts_by_reason_and_step_and_starts_again() -> None:
    refusals = RefusalAggregator()
    for _ in range(1_000):
        refusals.note(Reason.PROOF_MISSING)
    refusals.note(Reason.SIGNATURE_INVALID, 5)
    refusals.note(Reason.SIGNATURE_INVALID, step=6)
    event = refusals.drain(NOW)
    assert event is not None
    assert (event.action, event.at) == (AuditAction.REFUSALS_AGGREGATED, NOW)
    assert event.detail == {
        "proof_missing": 1_000,
        "signature_invalid (step 5)": 1,
        "signature_invalid (step 6)": 1,
        "total": 1_002,
    }
    assert refusals.drain(NOW) is None


def test_kinds_beyond_the_bound_are_counted_together() -> None:
    refusals = RefusalAggregator()
    for step in range(10_000):
        refusals.note(Reason.MALFORMED, step)
    refusals.note(Reason.MALFORMED, 0)
    event = refusals.drain(NOW)
    assert event is not None
    assert len(event.detail) == MAX_KINDS + 2 <= MAX_DETAIL_MEMBERS
    assert event.detail["other"] == 10_000 - MAX_KINDS
    assert event.detail["malformed (step 0)"] == 2
    assert event.detail["total"] == 10_001


def test_the_event_is_within_bounds_as_it_is() -> None:
    refusals = RefusalAggregator()
    for reason in Reason:
        refusals.note(reason, 12)
    event = refusals.drain(NOW)
    assert event is not None
    assert HashChain().link(None, event).event == event


def test_what_could_not_be_written_is_counted_again_within_the_same_bound() -> None:
    refusals = RefusalAggregator()
    for step in range(MAX_KINDS + 5):
        refusals.note(Reason.SIGNATURE_INVALID, step)
    first = refusals.drain(NOW)
    assert first is not None
    refusals.note(Reason.PROOF_MISSING)
    refusals.put_back(first)
    second = refusals.drain(NOW)
    assert second is not None
    assert second.detail["total"] == MAX_KINDS + 6
    assert len(second.detail) <= MAX_KINDS + 2
