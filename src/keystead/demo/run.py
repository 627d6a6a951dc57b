"""The demo from its first process to its last line."""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.text import Text

from keystead.codec import json
from keystead.codec.json import JSON
from keystead.demo import attacks, delegation, enrolment
from keystead.demo.evidence import Evidence
from keystead.demo.failure import Interrupted, StepFailed
from keystead.demo.report import Outcome, document
from keystead.demo.scene import Scene
from keystead.demo.set_up import set_up
from keystead.demo.stage import Crew
from keystead.demo.story import Story
from keystead.demo.trail import verify_trail
from keystead.demo.web import Web
from keystead.errors import KeysteadError
from keystead.system import SystemClock

_ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SHELL_SIGNAL_STATUS = 128
EXIT_NO = 1


def run_demo(evidence: Evidence, *, as_json: bool) -> int:
    """Run it with that evidence.

    The exit status: 0 all went as it has to, 1 not, 128 + n ended by a signal. With ``as_json``
    standard output gets one JSON document and nothing else. However it ends, what it started is
    stopped and its folder is deleted before this returns.
    """
    story = Story(Console(quiet=as_json, highlight=False))
    started = time.monotonic()
    try:
        with _signals_raise(), ExitStack() as stack:
            outcome = _perform(story, evidence, stack)
    except Interrupted as interrupted:
        print(f"keystead demo: ended by signal {interrupted.signal_number}", file=sys.stderr)
        return _SHELL_SIGNAL_STATUS + interrupted.signal_number
    except StepFailed as error:
        if as_json:
            _print({"error": "step_failed", "step": story.current, "detail": str(error)})
        return EXIT_NO
    elapsed_s = time.monotonic() - started
    if as_json:
        timings_ms = {**story.timings_ms, "total": round(elapsed_s * 1000)}
        _print(document(outcome, timings_ms=timings_ms))
    else:
        story.end(elapsed_s)
    return 0


def _print(answer: Mapping[str, JSON]) -> None:
    print(json.encode(answer).decode(), flush=True)


def _perform(story: Story, evidence: Evidence, stack: ExitStack) -> Outcome:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keystead-demo-")))
    crew = Crew(folder)
    stack.callback(crew.stop)
    # Runs first: from here on nothing may come between a child and its end.
    stack.callback(_ignore_signals)
    web = stack.enter_context(closing(Web()))
    try:
        story.begin(evidence.banner)
        with story.step("start", evidence.parts):
            stage = set_up(crew, evidence)
            for child in crew.children:
                story.passed(f"{child.name}: process {child.pid}")
        scene = Scene(stage=stage, story=story, web=web, clock=SystemClock())
        return _play(scene, evidence)
    except (StepFailed, KeysteadError) as error:
        _show_failure(story, crew, error)
        raise StepFailed(str(error)) from error


def _play(scene: Scene, evidence: Evidence) -> Outcome:
    """The main job, and what must not work."""
    issuer_ek = enrolment.prove_issuer(scene, evidence)
    evidence.enrol(scene)
    bound = delegation.attest(scene, evidence, issuer_ek=issuer_ek)
    delegation.bind(scene, bound)
    delegated = delegation.exchange(scene, bound)
    call = delegation.call(scene, delegated)
    refusals = [
        attacks.steal_token(scene, call),
        attacks.replay_proof(scene, call),
        attacks.widen_scope(scene, delegated),
        attacks.change_audience(scene, delegated),
        *evidence.attack(scene),
    ]
    renewed = delegation.renew(scene, delegated, bound)
    delegation.call(scene, renewed, step="call_again")
    refusals.append(delegation.revoke(scene, renewed))
    audit = verify_trail(scene, evidence, bound=bound, delegated=renewed, refusals=refusals)
    return Outcome(
        evidence=evidence.kind,
        issuer=scene.stage.issuer,
        jwks=scene.web.get_document(f"{scene.stage.issuer}/jwks"),
        eks={"service": issuer_ek, **evidence.eks(scene.stage.host)},
        bound=bound,
        delegated=delegated,
        call=call,
        refusals=refusals,
        audit=audit,
    )


def _show_failure(story: Story, crew: Crew, error: Exception) -> None:
    """The reason, and the ends of the logs, on standard error."""
    console = Console(stderr=True, highlight=False)
    console.print(Text(f"\nkeystead demo failed at {story.current!r}: {error}", style="bold red"))
    for name, lines in crew.log_tails().items():
        console.print(Text(f"\nthe last lines of the log of: {name}", style="bold"))
        for line in lines:
            console.print(Text(f"    {line}"), soft_wrap=True)


@contextmanager
def _signals_raise() -> Iterator[None]:
    """Ctrl-C and its like become an exception, so that everything is cleaned up."""
    before = {number: signal.signal(number, _interrupt) for number in _ENDING_SIGNALS}
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted(number)


def _ignore_signals() -> None:
    for number in _ENDING_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
