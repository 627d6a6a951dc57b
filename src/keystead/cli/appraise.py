"""Look at saved evidence: every numbered check of its kind, and what it shows by itself.

No network is asked and no key is bound: only the file, the policy and the time decide. Exit status
0 if the evidence is affirmed, 1 if a check refused it, 2 if it is malformed or the use is wrong.
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from keystead.appraisal.policy import AppraisalPolicy, load_policy
from keystead.appraisal.result import AttestationResult, ear_claims
from keystead.appraisal.verifier import appraise_saved
from keystead.cli.appraise_all import run_all
from keystead.cli.connection import default_state
from keystead.cli.output import EXIT_NO, EXIT_WRONG_USE, print_fields, print_json, printable
from keystead.cli.times import parse_time
from keystead.codec import json
from keystead.codec.json import JSON
from keystead.errors import EvidenceRejected, KeysteadError, Malformed, Reason, Rejected
from keystead.evidence import oidc
from keystead.evidence.envelope import MAX_ENVELOPE_BYTES, Submission, parse_envelope
from keystead.model import EvidenceKind
from keystead.system.clock import SystemClock

MAX_NONCE_BYTES: Final = 1024
"""Ours have 32; a Nitro document has room for this many, whoever chose them."""

_STEP: Final = re.compile(r"^ ?(\d+)\. (?:to (\d+)\. )?(.*(?:\n    \S.*)*)", re.MULTILINE)
_HINTS: Final = {
    Reason.AK_NOT_BOUND_TO_EK: (
        "All else has passed. Only an attestation that is under way can prove that this AK is in "
        "the TPM of the EK; of saved evidence, an AK certificate that the policy accepts can."
    ),
    Reason.KIND_UNSUPPORTED: "The policy has no rules for this kind, or Keystead has no appraiser.",
    Reason.EVIDENCE_TOO_OLD: "--at asks about an earlier time.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One entry of a kind's list; ``last`` differs where several steps share it."""

    first: int
    last: int
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of one look: a result, or why there is none.

    ``challenged``: there was a nonce, its own or the caller's, that the evidence was compared with.
    """

    kind: EvidenceKind | None
    challenged: bool
    result: AttestationResult | None
    error: KeysteadError | None

    @property
    def status(self) -> str:
        """``affirmed``, ``refused`` or ``malformed``."""
        if self.error is None:
            return "affirmed"
        refused = isinstance(self.error, Rejected) or self.error.reason is Reason.KIND_UNSUPPORTED
        return "refused" if refused else "malformed"

    @property
    def exit_status(self) -> int:
        """0, 1 or 2."""
        return {"affirmed": 0, "refused": EXIT_NO}.get(self.status, EXIT_WRONG_USE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The evidence, the policy, and the time and challenge to hold it to."""
    parser.add_argument(
        "envelope", metavar="ENVELOPE.json", nargs="?", help="the evidence; - is stdin"
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="instead: what the policy would make of all that a service has bound",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="--all: its keystead.toml")
    parser.add_argument(
        "--state",
        type=Path,
        default=default_state(),
        metavar="DIR",
        help="--all: the folder of serve --dev (default: %(default)s)",
    )
    parser.add_argument(
        "--policy", type=Path, required=True, metavar="P.toml", help="what evidence has to show"
    )
    parser.add_argument("--at", metavar="RFC3339", help="the time to appraise at (default: now)")
    parser.add_argument("--nonce", metavar="HEX", help="the challenge that it has to answer")
    parser.add_argument("--json", action="store_true", help="answer as one JSON document")


def run(options: argparse.Namespace) -> int:
    """One look at one envelope, or at all that a service has bound."""
    if options.all is not (options.envelope is None):
        raise Malformed(Reason.PARAMETER_MISSING, "give ENVELOPE.json, or --all")
    if options.all:
        return run_all(options)
    now = SystemClock().now() if options.at is None else parse_time(options.at)
    nonce = None if options.nonce is None else parse_nonce(options.nonce)
    policy = load_policy(options.policy)
    verdict = look(read_envelope(options.envelope), policy=policy, nonce=nonce, now=now)
    if options.json:
        print_json(_document(verdict, policy=policy, now=now))
    else:
        _show(verdict, policy=policy, now=now)
    return verdict.exit_status


def look(data: bytes, *, policy: AppraisalPolicy, nonce: bytes | None, now: int) -> Verdict:
    """The verdict on the envelope ``data`` at ``now`` (Unix seconds).

    Raises Malformed (parameter_invalid) for a nonce that this evidence cannot be held to.
    """
    kind: EvidenceKind | None = None
    challenged = False
    try:
        submission = parse_envelope(data)
        kind = submission.kind
        if nonce is not None:
            submission = _held_to(submission, nonce)
        challenged = submission.nonce is not None and _answers_by_itself(submission)
        result = appraise_saved(submission, policy=policy, now=now)
    except KeysteadError as error:
        if error.reason is Reason.PARAMETER_INVALID:
            raise
        return Verdict(kind=kind, challenged=challenged, result=None, error=error)
    return Verdict(kind=kind, challenged=challenged, result=result, error=None)


