"""A service that only answers what a test tells it to, behind a real administration socket."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest

from keystead.cli import main
from keystead.cli.connection import ADMIN_SOCKET, CREDENTIAL_VARIABLE
from keystead.protocol import keystead_v1_pb2_grpc as rpc

SERVICES = {
    name.removeprefix("add_").removesuffix("_to_server"): getattr(rpc, name)
    for name in dir(rpc)
    if name.startswith("add_")
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A status, and the trailing metadata that says why."""

    code: grpc.StatusCode
    metadata: tuple[tuple[str, str], ...] = ()
    details: str = ""


@dataclass
class Service:
    """``answers`` by method name; ``asked`` is what came: (method, request, metadata)."""

    state: Path
    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, Any, dict[str, str]]] = field(default_factory=list)

    def answer(self, method: str, request: Any, context: grpc.ServicerContext) -> Any:
        metadata = {entry.key: entry.value for entry in context.invocation_metadata()}
        self.asked.append((method, request, metadata))
        answer = self.answers[method]
        if isinstance(answer, Refusal):
            context.set_trailing_metadata(answer.metadata)
            context.abort(answer.code, answer.details)
        return answer(request) if callable(answer) else answer


class Servicer:
    """Every method of every service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def __getattr__(self, method: str) -> Callable[[Any, grpc.ServicerContext], Any]:
        return lambda request, context: self._service.answer(method, request, context)


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.delenv(CREDENTIAL_VARIABLE, raising=False)
    made = Service(state=tmp_path / "state")
    (made.state / "admin").mkdir(parents=True)
    server = grpc.server(ThreadPoolExecutor(max_workers=2))
    for add in SERVICES.values():
        add(Servicer(made), server)
    server.add_insecure_port(f"unix:{made.state / ADMIN_SOCKET}")
    server.start()
    try:
        yield made
    finally:
        server.stop(grace=None).wait()


@pytest.fixture
def run(service: Service, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """``keystead …`` against the service: (status, standard output, standard error)."""

    def command(*arguments: str) -> tuple[int, str, str]:
        status = main([*arguments, "--state", str(service.state)])
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return command
