"""Logs made here, in both TCG formats' newer one, replayed and judged by digests alone."""

from collections.abc import Mapping, Sequence

import pytest

from keystead.appraisal.event_rules import (
    EventLogRules,
    check_replay,
    check_rules,
    secure_boot,
)
from keystead.codec import eventlog
from keystead.codec.eventlog import EV_NO_ACTION, EventLog
from keystead.codec.hashes import HashAlgorithm
from keystead.errors import EvidenceRejected, Reason
from tests.event_log_builder import (
    DRIVER_CONFIG,
    EV_ACTION,
    EV_SEPARATOR,
    GOOD,
    LOADER,
    OFF,
    ON,
    PK,
    SEPARATOR,
    Entry,
    digest,
    log,
)
from tests.evidence_builder import SHA256, SHA384


def explained(found: EventLog, *indexes: int, bank: HashAlgorithm = SHA256) -> dict[int, bytes]:
    values = eventlog.replay(found, bank)
    return {index: values.get(index, bytes(bank.digest_size)) for index in indexes}


def rules(*pcrs: int, **changes: object) -> EventLogRules:
    return EventLogRules(required=True, pcrs=frozenset(pcrs), **changes)  # type: ignore[arg-type]


def refusal(
    found: EventLog | None,
    asked: EventLogRules,
    quoted: Mapping[HashAlgorithm, Mapping[int, bytes]],
) -> tuple[Reason, int | None]:
    with pytest.raises(EvidenceRejected) as refused:
        check_replay(found, asked, quoted, step=12)
        check_rules(found, asked, quoted, step=13)
    return refused.value.reason, refused.value.step


def test_accepts_a_log_that_explains_every_bank() -> None:
    found = log(GOOD, banks=(SHA256, SHA384))
    quoted = {bank: explained(found, 0, 4, 7, bank=bank) for bank in (SHA256, SHA384)}
    check_replay(found, rules(0, 4, 7), quoted, step=12)
    check_rules(found, rules(0, 4, 7, secure_boot_required=True), quoted, step=13)


def test_a_log_that_nobody_asked_for_may_be_missing() -> None:
    optional = EventLogRules(required=False, pcrs=frozenset({0}))
    check_replay(None, optional, {SHA256: {0: bytes(32)}}, step=12)
    check_rules(None, optional, {SHA256: {0: bytes(32)}}, step=13)
    assert refusal(None, rules(0), {SHA256: {0: bytes(32)}}) == (Reason.EVENT_LOG_MISSING, 12)


def test_a_log_that_came_has_to_explain_the_quote_even_if_not_required() -> None:
    optional = EventLogRules(required=False, pcrs=frozenset({0}))
    quoted = {SHA256: {0: bytes(32)}}
    assert refusal(log(GOOD), optional, quoted) == (Reason.EVENT_LOG_MISMATCH, 12)


@pytest.mark.parametrize(
    "entries",
    [
        GOOD[:-1],
        GOOD[1:],
        (*GOOD, (4, EV_ACTION, b"more")),
        (GOOD[0], GOOD[2], GOOD[1], *GOOD[3:]),
        (*GOOD[:-1], (5, GOOD[-1][1], LOADER)),
    ],
)
def test_rejects_a_log_with_events_taken_added_or_moved(entries: Sequence[Entry]) -> None:
    quoted = {SHA256: explained(log(GOOD), 0, 4, 7)}
    assert refusal(log(entries), rules(0, 4, 7), quoted) == (Reason.EVENT_LOG_MISMATCH, 12)


def test_rejects_a_log_without_the_quoted_bank() -> None:
    quoted = {SHA384: {0: bytes(48)}}
    assert refusal(log(GOOD), rules(0), quoted) == (Reason.EVENT_LOG_MISMATCH, 12)


