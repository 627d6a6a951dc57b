import time

from keystead.ports import Clock
from keystead.system import SystemClock


def test_tells_the_whole_second() -> None:
    clock: Clock = SystemClock()
    before = int(time.time())
    now = clock.now()
    assert type(now) is int
    assert before <= now <= time.time()
