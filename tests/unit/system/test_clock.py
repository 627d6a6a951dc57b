import time

from keystead.ports import Clock
from keystead.system import SystemClock
from keystead.system.clock import Stopwatch


def test_tells_the_whole_second() -> None:
    clock: Clock = SystemClock()
    before = int(time.time())
    now = clock.now()
    assert type(now) is int
    assert before <= now <= time.time()


def test_a_stopwatch_runs_from_when_it_is_made() -> None:
    before = time.monotonic()
    watch = Stopwatch()
    time.sleep(0.01)
    assert 0.01 <= watch.seconds() <= time.monotonic() - before
