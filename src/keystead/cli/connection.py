"""A command's connection to a running service: its administration socket, or its gRPC address.

with connect(options) as channel:
    stub = IdentityServiceStub(channel)
    hosts = call(stub.ListHosts, ListHostsRequest(), options)
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import grpc

from keystead.errors import KeysteadError, Malformed, Reason, Refused, Unavailable

CALL_TIMEOUT_S = 30
"""Longer than a slow TPM's key creation."""
CREDENTIAL_VARIABLE = "KEYSTEAD_CREDENTIAL"
MAX_CREDENTIAL_FILE_CHARS = 4096
"""A credential has 47 characters; a larger file is another one."""
DEV_CREDENTIAL_FILE = "operator.credential"
ADMIN_SOCKET = Path("admin") / "keystead.sock"

MAX_NUMBER = 2**31 - 1
"""An int32, the smallest field that an argument becomes."""

Request = TypeVar("Request")
Response = TypeVar("Response")


def default_state() -> Path:
    """Where ``keystead serve --dev`` keeps its state unless told otherwise."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "keystead-dev"


def add_connection_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that every administration command shares."""
    parser.add_argument(
        "--state",
        type=Path,
        default=default_state(),
        metavar="DIR",
        help="the service's state folder, with its administration socket (default: %(default)s)",
    )
    parser.add_argument("--socket", type=Path, metavar="PATH", help="the administration socket")
    parser.add_argument(
        "--credential-file",
        type=Path,
        metavar="FILE",
        help=f"an operator's credential; else ${CREDENTIAL_VARIABLE}, else the one in --state",
    )
    parser.add_argument("--json", action="store_true", help="answer as one JSON document")


def number(text: str) -> int:
    """An argument that is a number, zero or more, and fits every message's field."""
    if not text.isdecimal() or len(text) > len(str(MAX_NUMBER)) or int(text) > MAX_NUMBER:
        raise argparse.ArgumentTypeError(f"{text!r} is not 0 to {MAX_NUMBER}")
    return int(text)


@contextmanager
def connect(options: argparse.Namespace) -> Iterator[grpc.Channel]:
    """A channel to the administration socket; Unavailable says how to start a service."""
    socket: Path = options.socket or options.state / ADMIN_SOCKET
    if not socket.is_socket():
        detail = f"no service listens at {socket}: start one, or name its --state or --socket"
        raise Unavailable(Reason.NOT_FOUND, detail)
    with grpc.insecure_channel(f"unix:{socket.resolve()}") as channel:
        yield channel


def metadata(options: argparse.Namespace) -> list[tuple[str, str]]:
    """The operator's credential, where there is one."""
    credential = _credential(options).strip()
    if not credential.isascii() or not credential.isprintable():
        raise Malformed(Reason.CREDENTIAL_INVALID, "not a line of printable ASCII")
    return [("authorization", f"Bearer {credential}")] if credential else []


def call(method: Callable[..., Response], request: object, options: argparse.Namespace) -> Response:
    """One unary call; a refusal comes back as the KeysteadError that it was."""
    try:
        return method(request, timeout=CALL_TIMEOUT_S, metadata=metadata(options))
    except grpc.RpcError as error:
        raise from_rpc(error) from None


def from_rpc(error: grpc.RpcError) -> KeysteadError:
    """The error that a service's status and trailing metadata stand for."""
    trailing = {entry.key: str(entry.value) for entry in error.trailing_metadata() or ()}
    step = trailing.get("keystead-step")
    try:
        reason = Reason(trailing.get("keystead-reason", ""))
    except ValueError:
        return Unavailable(Reason.STORE_UNAVAILABLE, f"{error.code().name}: {error.details()}")
    kind = _ERROR_OF.get(error.code(), Refused)
    return kind(reason, "", step=int(step) if step else None)


_ERROR_OF: dict[grpc.StatusCode, type[KeysteadError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: Malformed,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
}


def _credential(options: argparse.Namespace) -> str:
    if options.credential_file is not None:
        return _read(options.credential_file)
    if CREDENTIAL_VARIABLE in os.environ:
        return os.environ[CREDENTIAL_VARIABLE]
    beside = options.state / DEV_CREDENTIAL_FILE
    return _read(beside) if beside.is_file() else ""


def _read(path: Path) -> str:
    try:
        with path.open() as file:
            return file.read(MAX_CREDENTIAL_FILE_CHARS)
    except (OSError, UnicodeDecodeError) as error:
        raise Malformed(Reason.CREDENTIAL_INVALID, f"{path}: {error}") from None
