import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from keystead.errors import Malformed, Reason, Refused, Unavailable
from keystead.hardware.tpm2.connection import Authorizations, Connection
from keystead.hardware.tpm2.owner import AWAY_TIMEOUT_S, TpmOwner
from keystead.hardware.tpm2.response_codes import TpmError
from keystead.hardware.tpm2.transport import ConnectionLost, TpmHangs


class Silent:
    """A transport that nobody uses: the operations of these tests send nothing."""

    def exchange(self, command: bytes, *, deadline: float) -> bytes:
        raise AssertionError("nothing is sent here")

    def meanwhile(self, work: Callable[[], None]) -> None: ...

    def close(self) -> None: ...


class Tpm:
    """Counts connections, and refuses them while ``absent``."""

    def __init__(self) -> None:
        self.connections = 0
        self.attempts = 0
        self.absent = False

    def connect(self) -> Connection:
        self.attempts += 1
        if self.absent:
            raise ConnectionLost("nobody there")
        self.connections += 1
        return Connection(
            Silent(), timeout_s=1, create_timeout_s=1, authorizations=Authorizations()
        )


@contextmanager
def owned(tpm: Tpm, *, queue_limit: int = 8) -> Iterator[TpmOwner]:
    owner = TpmOwner(tpm.connect, queue_limit=queue_limit, name="test-owner")
    yield owner
    owner.close()


def ask(
    owner: TpmOwner,
    operation: Callable[[Connection], object],
    *,
    timeout_s: float = 5.0,
    repeatable: bool = True,
) -> object:
    future, patience_s = owner.submit(operation, timeout_s=timeout_s, repeatable=repeatable)
    return future.result(patience_s + 1)


def failing(error: Exception, *, times: int) -> Callable[[Connection], int]:
    """An operation that fails that many times and then returns how often it ran."""
    runs = 0

    def operation(connection: Connection) -> int:
        nonlocal runs
        runs += 1
        if runs <= times:
            raise error
        return runs

    return operation


def test_one_connection_serves_many_operations() -> None:
    tpm = Tpm()
    with owned(tpm) as owner:
        assert [ask(owner, lambda _, n=n: n) for n in range(5)] == list(range(5))
    assert tpm.connections == 1


def test_all_operations_run_on_one_thread() -> None:
    with owned(Tpm()) as owner:
        threads = {ask(owner, lambda _: threading.get_ident()) for _ in range(3)}
    assert len(threads) == 1
    assert threading.get_ident() not in threads


@pytest.mark.parametrize("error", [ConnectionLost("gone"), TpmError(0x910, "TPM2_SIGN")])
def test_repeats_once_on_a_new_connection(error: Exception) -> None:
    tpm = Tpm()
    with owned(tpm) as owner:
        ask(owner, lambda _: None)
        assert ask(owner, failing(error, times=1)) == 2
        assert owner.reconnects == 1


def test_does_not_repeat_what_changes_the_tpm() -> None:
    tpm = Tpm()
    with owned(tpm) as owner:
        ask(owner, lambda _: None)
        with pytest.raises(Unavailable):
            ask(owner, failing(ConnectionLost("gone"), times=1), repeatable=False)
        assert ask(owner, lambda _: "back") == "back"


def test_does_not_wait_twice_for_a_tpm_that_hangs() -> None:
    with owned(Tpm()) as owner:
        ask(owner, lambda _: None)
        with pytest.raises(Unavailable):
            ask(owner, failing(TpmHangs("silence"), times=1))


def test_a_second_loss_is_final_and_leaves_no_dead_connection() -> None:
    tpm = Tpm()
    with owned(tpm) as owner:
        ask(owner, lambda _: None)
        with pytest.raises(Unavailable):
            ask(owner, failing(ConnectionLost("gone"), times=2))
        assert ask(owner, lambda _: "back", repeatable=False) == "back"
        assert tpm.connections == 3


