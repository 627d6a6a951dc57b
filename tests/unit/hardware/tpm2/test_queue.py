import threading
import time

import pytest

from keystead.errors import Reason, Unavailable
from keystead.hardware.tpm2.connection import Connection
from keystead.hardware.tpm2.queue import Job, JobQueue


def nothing(connection: Connection) -> None: ...


def job(*, timeout_s: float = 60) -> Job:
    return Job(nothing, deadline=time.monotonic() + timeout_s, repeatable=True)


def test_first_in_first_out() -> None:
    queue = JobQueue(4)
    jobs = [job() for _ in range(3)]
    for each in jobs:
        queue.put(each)
    assert [queue.take() for _ in jobs] == jobs
    assert queue.take_waiting() is None


def test_a_full_queue_refuses_at_once() -> None:
    queue = JobQueue(1)
    queue.put(job())
    with pytest.raises(Unavailable) as caught:
        queue.put(job())
    assert caught.value.reason is Reason.HARDWARE_BUSY


def test_jobs_that_nobody_waits_for_make_room() -> None:
    queue = JobQueue(2)
    cancelled = job()
    cancelled.future.cancel()
    queue.put(cancelled)
    queue.put(job(timeout_s=0))
    live = job()
    queue.put(live)
    assert queue.take() is live


def test_take_waits_for_a_job() -> None:
    queue = JobQueue(1)
    late = job()
    threading.Timer(0.05, queue.put, [late]).start()
    assert queue.take() is late


def test_close_wakes_the_taker_and_returns_what_waits() -> None:
    queue = JobQueue(2)
    taken: list[Job | None] = []
    taker = threading.Thread(target=lambda: taken.append(queue.take()))
    taker.start()
    assert queue.close() == []
    taker.join(5)
    assert taken == [None]
    with pytest.raises(Unavailable) as caught:
        queue.put(job())
    assert caught.value.reason is Reason.SHUTTING_DOWN


def test_failing_a_job_that_was_given_up_is_harmless() -> None:
    given_up = job()
    given_up.future.cancel()
    given_up.fail(Unavailable())
    assert given_up.future.cancelled()
