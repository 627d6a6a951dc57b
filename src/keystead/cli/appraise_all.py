"""``keystead appraise --all``: what a policy would make of every binding, before it is applied.

Reads the service's state, which may be in use, and changes nothing. The service itself asks the
same question at its next start with another policy, and ends what has to end then. Exit status 0 if
every binding stays, 1 if one would end or be cut short.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from keystead.appraisal.policy import load_policy
from keystead.cli.output import EXIT_NO, print_json, print_table, time_text
from keystead.config import load_config
from keystead.service.reappraisal import Outcome, Verdict
from keystead.system.clock import SystemClock

PROGRESS_EVERY = 500
_CHANGES = frozenset({Outcome.ENDS, Outcome.SHORTER})


def run_all(options: argparse.Namespace) -> int:
    """One look at everything."""
    from keystead.app.wiring import look_again

    config_file: Path = options.config or options.state / "keystead.toml"
    config = load_config(config_file)
    policy = load_policy(options.policy)
    counts: Counter[Outcome] = Counter()
    changes: list[Verdict] = []
    verdicts = look_again(
        config, policy, base=config_file.resolve().parent, now=SystemClock().now()
    )
    for number, verdict in enumerate(verdicts, start=1):
        counts[verdict.outcome] += 1
        if verdict.outcome in _CHANGES:
            changes.append(verdict)
        if number % PROGRESS_EVERY == 0 and sys.stderr.isatty():
            print(f"\r{number} bindings", end="", file=sys.stderr, flush=True)
    if options.json:
        print_json(
            {
                "policy": policy.name,
                "bindings": {outcome.value: counts[outcome] for outcome in Outcome},
                "changes": [_document(each) for each in changes],
            }
        )
    else:
        _show(changes, counts, policy=policy.name)
    return EXIT_NO if changes else 0


def _document(verdict: Verdict) -> dict[str, object]:
    error = verdict.error
    return {
        "spiffe_id": verdict.bound.spiffe_id,
        "jkt": verdict.bound.jkt,
        "kind": verdict.bound.residency.kind.value,
        "outcome": verdict.outcome.value,
        "reason": None if error is None else error.reason.value,
        "step": None if error is None else error.step,
        "detail": None if error is None else error.detail,
        "expires_at": verdict.expires_at,
    }


def _show(changes: list[Verdict], counts: Counter[Outcome], *, policy: str) -> None:
    if changes:
        rows = [
            (
                each.bound.spiffe_id,
                each.bound.residency.kind.value,
                each.outcome.value,
                _why(each),
            )
            for each in changes
        ]
        print_table(("WORKLOAD", "KIND", "WOULD", "WHY"), rows)
        print()
    told = ", ".join(f"{counts[outcome]} {_WORDS[outcome]}" for outcome in Outcome)
    print(f"under {policy}: {told}")


_WORDS = {
    Outcome.STAYS: "stay",
    Outcome.SHORTER: "would end sooner",
    Outcome.ENDS: "would end now",
    Outcome.NOT_KEPT: "cannot be asked again",
}


def _why(verdict: Verdict) -> str:
    if verdict.error is None:
        return f"until {time_text(verdict.expires_at)}"
    return str(verdict.error)
