import hashlib
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.codec import eventlog
from keystead.codec.hashes import HashAlgorithm
from keystead.errors import Malformed, Reason
from tests.event_log_bytes import (
    EV_SEPARATOR,
    GOOD,
    HEAD,
    SHA1,
    SHA256,
    agile_event,
    locality,
    sha1_event,
    spec_id,
)


def extend(value: bytes, data: bytes) -> bytes:
    return hashlib.sha256(value + hashlib.sha256(data).digest()).digest()


def refused(data: bytes) -> Reason:
    with pytest.raises(Malformed) as caught:
        eventlog.parse(data)
    return caught.value.reason


def test_parses_and_replays_a_crypto_agile_log() -> None:
    log = eventlog.parse(GOOD)
    assert log.digest_sizes == {SHA1: 20, SHA256: 32}
    assert [(event.pcr, event.type) for event in log.events] == [(0, 3), (0, 8), (7, 4)]
    assert eventlog.replay(log, SHA256) == {
        0: extend(bytes(32), b"firmware"),
        7: extend(bytes(32), bytes(4)),
    }


def test_parses_and_replays_a_sha1_log() -> None:
    log = eventlog.parse(sha1_event(4, 5, b"one") + sha1_event(4, 5, b"two"))
    value = bytes(20)
    for data in (b"one", b"two"):
        value = hashlib.sha1(value + hashlib.sha1(data).digest()).digest()
    assert eventlog.replay(log, SHA1) == {4: value}


def test_a_log_without_the_bank_replays_nothing() -> None:
    with pytest.raises(Malformed):
        eventlog.replay(eventlog.parse(GOOD), HashAlgorithm.SHA384)


def test_no_action_is_never_extended() -> None:
    digests = {SHA1: b"\1" * 20, SHA256: b"\1" * 32}
    log = eventlog.parse(GOOD + agile_event(5, 3, b"information", digests))
    assert 5 not in eventlog.replay(log, SHA256)


@pytest.mark.parametrize("number", [0, 3, 4])
def test_pcr_0_starts_at_the_startup_locality(number: int) -> None:
    log = eventlog.parse(HEAD + locality(number) + agile_event(0, 8, b"firmware"))
    assert log.startup_locality == number
    start = bytes(31) + bytes([number])
    assert eventlog.replay(log, SHA256) == {0: extend(start, b"firmware")}


@pytest.mark.parametrize(
    "log",
    [
        HEAD + agile_event(0, 8, b"firmware") + locality(3),
        HEAD + locality(3) + locality(3),
        HEAD + locality(1),
        HEAD + agile_event(0, 3, b"StartupLocality\0", {}),
        HEAD + agile_event(0, 3, b"StartupLocality\0\3\0", {}),
    ],
)
def test_rejects_a_startup_locality_that_is_late_repeated_or_unknown(log: bytes) -> None:
    assert refused(log) is Reason.MALFORMED


def test_pcrs_of_a_dynamic_launch_replay_from_zeros() -> None:
    log = eventlog.parse(HEAD + agile_event(17, 0x401, b"launch"))
    assert eventlog.replay(log, SHA256) == {17: extend(bytes(32), b"launch")}


@pytest.mark.parametrize("padding", [bytes(1), bytes(100), b"\xff" * 3, b"\xff" * 100])
def test_padding_at_the_end_is_no_event(padding: bytes) -> None:
    data = HEAD + agile_event(4, 5, b"x")
    assert eventlog.parse(data + padding) == eventlog.parse(data)


@pytest.mark.parametrize("padding", [b"\xff" * 8 + b"\0", bytes(8) + b"\1", b"\xff\0" * 6])
def test_rejects_something_in_the_padding(padding: bytes) -> None:
    assert refused(GOOD + padding) is Reason.MALFORMED


CUT = HEAD + agile_event(1, 8, b"firmware") + agile_event(7, EV_SEPARATOR, bytes(4))


@pytest.mark.parametrize("cut", range(1, len(CUT), 3))
def test_rejects_a_log_cut_inside_an_event(cut: int) -> None:
    if cut not in (len(HEAD), len(HEAD) + len(agile_event(1, 8, b"firmware"))):
        assert refused(CUT[:cut]) is Reason.MALFORMED


SOME = {SHA1: bytes(20), SHA256: bytes(32)}


@pytest.mark.parametrize(
    "event",
    [
        agile_event(24, 5, b"x"),  # no such PCR
        agile_event(0xFFFFFFFF, 5, b"x"),
        agile_event(4, 5, b"x", {SHA256: bytes(32)}),  # a bank is missing
        agile_event(4, 5, b"x", {}),
        agile_event(4, 5, b"x", {SHA1: bytes(20), 0x12: bytes(32)}),  # another algorithm
        agile_event(4, 5, b"x", {**SOME, 0x12: bytes(32)}),
        struct.pack("<III", 4, 5, 2) + (struct.pack("<H", 4) + bytes(20)) * 2 + b"\1\0\0\0x",
        struct.pack("<III", 0, 3, 2) + (struct.pack("<H", 4) + bytes(20)) * 2 + b"\1\0\0\0x",
        struct.pack("<III", 4, 5, 0xFFFFFFFF),
    ],
)
def test_rejects_one_bad_event(event: bytes) -> None:
    assert refused(HEAD + event) is Reason.MALFORMED


def test_informational_events_may_name_no_pcr() -> None:
    log = eventlog.parse(HEAD + agile_event(0xFFFFFFFF, 3, b"x", {}))
    assert log.events[1].pcr == 0xFFFFFFFF


@pytest.mark.parametrize(
    "head",
    [
        spec_id({}),
        spec_id({SHA256: 20}),  # the wrong size
        spec_id({0x12: 65}),
        spec_id({0x12: 0}),
        spec_id(dict.fromkeys(range(0x20, 0x29), 32)),  # too many
        sha1_event(0, 3, b"Spec ID Event03\0", bytes(20)),
        sha1_event(0, 3, eventlog.parse(HEAD).events[0].data + b"\0", bytes(20)),
    ],
)
def test_rejects_a_bad_algorithm_list(head: bytes) -> None:
    assert refused(head) is Reason.MALFORMED


def test_vendor_information_is_skipped() -> None:
    head = spec_id({SHA1: 20, SHA256: 32}, vendor=b"vendor")
    assert len(eventlog.parse(head + agile_event(4, 5, b"x")).events) == 2


def test_unknown_algorithms_are_read_by_their_declared_size() -> None:
    log = eventlog.parse(spec_id({0x12: 32}) + agile_event(4, 5, b"x", {0x12: b"\1" * 32}))
    assert log.events[1].digests == {0x12: b"\1" * 32}


def test_sizes_are_bounded() -> None:
    assert refused(bytes(eventlog.MAX_LOG_BYTES + 1)) is Reason.TOO_LARGE
    large = struct.pack("<II", 4, 5) + bytes(20) + struct.pack("<I", eventlog.MAX_EVENT_BYTES + 1)
    assert refused(large) is Reason.TOO_LARGE
    most = sha1_event(4, 5, b"") * eventlog.MAX_EVENTS
    assert len(eventlog.parse(most).events) == eventlog.MAX_EVENTS
    assert refused(most + sha1_event(4, 5, b"")) is Reason.TOO_LARGE


@given(st.binary(max_size=200), st.booleans())
def test_leaks_nothing_but_malformed(data: bytes, behind_a_header: bool) -> None:
    with suppress(Malformed):
        log = eventlog.parse(HEAD + data if behind_a_header else data)
        eventlog.replay(log, SHA1)
