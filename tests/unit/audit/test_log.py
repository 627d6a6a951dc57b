from dataclasses import replace

import pytest

from keystead.audit import LogReport, verify_log
from keystead.errors import Malformed, Reason, Rejected
from keystead.model import ChainedEvent, Checkpoint
from tests.audit_log import ISSUER, KEYS, links, signed_checkpoint

LOG = links(30)
NEXT = signed_checkpoint(LOG[28], counter=4)
PINS = (
    signed_checkpoint(LOG[9], counter=1),
    signed_checkpoint(LOG[19], counter=2),
    signed_checkpoint(LOG[24], counter=3),
)


def verify(
    log: list[ChainedEvent] = LOG,
    pins: tuple[Checkpoint, ...] = PINS,
    *,
    counter: int | None = None,
    announced: Checkpoint | None = None,
    witness: Checkpoint | None = None,
) -> LogReport:
    return verify_log(
        iter(log),
        checkpoints=pins,
        keys=KEYS,
        issuer=ISSUER,
        counter=counter,
        announced=announced,
        witness=witness,
    )


def rejected(reason: Reason, step: int, *args: object, **options: object) -> str:
    with pytest.raises(Rejected) as caught:
        verify(*args, **options)  # type: ignore[arg-type]
    assert (caught.value.reason, caught.value.step) == (reason, step)
    return caught.value.detail


def test_accepts_a_whole_log() -> None:
    report = verify(counter=3, announced=PINS[2], witness=PINS[1])
    assert report == LogReport(events=30, pinned=25, checkpoints=3, last=LOG[-1], newest=PINS[2])


def test_accepts_a_new_log_with_nothing_in_it() -> None:
    report = verify([], ())
    assert report == LogReport(events=0, pinned=0, checkpoints=0, last=None, newest=None)


def test_accepts_a_log_without_checkpoints() -> None:
    assert verify(LOG, ()).pinned == 0


def test_accepts_a_witness_that_the_log_holds_only_as_a_later_checkpoint() -> None:
    assert verify(LOG, PINS[1:], witness=PINS[0]).events == 30


# 1


def test_rejects_a_stored_checkpoint_that_another_key_signed() -> None:
    forged = signed_checkpoint(LOG[19], counter=2, signer="thief")
    detail = rejected(Reason.CHECKPOINT_INVALID, 1, LOG, (PINS[0], forged, PINS[2]))
    assert "checkpoint at 20" in detail


def test_rejects_a_forged_witness() -> None:
    forged = signed_checkpoint(LOG[19], counter=2, signer="thief")
    rejected(Reason.CHECKPOINT_INVALID, 1, witness=forged)


def test_rejects_a_witness_of_another_issuer() -> None:
    other = signed_checkpoint(LOG[19], counter=2, issuer="https://other.example")
    rejected(Reason.CHECKPOINT_INVALID, 1, witness=other)


@pytest.mark.parametrize(
    "change", [{"sequence": 21}, {"hash": bytes(32)}, {"counter": 9}, {"at": 1}, {"kid": "other"}]
)
def test_rejects_a_checkpoint_row_that_says_other_than_its_signature(
    change: dict[str, object],
) -> None:
    bent = replace(PINS[1], **change)
    rejected(Reason.CHECKPOINT_INVALID, 1, LOG, (PINS[0], bent, PINS[2]))


def test_a_truncated_checkpoint_is_malformed() -> None:
    cut = replace(PINS[1], jws=PINS[1].jws.rpartition(".")[0])
    with pytest.raises(Malformed):
        verify(LOG, (PINS[0], cut, PINS[2]))


# 2


def test_rejects_checkpoints_that_go_back() -> None:
    rejected(Reason.AUDIT_ROLLED_BACK, 2, LOG, (PINS[1], PINS[0]))
    rejected(Reason.AUDIT_ROLLED_BACK, 2, LOG, (PINS[0], PINS[0]))


def test_rejects_a_counter_that_stands_still() -> None:
    still = signed_checkpoint(LOG[28], counter=3)
    rejected(Reason.AUDIT_ROLLED_BACK, 2, LOG, (*PINS, still))


# 3


def test_finds_a_rollback_by_the_witness() -> None:
    rejected(Reason.AUDIT_ROLLED_BACK, 3, LOG[:22], PINS[:2], witness=PINS[2])


def test_finds_that_all_checkpoints_were_removed() -> None:
    rejected(Reason.AUDIT_ROLLED_BACK, 3, LOG, (), witness=PINS[0])


def test_finds_a_rollback_that_was_written_on_from() -> None:
    grown = LOG[:22] + links(20, after=LOG[21])
    later = signed_checkpoint(grown[35], counter=3)
    rejected(Reason.AUDIT_ROLLED_BACK, 6, grown, (*PINS[:2], later), witness=PINS[2])
    older_counter = signed_checkpoint(grown[35], counter=3)
    witness = signed_checkpoint(LOG[24], counter=4)
    rejected(Reason.AUDIT_ROLLED_BACK, 3, grown, (*PINS[:2], older_counter), witness=witness)


