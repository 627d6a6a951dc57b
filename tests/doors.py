"""The doors over use cases that only record: for tests of what a door itself does.

Credentials are real (``service.callers``), everything behind the doors is a double.
"""

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from keystead.errors import KeysteadError, Reason
from keystead.model import EnrolledHost, IssuedToken, SpiffeId
from keystead.server import Doors, DoorSettings
from keystead.service.callers import Callers, Operator
from keystead.service.health import HealthReport
from keystead.service.roles import Caller, Role

OPERATOR = "kso_" + "o" * 43
ADMINISTRATOR = "kso_" + "a" * 43
HOST_ID = SpiffeId("spiffe://example.org/host/one")
ISSUER_ID = SpiffeId("spiffe://example.org/issuer")
RELYING_PARTY_ID = SpiffeId("spiffe://example.org/api")

TOKEN = IssuedToken(
    access_token="a.b.c",
    token_type="DPoP",
    issued_token_type="urn:ietf:params:oauth:token-type:access_token",
    expires_in=300,
    scope="read",
    refresh_token="r",
)


class Recorder:
    """Every method that is called answers what ``answers`` holds for it, and is recorded."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in self.answers:
            raise AttributeError(name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append((name, args, kwargs))
            answer = self.answers[name]
            if callable(answer):
                return answer(*args, **kwargs)
            if isinstance(answer, BaseException):
                raise answer
            return answer

        return call


def waits(answer: Any) -> Callable[..., Any]:
    """A coroutine function that answers, or raises, ``answer``."""

    async def call(*args: Any, **kwargs: Any) -> Any:
        if isinstance(answer, BaseException):
            raise answer
        return answer

    return call


class Trail(Recorder):
    """A trail that keeps the refusals it was told of."""

    def __init__(self, **answers: Any) -> None:
        super().__init__(**answers)
        self.refusals: list[KeysteadError] = []
        self.callers: list[tuple[str, Reason, str]] = []

    def note_refusal(self, error: KeysteadError) -> None:
        self.refusals.append(error)

    async def record_caller_refusal(self, caller: Caller, error: KeysteadError, *, at: str) -> None:
        self.callers.append((caller.name, error.reason, at))


class Hosts:
    """The part of a store that callers are looked up in."""

    async def host_named(self, spiffe_id: SpiffeId) -> EnrolledHost | None:
        host = EnrolledHost(
            ek="ek", ek_public_name="00", spiffe_id=HOST_ID, enrolled_at=1, enrolled_by="op"
        )
        return host if spiffe_id == HOST_ID else None


class Chance:
    """Entropy that always draws the same."""

    def token(self, size_bytes: int) -> bytes:
        return b"\xab" * size_bytes


def make_callers(anonymous_roles: frozenset[Role] = frozenset()) -> Callers:
    operators = [
        Operator(
            name=name, role=role, credential_sha256=hashlib.sha256(credential.encode()).digest()
        )
        for name, role, credential in (
            ("olga", Role.OPERATOR, OPERATOR),
            ("adam", Role.ADMINISTRATOR, ADMINISTRATOR),
        )
    ]
    return Callers(
        store=Hosts(),
        operators=operators,
        identities={ISSUER_ID: Role.ISSUER, RELYING_PARTY_ID: Role.RELYING_PARTY},
        anonymous_roles=anonymous_roles,
    )


def make_use_cases(**replaced: Any) -> Any:
    """Doubles of all use cases."""
    parts: dict[str, Any] = {
        "attestations": Recorder(result=waits("e.a.r")),
        "tokens": Recorder(
            exchange=waits(TOKEN),
            fresh_nonce="fresh-nonce",
            metadata={"issuer": "https://keystead.example"},
            jwks={"keys": []},
        ),
        "grants": Recorder(introspect=waits({"active": True}), revoke=waits(None)),
        "keys": Recorder(published={"keys": []}),
        "identities": Recorder(entries=waits([]), hosts=waits([])),
        "trail": Trail(),
        "verifications": Recorder(),
        "callers": make_callers(),
        "health": Recorder(check=waits(HealthReport(store="", hardware=""))),
    }
    return SimpleNamespace(**{**parts, **replaced})


def make_doors(use_cases: Any = None, **settings: Any) -> Doors:
    """Doors that do not listen yet."""
    return Doors(
        use_cases or make_use_cases(),
        settings=DoorSettings(**{"drain_s": 2, "development": True, **settings}),
        entropy=Chance(),
        queue_depth=lambda: 7,
    )


@asynccontextmanager
async def open_doors(use_cases: Any = None, **settings: Any) -> AsyncIterator[Doors]:
    """Doors that listen on ports of their own, and are closed at the end."""
    doors = make_doors(use_cases, **settings)
    await doors.start()
    try:
        yield doors
    finally:
        await doors.stop()


def admin_folder(path: Path) -> Path:
    """A folder such as the administration socket needs."""
    folder = path / "admin"
    folder.mkdir(mode=0o700)
    return folder
