"""What runs: the processes of a demo, and where each is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from keystead.codec.json import JSON
from keystead.demo.children import Child


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The workload's process. ``said`` is how it describes itself: nothing is believed for that.

    ``agent`` is the SPIFFE ID that it is to get, ``signer`` what signs its proofs, in words.
    """

    child: Child
    said: Mapping[str, JSON]
    agent: str
    signer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What runs: ``provider``, ``issuer`` and ``api`` are URLs, ``server`` the service's gRPC
    address, ``state`` its folder."""

    folder: Path
    provider: str
    api: str
    api_log: Path
    host: Host
    issuer: str
    server: str
    state: Path
    issuer_roots: Path
    audience: str


class Crew:
    """The processes that were started, in their order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.children: list[Child] = []

    def start(
        self, name: str, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> Child:
        """Start one, with more ``environment`` than ours if given; its log is in the folder."""
        log = self.folder / f"{name.replace(' ', '-')}.log"
        child = Child(name, arguments, log=log, environment=environment)
        self.children.append(child)
        return child

    def log_tails(self) -> dict[str, list[str]]:
        """The last lines of every log that has any."""
        tails = {child.name: child.log_tail() for child in self.children}
        return {name: lines for name, lines in tails.items() if lines}

    def stop(self) -> None:
        """End them all; nothing of them is left when this returns."""
        for child in self.children:
            child.ask_to_stop()
        for child in self.children:
            child.stop()
