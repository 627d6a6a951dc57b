"""``keystead attest``: which host each kind is, and what ``--keep`` does."""

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from keystead.agent import Binding, DocumentHost, TpmHost, VtpmHost
from keystead.agent.collectors import COLLECTORS
from keystead.cli import attest, main
from keystead.cli.attest import RETRY_S, keep
from keystead.cli.attest_hosts import ALL_OPTIONS, KINDS
from keystead.errors import EvidenceRejected, Reason, Unavailable
from keystead.model import EvidenceKind, ResultId, SpiffeId

SERVER = ("--server", "127.0.0.1:1")
NEEDED = {
    "tpm2": "--folder",
    "azure-cvm": "--folder",
    "tdx": "--collateral",
    "oidc": "--token-from or --token-file",
}
GIVEN = {
    "tcti": ("--tcti", "swtpm:path=/nonexistent"),
    "folder": ("--folder", "/nonexistent"),
    "certificates": ("--certificates", "/nonexistent"),
    "vmpl": ("--vmpl", "1"),
    "collateral": ("--collateral", "/nonexistent"),
    "event_log": ("--event-log",),
    "token_from": ("--token-from", "gcp"),
    "token_file": ("--token-file", "/nonexistent"),
    "resource": ("--resource", "api://keystead"),
    "client_id": ("--client-id", "one"),
}
FOREIGN = [(kind, name) for kind in KINDS for name in sorted(ALL_OPTIONS - KINDS[kind].options)]


def refused(*arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["attest", *SERVER, *arguments]) == 2
    return capsys.readouterr().err


def test_every_kind_that_has_a_collector_can_be_attested() -> None:
    assert set(KINDS) == {kind.value for kind in COLLECTORS} | {"tpm2"}