def test_a_refusal_keeps_the_connection() -> None:
    tpm = Tpm()
    with owned(tpm) as owner:
        with pytest.raises(Refused) as caught:
            ask(owner, failing(TpmError(0x99D, "TPM2_SIGN"), times=1))
        assert caught.value.reason is Reason.HARDWARE_REFUSED
        ask(owner, lambda _: None)
    assert tpm.connections == 1


def test_errors_of_keystead_pass_as_they_are() -> None:
    error = Malformed(Reason.MALFORMED, "a digest of 3 bytes")
    with owned(Tpm()) as owner, pytest.raises(Malformed) as caught:
        ask(owner, failing(error, times=1))
    assert caught.value is error


def test_a_bug_reaches_its_caller_and_spares_the_thread() -> None:
    with owned(Tpm()) as owner:
        with pytest.raises(ZeroDivisionError):
            ask(owner, failing(ZeroDivisionError(), times=1))
        assert ask(owner, lambda _: "alive") == "alive"


def test_an_absent_tpm_is_given_up_soon() -> None:
    tpm = Tpm()
    tpm.absent = True
    with owned(tpm) as owner:
        before = time.monotonic()
        with pytest.raises(Unavailable):
            ask(owner, lambda _: None, timeout_s=60)
        assert time.monotonic() - before < AWAY_TIMEOUT_S + 1
        assert owner.away
        before = time.monotonic()
        with pytest.raises(Unavailable):
            ask(owner, lambda _: None, timeout_s=60)
        assert time.monotonic() - before < 0.5
        assert tpm.attempts < 20


def test_a_tpm_that_comes_back_is_found() -> None:
    tpm = Tpm()
    tpm.absent = True
    with owned(tpm) as owner:
        threading.Timer(0.2, setattr, (tpm, "absent", False)).start()
        assert ask(owner, lambda _: "back") == "back"
        assert not owner.away


def test_a_full_queue_is_busy() -> None:
    started, release = threading.Event(), threading.Event()

    def block(connection: Connection) -> None:
        started.set()
        release.wait(5)

    with owned(Tpm(), queue_limit=2) as owner:
        running, _ = owner.submit(block, timeout_s=5, repeatable=True)
        started.wait(5)
        waiting = [owner.submit(lambda _: 1, timeout_s=5, repeatable=True) for _ in range(2)]
        with pytest.raises(Unavailable) as caught:
            owner.submit(lambda _: 1, timeout_s=5, repeatable=True)
        release.set()
        assert caught.value.reason is Reason.HARDWARE_BUSY
        assert [future.result(5) for future, _ in waiting] == [1, 1]
        running.result(5)


def test_an_operation_that_came_too_late_is_not_run() -> None:
    started, release = threading.Event(), threading.Event()
    ran: list[str] = []

    def block(connection: Connection) -> None:
        started.set()
        release.wait(5)

    with owned(Tpm()) as owner:
        owner.submit(block, timeout_s=5, repeatable=True)
        started.wait(5)
        late, _ = owner.submit(lambda _: ran.append("late"), timeout_s=0.01, repeatable=True)
        time.sleep(0.05)
        release.set()
        with pytest.raises(Unavailable, match="in time"):
            late.result(5)
    assert ran == []


def test_close_answers_everybody() -> None:
    started, release = threading.Event(), threading.Event()

    def block(connection: Connection) -> str:
        started.set()
        release.wait(5)
        return "done"

    owner = TpmOwner(Tpm().connect, queue_limit=8, name="test-owner")
    running, _ = owner.submit(block, timeout_s=5, repeatable=True)
    started.wait(5)
    waiting, _ = owner.submit(lambda _: None, timeout_s=5, repeatable=True)
    threading.Timer(0.05, release.set).start()
    owner.close()
    assert running.result(5) == "done"
    with pytest.raises(Unavailable) as caught:
        waiting.result(5)
    assert caught.value.reason is Reason.SHUTTING_DOWN
    with pytest.raises(Unavailable):
        owner.submit(lambda _: None, timeout_s=5, repeatable=True)
