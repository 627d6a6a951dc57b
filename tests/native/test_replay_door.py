"""The table of proofs by its door: the rules of an obvious table, and nothing but exact bytes."""

import subprocess
import sys
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead._native import replay
from keystead._native.replay import FULL, NEW, SEEN, TOO_OLD, ReplayTable

INT64 = st.integers(-(2**63), 2**63 - 1)
# Close together, so that windows begin, end and meet; and anything.
TIME = st.one_of(st.integers(-3, 12), st.integers(-3, 12), INT64)
NAME = st.sampled_from([b"", b"a", b"b", b"ab", b"\0", b"a\0"])
USE = st.tuples(NAME, NAME, TIME, TIME)


class LyingBytes(bytes):
    def __len__(self) -> int:
        return 1_000_000


class ObviousTable:
    """The same rules in the plainest words: a dictionary of last seconds."""

    def __init__(self, capacity: int, not_before: int) -> None:
        self.capacity, self.not_before, self.horizon = capacity, not_before, 0
        self.last: dict[bytes, int] = {}

    def remember(self, jkt: bytes, jti: bytes, first: int, last: int, now: int) -> int:
        self.horizon = max(self.horizon, now)
        self.last = {key: ends for key, ends in self.last.items() if ends >= self.horizon}
        if first < self.not_before or last < self.horizon:
            return TOO_OLD
        if jkt + b"\0" + jti in self.last:
            return SEEN
        if len(self.last) >= self.capacity:
            return FULL
        self.last[jkt + b"\0" + jti] = last
        return NEW


STEP = st.one_of(
    st.tuples(st.just("batch"), st.lists(USE, max_size=40).map(tuple), TIME),
    st.tuples(st.just("single"), st.tuples(USE), TIME),
    st.tuples(st.just("start"), st.just(()), TIME),
)


@given(capacity=st.integers(1, 12), not_before=TIME, steps=st.lists(STEP, max_size=30))
def test_answers_as_an_obvious_table(
    capacity: int,
    not_before: int,
    steps: list[tuple[str, tuple[tuple[bytes, bytes, int, int], ...], int]],
) -> None:
    table = ReplayTable(capacity=capacity, not_before=not_before)
    expected = ObviousTable(capacity, not_before)
    for kind, uses, time in steps:
        if kind == "start":
            table.refuse_before(time)
            expected.not_before = max(expected.not_before, time)
            continue
        verdicts = [expected.remember(*use, time) for use in uses]
        if kind == "batch":
            assert list(table.remember_all(uses, time)) == verdicts
        else:
            assert [table.remember(*use, time) for use in uses] == verdicts
        assert len(table) == len(expected.last)


def test_the_numbers_stay() -> None:
    assert (NEW, SEEN, TOO_OLD, FULL) == (1, 2, 3, 4)


@pytest.mark.parametrize("wrong", [LyingBytes(4), bytearray(4), memoryview(b""), "", None, 0])
def test_refuses_what_is_not_exactly_bytes_and_remembers_nothing(wrong: object) -> None:
    table = ReplayTable(capacity=9, not_before=0)
    good = (b"jkt", b"jti", 0, 9)
    pairs: list[Any] = [(wrong, b""), (b"", wrong)]
    for jkt, jti in pairs:
        with pytest.raises(TypeError):
            table.remember(jkt, jti, 0, 9, 0)
        with pytest.raises(TypeError):
            table.remember_all((good, (jkt, jti, 0, 9)), 0)
    assert len(table) == 0


@pytest.mark.parametrize("wrong", [None, (), (b"", b"", 0), (b"", b"", 0, 9, 0), [b"", b"", 0, 9]])
def test_refuses_a_use_of_another_shape(wrong: object) -> None:
    table = ReplayTable(capacity=9, not_before=0)
    with pytest.raises(TypeError):
        table.remember_all((wrong,), 0)  # type: ignore[arg-type]
    no_tuples: list[Any] = [None, [], b""]
    for uses in no_tuples:
        with pytest.raises(TypeError):
            table.remember_all(uses, 0)


def test_refuses_numbers_out_of_bounds() -> None:
    for capacity in (0, replay.MAX_CAPACITY + 1):
        with pytest.raises(ValueError, match="capacity"):
            ReplayTable(capacity=capacity, not_before=0)
    table = ReplayTable(capacity=9, not_before=0)
    for time in (2**63, -(2**63) - 1):
        with pytest.raises(OverflowError):
            table.remember(b"", b"", time, 9, 0)
        with pytest.raises(OverflowError):
            table.remember_all(((b"", b"", 0, time),), 0)


def test_one_of_many_threads_wins_in_batches() -> None:
    table = ReplayTable(capacity=10_000, not_before=0)
    uses = tuple((b"jkt", b"%d" % number, 0, 9) for number in range(10_000))
    barrier, verdicts = threading.Barrier(4), []

    def race() -> None:
        barrier.wait()
        verdicts.append(table.remember_all(uses, 0))

    threads = [threading.Thread(target=race) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(verdicts) == 4
    for answers in zip(*verdicts, strict=True):
        assert sorted(answers) == [NEW, SEEN, SEEN, SEEN]


# What the documentation promises: nothing is taken ahead, and what is taken is used again.
MEMORY = """
from keystead._native.replay import MAX_CAPACITY, ReplayTable

def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

def fill(table, base, now, count=200_000):
    for i in range(0, count, 1000):
        uses = tuple((b"jkt", b"%d" % (base + i + k), 0, now + 60) for k in range(1000))
        assert table.remember_all(uses, now) == b"\\1" * 1000

fill(ReplayTable(capacity=1000, not_before=0), 0, 0, count=1000)
before = resident_bytes()
table = ReplayTable(capacity=MAX_CAPACITY, not_before=0)
print(resident_bytes() - before)
tables = [table, ReplayTable(capacity=200_000, not_before=0)]
for one in tables:
    fill(one, 0, 0)
print((resident_bytes() - before) / 400_000)
for one in tables:
    fill(one, 200_000, 61)
print((resident_bytes() - before) / 400_000)
"""


def test_takes_about_53_bytes_a_proof_as_it_fills() -> None:
    command = [sys.executable, "-c", MEMORY]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    idle, filled, filled_again = map(float, done.stdout.split())
    assert idle < 200_000
    assert filled < 64
    assert filled_again < filled + 4