@pytest.mark.parametrize("kind", NEEDED)
def test_says_which_option_is_missing(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused("--kind", kind, capsys=capsys)
    assert "parameter_missing" in said
    assert NEEDED[kind] in said


@pytest.mark.parametrize(("kind", "name"), FOREIGN)
def test_refuses_an_option_of_another_kind(
    kind: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused("--kind", kind, *GIVEN[name], capsys=capsys)
    assert f"{GIVEN[name][0]} is not for --kind {kind}" in said


OIDC_OPTIONS: list[tuple[tuple[str, ...], str]] = [
    (("--token-from", "gcp", "--token-file", "t"), "either --token-from or --token-file"),
    (("--token-from", "gcp", "--resource", "r"), "for --token-from azure"),
    (("--token-file", "t", "--client-id", "c"), "for --token-from azure"),
    (("--token-from", "azure"), "give --resource"),
]


@pytest.mark.parametrize(("options", "why"), OIDC_OPTIONS)
def test_refuses_options_that_contradict(
    options: tuple[str, ...], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert why in refused("--kind", "oidc", *options, capsys=capsys)


HOSTS: list[tuple[str, tuple[str, ...], type]] = [
    ("aws-nitro", (), DocumentHost),
    ("sev-snp", ("--certificates", "c.pem", "--vmpl", "2"), DocumentHost),
    ("tdx", ("--collateral", "collateral.json", "--event-log"), DocumentHost),
    ("oidc", ("--token-file", "token"), DocumentHost),
    ("oidc", ("--token-from", "gcp"), DocumentHost),
    ("oidc", ("--token-from", "azure", "--resource", "api://keystead"), DocumentHost),
    ("tpm2", ("--tcti", "swtpm:path=/nonexistent"), TpmHost),
    ("azure-cvm", ("--tcti", "swtpm:path=/nonexistent"), VtpmHost),
]


@pytest.mark.parametrize(("kind", "given", "host"), HOSTS)
def test_the_host_is_of_its_kind(
    kind: str, given: tuple[str, ...], host: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def attested(workload: object) -> None:
        made.append(workload.host)  # type: ignore[attr-defined]
        raise EvidenceRejected(Reason.CLAIM_NOT_ALLOWED, "as far as this test goes")

    monkeypatch.setattr("keystead.agent.workload.Workload.attest", attested)
    folder = ("--folder", str(tmp_path / "keys")) if host is not DocumentHost else ()
    assert main(["attest", *SERVER, "--kind", kind, *folder, *given]) == 1
    assert [(type(each), each.kind.value) for each in made] == [(host, kind)]


@pytest.mark.parametrize("kind", [EvidenceKind.MAA, EvidenceKind.APP_ATTEST])
def test_other_clients_have_the_kinds_that_no_host_collects(
    kind: EvidenceKind, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["attest", *SERVER, "--kind", kind.value])
    assert "invalid choice" in capsys.readouterr().err


class Clock:
    """Stands still unless a wait passes."""

    def __init__(self) -> None:
        self.time = 1_000

    def now(self) -> int:
        return self.time


class Ended(threading.Event):
    """Counts the waits, lets their time pass, and is set after ``waits`` of them."""

    def __init__(self, clock: Clock, *, waits: int) -> None:
        super().__init__()
        self._clock = clock
        self._left = waits
        self.waited: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        if self._left == 0:
            return True
        self._left -= 1
        self.waited.append(timeout)
        self._clock.time += int(timeout)
        return False


class Workload:
    """Attests for ``life_s``; ``answers`` says what each later try comes to."""

    def __init__(self, clock: Clock, *, life_s: int, answers: list[Callable[[], bool]]) -> None:
        self._clock = clock
        self._life_s = life_s
        self._answers = answers
        self.binding: Binding | None = None

    def attest(self) -> Binding:
        now = self._clock.now()
        self.binding = Binding(
            spiffe_id=SpiffeId("spiffe://example.org/agent"),
            jkt="key",
            result_id=ResultId(f"at {now}"),
            ear="",
            renew_at=now + self._life_s,
            expires_at=now + 2 * self._life_s,
            issuer="https://keystead.example",
        )
        return self.binding

    def attest_if_due(self) -> bool:
        assert self.binding is not None
        if self._clock.now() < self.binding.renew_at:
            return False
        answer = self._answers.pop(0)()
        if answer:
            self.attest()
        return answer


def kept(
    *answers: Callable[[], bool], life_s: int = 60, waits: int
) -> tuple[list[str], list[float]]:
    clock, shown = Clock(), []
    ended = Ended(clock, waits=waits)
    workload = Workload(clock, life_s=life_s, answers=list(answers))
    keep(
        workload,  # type: ignore[arg-type]
        clock=clock,
        ended=ended,
        show=lambda binding: shown.append(binding.result_id),
    )
    return shown, ended.waited


def renewed() -> bool:
    return True


def away() -> bool:
    return False


def no() -> bool:
    raise EvidenceRejected(Reason.CLAIM_NOT_ALLOWED)


def gone() -> bool:
    raise Unavailable(Reason.SERVER_UNAVAILABLE, "and the binding is over")


def test_keeping_shows_the_first_attestation_and_ends_with_the_signal() -> None:
    assert kept(waits=0) == (["at 1000"], [])


def test_keeping_attests_again_when_it_is_due() -> None:
    shown, waited = kept(renewed, renewed, waits=2)
    assert shown == ["at 1000", "at 1060", "at 1120"]
    assert waited == [60, 60]


def test_keeping_tries_again_soon_while_the_service_is_away() -> None:
    shown, waited = kept(away, away, renewed, waits=3)
    assert shown == ["at 1000", f"at {1060 + 2 * RETRY_S}"]
    assert waited == [60, RETRY_S, RETRY_S]


def test_keeping_does_not_wait_for_longer_than_an_hour() -> None:
    shown, waited = kept(renewed, life_s=5_000, waits=2)
    assert shown == ["at 1000", "at 6000"]
    assert waited == [3_600, 1_400]


@pytest.mark.parametrize("end", [no, gone])
def test_keeping_ends_with_the_refusal(end: Callable[[], bool]) -> None:
    with pytest.raises((EvidenceRejected, Unavailable)):
        kept(renewed, end, waits=9)


@pytest.mark.parametrize("number", attest._ENDING_SIGNALS)
def test_a_signal_in_the_middle_of_waiting_ends_it(number: signal.Signals) -> None:
    """Whatever the waiting thread was about to do, and whichever thread the signal came to."""
    before = signal.getsignal(number)
    for at in range(200):
        with attest._until_signal() as ended:
            sender = threading.Timer(1e-5 * at, os.kill, (os.getpid(), number))
            sender.start()
            assert ended.wait(10)
            sender.join()
    assert signal.getsignal(number) is before


def test_an_end_that_does_not_come_is_waited_for_so_long() -> None:
    with attest._until_signal() as ended:
        assert ended.wait(0.01) is False
        signal.raise_signal(signal.SIGTERM)
        assert ended.wait(0) is True