def steps_of(kind: EvidenceKind) -> tuple[Step, ...]:
    """The kind's list of steps, from its appraiser's docstring; empty without an appraiser."""
    try:
        module = importlib.import_module(f"keystead.appraisal.{kind.value.replace('-', '_')}")
    except ModuleNotFoundError:
        return ()
    return tuple(
        Step(first=int(first), last=int(last or first), title=" ".join(title.split()))
        for first, last, title in _STEP.findall(module.__doc__ or "")
    )


def parse_nonce(text: str) -> bytes:
    """1 to ``MAX_NONCE_BYTES`` bytes in hex."""
    try:
        nonce = bytes.fromhex(text)
    except ValueError:
        nonce = b""
    if not 0 < len(nonce) <= MAX_NONCE_BYTES:
        raise Malformed(
            Reason.PARAMETER_INVALID, f"--nonce: not 1 to {MAX_NONCE_BYTES} bytes in hex"
        )
    return nonce


def read_envelope(name: str) -> bytes:
    """The file, or standard input for ``-``, up to one byte more than an envelope may have."""
    try:
        if name == "-":
            return sys.stdin.buffer.read(MAX_ENVELOPE_BYTES + 1)
        with Path(name).open("rb") as file:
            return file.read(MAX_ENVELOPE_BYTES + 1)
    except (OSError, ValueError) as error:
        detail = getattr(error, "strerror", None) or str(error)
        raise Malformed(Reason.PARAMETER_INVALID, f"{name}: {detail}") from None


def _held_to(submission: Submission, nonce: bytes) -> Submission:
    """The submission with ``nonce`` as its own, which every appraiser compares.

    Never silently: evidence that has the challenge only hashed with a key and an issuer, or has
    none at all, cannot be held to one here.
    """
    if not _answers_by_itself(submission):
        raise Malformed(
            Reason.PARAMETER_INVALID, f"--nonce: this {submission.kind} evidence shows no challenge"
        )
    if submission.nonce not in (None, nonce):
        raise EvidenceRejected(Reason.NONCE_MISMATCH, "the envelope is for another nonce")
    return replace(submission, nonce=nonce)


def _answers_by_itself(submission: Submission) -> bool:
    if submission.kind in (EvidenceKind.SEV_SNP, EvidenceKind.TDX):
        return False
    if submission.kind is EvidenceKind.AZURE_CVM:
        return "certify" in submission.evidence
    if submission.kind is EvidenceKind.OIDC:
        audience = oidc.parse(submission).token.audience
        return any(oidc.answer_of(each) is not None for each in audience)
    return True


def _document(verdict: Verdict, *, policy: AppraisalPolicy, now: int) -> dict[str, object]:
    error = verdict.error
    return {
        "kind": None if verdict.kind is None else verdict.kind.value,
        "status": verdict.status,
        "step": None if error is None else error.step,
        "reason": None if error is None else error.reason.value,
        "claims": {} if verdict.result is None else _claims(verdict.result),
        "key": None,  # Saved evidence binds none, whatever the envelope says of one.
        "policy": policy.name,
        "verified_at": now,
    }


def _claims(result: AttestationResult) -> dict[str, JSON]:
    """As in the EAR of an attestation, and how fresh it is."""
    ear = ear_claims(result, issuer="", key=None, nonce=None, now=result.verified_at, expires_at=0)
    claims = json.get_object(json.get_object(ear, "submods"), result.kind.value)
    return {**claims, "hardware": result.hardware, "freshness": result.freshness.value}


def _show(verdict: Verdict, *, policy: AppraisalPolicy, now: int) -> None:
    if verdict.kind is not None:
        for step in steps_of(verdict.kind):
            place = f"{step.first}" if step.first == step.last else f"{step.first}-{step.last}"
            print(f"{place:>5}  {_mark(step, verdict):<8}  {step.title}")
        print()
    fields: dict[str, object] = {
        "status": verdict.status,
        "kind": verdict.kind or "not known",
        "policy": policy.name,
        "verified_at": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "key": "none is bound by saved evidence",
    }
    if verdict.result is not None:
        fields |= _leaves(_claims(verdict.result))
    print_fields(fields)
    if verdict.error is not None:
        print(f"keystead: {printable(str(verdict.error))}", file=sys.stderr)
        if verdict.error.reason in _HINTS:
            print(_HINTS[verdict.error.reason], file=sys.stderr)


def _mark(step: Step, verdict: Verdict) -> str:
    """What is known of one step: they are taken in order, and the first refusal ends them."""
    if verdict.error is not None:
        ended = verdict.error.step
        if ended is None or ended < step.first:
            return "-"
        if ended <= step.last:
            return "refused"
    if "this challenge" in step.title and not verdict.challenged:
        return "no nonce"
    return "passed"


def _leaves(value: JSON, name: str = "") -> dict[str, object]:
    """Nested members under dotted names."""
    if not isinstance(value, dict) or not value:
        return {name: value}
    found: dict[str, object] = {}
    for key, each in value.items():
        found |= _leaves(each, f"{name}.{key}" if name else key)
    return found
