"""What ``keystead verify`` says: a verdict a line, and a summary that is bounded by the reasons."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from keystead.errors import KeysteadError, ProofRejected, Reason
from keystead.model import VerifiedToken
from keystead.relying import ReplayMemory
from keystead.relying.steps import Step

Judged: TypeAlias = KeysteadError | Callable[[], VerifiedToken]
"""Why a line was refused, or what makes its token: most of them nobody reads."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """How many lines there were so far, and what became of them."""

    lines: int = 0
    ok: int = 0
    interrupted: bool = False
    reasons: Counter[Reason] = field(default_factory=Counter)

    def add(self, verdicts: Sequence[Judged]) -> None:
        """Count the next verdicts."""
        refused = [each.reason for each in verdicts if isinstance(each, KeysteadError)]
        self.lines += len(verdicts)
        self.ok += len(verdicts) - len(refused)
        self.reasons.update(refused)


def verdict_text(verdict: Judged) -> str:
    """``ok``, or the reason and the number of the check, if the line came so far."""
    if not isinstance(verdict, KeysteadError):
        return "ok"
    step, proof_step = _steps(verdict)
    if step is None:
        return verdict.reason.value
    within = "" if proof_step is None else f", proof step {proof_step}"
    return f"{verdict.reason.value} (step {step}{within})"


def verdict_json(line: int, verdict: Judged) -> str:
    """One JSON object in ASCII; ``line`` counts from 1. Nothing of a refused token is in it."""
    document: dict[str, object] = {"line": line, "ok": not isinstance(verdict, KeysteadError)}
    if isinstance(verdict, KeysteadError):
        step, proof_step = _steps(verdict)
        document |= {"reason": verdict.reason.value, "step": step, "proof_step": proof_step}
    else:
        token = verdict()
        document |= {"user": token.user, "agent": token.agent, "jti": token.jti}
    return json.dumps(document)


def summary_text(tally: Tally, *, seconds: float, replay: ReplayMemory | None) -> str:
    """The counts, most frequent first, and the rate."""
    rows = [("ok", tally.ok), *((reason.value, n) for reason, n in tally.reasons.most_common())]
    name_width = max(len(name) for name, _ in rows)
    count_width = max(len(f"{count:,}") for _, count in rows)
    what = f"{tally.lines:,} line{'' if tally.lines == 1 else 's'}"
    if tally.interrupted:
        what = f"interrupted after {what}"
    lines = [f"{what} in {seconds:.1f} s, {_rate(tally, seconds):,} a second"]
    lines += [f"{name.ljust(name_width)}  {count:>{count_width},}" for name, count in rows]
    if replay is not None and _was_full(tally):
        lines.append(f"the replay memory was full at {len(replay):,}: see --replay-capacity")
    return "\n".join(lines)


def summary_json(tally: Tally, *, seconds: float, replay: ReplayMemory | None) -> str:
    """The last object of the answer: ``{"summary": …}``."""
    summary = {
        "lines": tally.lines,
        "ok": tally.ok,
        "refused": tally.lines - tally.ok,
        "interrupted": tally.interrupted,
        "reasons": {reason.value: count for reason, count in tally.reasons.most_common()},
        "seconds": round(seconds, 3),
        "per_second": _rate(tally, seconds),
        "replay_memory": None
        if replay is None
        else {"held": len(replay), "was_full": _was_full(tally)},
    }
    return json.dumps({"summary": summary})


def _steps(error: KeysteadError) -> tuple[int | None, int | None]:
    """The verifier's step, and the number within RFC 9449's list where that is step 20."""
    if isinstance(error, ProofRejected) and error.step is not None and error.step < Step.PROOF:
        return int(Step.PROOF), error.step
    return (None if error.step is None else int(error.step)), None


def _was_full(tally: Tally) -> bool:
    return Reason.REPLAY_MEMORY_FULL in tally.reasons


def _rate(tally: Tally, seconds: float) -> int:
    return round(tally.lines / seconds) if seconds > 0 else 0