# 4


def test_finds_a_rollback_by_the_tpms_counter() -> None:
    rejected(Reason.AUDIT_ROLLED_BACK, 4, LOG[:22], PINS[:2], counter=3)
    rejected(Reason.AUDIT_ROLLED_BACK, 4, [], (), counter=3)


def test_finds_that_there_is_no_checkpoint() -> None:
    for announced in (None, PINS[0], PINS[2]):
        rejected(Reason.AUDIT_ROLLED_BACK, 4, LOG, (), counter=3, announced=announced)
    rejected(Reason.AUDIT_ROLLED_BACK, 4, [], (), counter=0)


def test_a_crash_after_the_increment_is_no_rollback() -> None:
    report = verify(counter=4, announced=NEXT)
    assert (report.pinned, report.newest) == (29, PINS[2])
    rejected(Reason.AUDIT_ROLLED_BACK, 4, counter=4)
    rejected(Reason.AUDIT_ROLLED_BACK, 4, counter=5, announced=NEXT)


def test_an_announcement_hides_no_more_than_one_checkpoint() -> None:
    rejected(Reason.AUDIT_ROLLED_BACK, 4, LOG[:12], PINS[:1], counter=3, announced=PINS[2])
    later = signed_checkpoint(LOG[28], counter=9)
    rejected(Reason.AUDIT_ROLLED_BACK, 4, counter=4, announced=later)


def test_a_crash_before_the_increment_is_no_rollback() -> None:
    assert verify(counter=3, announced=NEXT).pinned == 25


def test_an_announcement_that_the_counter_reached_is_signed() -> None:
    forged = signed_checkpoint(LOG[28], counter=4, signer="thief")
    rejected(Reason.CHECKPOINT_INVALID, 1, counter=4, announced=forged)
    assert verify(counter=3, announced=forged).pinned == 25, "before that it is of no account"


def test_an_announcement_that_the_counter_reached_goes_forward() -> None:
    back = signed_checkpoint(LOG[24], counter=4)
    rejected(Reason.AUDIT_ROLLED_BACK, 2, counter=4, announced=back)


def test_an_older_copy_with_the_announcement_of_the_newer_lacks_its_events() -> None:
    rejected(Reason.AUDIT_ROLLED_BACK, 6, LOG[:22], PINS[:2], counter=3, announced=PINS[2])
    grown = LOG[:22] + links(8, after=LOG[21])
    rejected(Reason.AUDIT_ROLLED_BACK, 6, grown, PINS[:2], counter=3, announced=PINS[2])


def test_an_announcement_that_counts_is_as_new_as_the_witness() -> None:
    assert verify(counter=4, announced=NEXT, witness=NEXT).pinned == 29
    rejected(Reason.AUDIT_ROLLED_BACK, 3, counter=3, announced=NEXT, witness=NEXT)


def test_finds_a_log_of_another_tpm() -> None:
    assert "not this log's TPM" in rejected(Reason.AUDIT_ROLLED_BACK, 4, counter=2)


# 5


def test_finds_a_changed_event_by_its_number() -> None:
    bent = [*LOG[:14], replace(LOG[14], event=LOG[0].event), *LOG[15:]]
    assert "event 15" in rejected(Reason.AUDIT_CHAIN_BROKEN, 5, bent)


def test_finds_a_removed_event() -> None:
    assert "event 15" in rejected(Reason.AUDIT_CHAIN_BROKEN, 5, LOG[:14] + LOG[15:])


# 6


@pytest.mark.parametrize("length", [0, 9, 19, 24])
def test_finds_that_the_tail_was_cut_off(length: int) -> None:
    detail = rejected(Reason.AUDIT_ROLLED_BACK, 6, LOG[:length])
    assert f"ends at {length}" in detail
    assert "at 25" in detail


def test_a_cut_behind_the_newest_checkpoint_is_not_seen_without_a_later_one() -> None:
    assert verify(LOG[:26]).events == 26
    later = signed_checkpoint(LOG[29], counter=4)
    rejected(Reason.AUDIT_ROLLED_BACK, 6, LOG[:26], (*PINS, later), witness=later)


def test_finds_a_log_that_was_written_anew_from_some_event_on() -> None:
    anew = LOG[:15] + links(15, after=LOG[14])
    assert anew[-1] != LOG[-1]
    detail = rejected(Reason.AUDIT_ROLLED_BACK, 6, anew)
    assert "event 20 is not the one" in detail


def test_finds_a_log_written_anew_together_with_its_rows_by_the_witness() -> None:
    anew = LOG[:5] + links(25, after=LOG[4])
    pins = (signed_checkpoint(anew[27], counter=9),)
    assert verify(anew, pins).events == 30
    detail = rejected(Reason.AUDIT_ROLLED_BACK, 6, anew, pins, witness=PINS[2])
    assert "event 25" in detail
