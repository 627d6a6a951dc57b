"""Reading in a thread: what happens where there is none, and in the child of a fork."""

import os
import threading

import pytest

from keystead.relying import refreshed
from keystead.relying.refreshed import Refreshed
from keystead.relying.status import CachedStatusLists, StatusListRules
from tests.relying_tokens import NOW


def once(now: int) -> str:
    return "read"


def test_without_a_thread_it_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoThread(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    document = Refreshed(once, name="test", interval_s=60)
    with monkeypatch.context() as patched:
        patched.setattr(refreshed, "Thread", NoThread)
        future = document.start(NOW)
        assert future is not None and future.done()
    assert document.last is None and "can't start new thread" in document.last_error
    assert document.start(NOW + 59) is None
    again = document.start(NOW + 60)
    assert again is not None
    again.result(timeout=5)
    assert document.last is not None and document.last.value == "read"


def in_a_child(check: object) -> int:
    """The status of a forked child that calls ``check``; it is killed if it hangs."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if check() else 1)  # type: ignore[operator]
        except BaseException:
            os._exit(2)
    ended = threading.Event()
    killer = threading.Thread(target=lambda: ended.wait(20) or os.kill(child, 9), daemon=True)
    killer.start()
    _, status = os.waitpid(child, 0)
    ended.set()
    killer.join()
    return os.waitstatus_to_exitcode(status)


def test_a_child_does_not_wait_for_its_parents_thread() -> None:
    parent, go_on = os.getpid(), threading.Event()

    def slow(now: int) -> str:
        if os.getpid() == parent:
            go_on.wait(30)
        return "read"

    document = Refreshed(slow, name="test", interval_s=60)
    under_way = document.start(NOW)
    assert under_way is not None

    def reads_by_itself() -> bool:
        own = document.start(NOW + 60)
        if own is None or own is under_way:
            return False
        own.result(timeout=10)
        return document.last is not None

    try:
        assert in_a_child(reads_by_itself) == 0
    finally:
        go_on.set()
    under_way.result(timeout=5)


def test_a_child_does_not_wait_for_a_lock_of_its_parents() -> None:
    from keystead.relying import StaticJwks
    from tests.relying_tokens import ISSUER, jwks

    rules = StatusListRules(
        issuer=ISSUER, keys=StaticJwks(jwks()), algorithms={"ES256"}, leeway_s=5
    )
    document = Refreshed(once, name="test", interval_s=60)
    lists = CachedStatusLists(lambda uri: b"", rules)

    def asks() -> bool:
        return document.start(NOW) is not None and lists.refresh("a", now=NOW) is not None

    with document._lock, lists._lock:
        assert in_a_child(asks) == 0
