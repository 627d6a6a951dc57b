"""A command's connection: where it goes, who it says it is, and how a refusal comes back."""

import argparse
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from keystead.cli import main
from keystead.cli.connection import CREDENTIAL_VARIABLE, default_state, number
from keystead.protocol import keystead_v1_pb2 as pb
from tests.unit.cli.conftest import Refusal, Service

CREDENTIAL = "kso_" + "c" * 43
Run = Callable[..., tuple[int, str, str]]


def shown_credential(service: Service) -> str | None:
    return service.asked[-1][2].get("authorization")


@pytest.fixture(autouse=True)
def no_hosts(service: Service) -> None:
    service.answers["ListHosts"] = pb.ListHostsResponse()


def test_without_a_service_the_answer_says_how_to_get_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["hosts", "list", "--state", str(tmp_path / "none")]) == 1
    shown = capsys.readouterr().err
    assert f"no service listens at {tmp_path}/none/admin/keystead.sock" in shown


def test_a_plain_file_is_no_socket(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["hosts", "list", "--socket", str(tmp_path / "file")]) == 1
    assert "no service listens" in capsys.readouterr().err


def test_a_socket_that_nobody_serves_any_more_is_unavailable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    assert main(["hosts", "list", "--socket", str(path)]) == 1
    assert "UNAVAILABLE" in capsys.readouterr().err


def test_a_stranger_shows_no_credential(service: Service, run: Run) -> None:
    assert run("hosts", "list")[0] == 0
    assert shown_credential(service) is None


def test_the_credential_beside_the_state_is_shown(service: Service, run: Run) -> None:
    (service.state / "operator.credential").write_text(CREDENTIAL + "\n")
    run("hosts", "list")
    assert shown_credential(service) == f"Bearer {CREDENTIAL}"


def test_the_environment_comes_before_the_state_and_a_named_file_before_both(
    service: Service, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (service.state / "operator.credential").write_text("kso_state")
    monkeypatch.setenv(CREDENTIAL_VARIABLE, " kso_environment\n")
    run("hosts", "list")
    assert shown_credential(service) == "Bearer kso_environment"
    (tmp_path / "mine").write_text("kso_file\n")
    run("hosts", "list", "--credential-file", str(tmp_path / "mine"))
    assert shown_credential(service) == "Bearer kso_file"


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"kso_a\nkso_b", "kso_é".encode(), b"a\0b"])
def test_a_file_that_holds_no_credential_is_wrong_use(
    service: Service, run: Run, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "credential"
    if content is not None:
        path.write_bytes(content)
    status, out, err = run("hosts", "list", "--credential-file", str(path))
    assert (status, out) == (2, "") and err.startswith("keystead: credential_invalid")
    assert service.asked == []


@pytest.mark.parametrize(
    ("refusal", "status", "said"),
    [
        (
            Refusal(grpc.StatusCode.PERMISSION_DENIED, (("keystead-reason", "role_required"),)),
            1,
            "keystead: role_required\n",
        ),
        (
            Refusal(
                grpc.StatusCode.INVALID_ARGUMENT,
                (("keystead-reason", "parameter_invalid"), ("keystead-step", "4")),
            ),
            2,
            "keystead: parameter_invalid (step 4)\n",
        ),
        (
            Refusal(grpc.StatusCode.UNAVAILABLE, (("keystead-reason", "hardware_unavailable"),)),
            1,
            "keystead: hardware_unavailable\n",
        ),
        (
            Refusal(grpc.StatusCode.NOT_FOUND, (("keystead-reason", "not_found"),)),
            1,
            "keystead: not_found\n",
        ),
        (
            Refusal(grpc.StatusCode.INTERNAL, (), "something \x1b[2J"),
            1,
            "keystead: store_unavailable: INTERNAL: something \\x1b[2J\n",
        ),
        (
            Refusal(grpc.StatusCode.INTERNAL, (("keystead-reason", "not a reason"),), "x"),
            1,
            "keystead: store_unavailable: INTERNAL: x\n",
        ),
    ],
)
def test_a_refusal_comes_back_as_what_it_was(
    service: Service, run: Run, refusal: Refusal, status: int, said: str
) -> None:
    service.answers["ListHosts"] = refusal
    assert run("hosts", "list") == (status, "", said)


def test_the_state_of_development_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/var/x")
    assert default_state() == Path("/var/x/keystead-dev")
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert default_state() == Path("/home/somebody/.local/state/keystead-dev")


@pytest.mark.parametrize("text", ["0", "1", str(2**31 - 1)])
def test_a_number_is_a_number(text: str) -> None:
    assert number(text) == int(text)


@pytest.mark.parametrize("text", ["", "-1", "+1", "1.0", "x", str(2**31), "9" * 5_000, " 1", "²"])
def test_what_is_no_number_is_wrong_use(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        number(text)


@pytest.mark.parametrize(
    "arguments",
    [
        ("audit", "list", "--limit", str(2**31)),
        ("audit", "list", "--after", "-1"),
        ("entries", "create", "spiffe://a/b", "--parent", "spiffe://a/h", "--ttl", "9" * 30),
    ],
)
def test_numbers_beyond_a_message_end_the_command_with_2(run: Run, arguments: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        run(*arguments)
    assert ended.value.code == 2


def test_an_argument_that_is_not_utf8_ends_the_command_with_2(run: Run) -> None:
    status, out, err = run("keys", "show", "\udcff")
    assert (status, out) == (2, "")
    assert err == "keystead: parameter_invalid: text that UTF-8 cannot carry\n"