@pytest.mark.parametrize(
    ("index", "resting"), [(3, bytes(32)), (16, bytes(32)), (17, b"\xff" * 32)]
)
def test_a_pcr_that_the_log_never_touches_has_to_be_at_rest(index: int, resting: bytes) -> None:
    check_replay(log(GOOD), rules(index), {SHA256: {index: resting}}, step=12)
    moved = {SHA256: {index: b"\x01" * 32}}
    assert refusal(log(GOOD), rules(index), moved) == (Reason.EVENT_LOG_MISMATCH, 12)


def test_explains_only_the_pcrs_that_the_policy_names() -> None:
    found = log(GOOD)
    quoted = {SHA256: {**explained(found, 0), 10: b"\x0a" * 32}}
    check_replay(found, rules(0), quoted, step=12)
    assert refusal(found, rules(0, 10), quoted) == (Reason.EVENT_LOG_MISMATCH, 12)


# --- secure boot ----------------------------------------------------------------------------------

SEP7: Entry = (7, EV_SEPARATOR, SEPARATOR)


@pytest.mark.parametrize(
    ("entries", "state"),
    [
        (GOOD, True),
        ([(7, DRIVER_CONFIG, OFF), SEP7], False),
        ([(7, DRIVER_CONFIG, PK), SEP7], None),
        ([SEP7, (7, DRIVER_CONFIG, ON)], None),
        ([(7, DRIVER_CONFIG, OFF), SEP7, (7, DRIVER_CONFIG, ON)], False),
        ([(7, DRIVER_CONFIG, OFF), (7, DRIVER_CONFIG, ON), SEP7], False),
        ([(7, EV_SEPARATOR, b"\xff" * 4), (7, DRIVER_CONFIG, ON)], None),
        ([(4, DRIVER_CONFIG, ON), SEP7], None),
        ([(7, EV_NO_ACTION, ON), SEP7], None),
        ([], None),
    ],
)
def test_secure_boot_is_what_firmware_measured_before_the_separator(
    entries: Sequence[Entry], state: bool | None
) -> None:
    assert secure_boot(log(entries), SHA256) is state


def test_relabelled_events_deceive_nobody() -> None:
    """Types and texts are not in any PCR: the real separator, called an action, still counts."""
    relabelled = [(7, EV_ACTION, OFF), (7, EV_ACTION, SEPARATOR), (7, DRIVER_CONFIG, ON), SEP7]
    assert secure_boot(log(relabelled), SHA256) is False
    relabelled = [(7, EV_ACTION, SEPARATOR), (7, DRIVER_CONFIG, ON), SEP7]
    assert secure_boot(log(relabelled), SHA256) is None


def test_rejects_a_boot_without_secure_boot() -> None:
    found = log([(7, DRIVER_CONFIG, OFF), SEP7])
    asked = rules(7, secure_boot_required=True)
    assert refusal(found, asked, {SHA256: explained(found, 7)}) == (Reason.EVENT_LOG_REFUSED, 13)


# --- digests --------------------------------------------------------------------------------------


def test_allowed_digests_are_the_only_ones_in_their_pcr() -> None:
    found = log(GOOD)
    quoted = {SHA256: explained(found, 0, 4)}
    asked = rules(0, 4, allowed={4: {SHA256: frozenset({digest(SHA256, LOADER)})}})
    check_rules(found, asked, quoted, step=13)
    more = log([*GOOD, (4, EV_ACTION, b"another loader")])
    quoted = {SHA256: explained(more, 0, 4)}
    assert refusal(more, asked, quoted) == (Reason.EVENT_LOG_REFUSED, 13)


def test_forbidden_digests_stand_in_no_pcr() -> None:
    found = log(GOOD)
    quoted = {SHA256: explained(found, 0, 4)}
    other = rules(0, 4, forbidden={SHA256: frozenset({digest(SHA256, b"fine")})})
    check_rules(found, other, quoted, step=13)
    asked = rules(0, 4, forbidden={SHA256: frozenset({digest(SHA256, LOADER)})})
    assert refusal(found, asked, quoted) == (Reason.EVENT_LOG_REFUSED, 13)
