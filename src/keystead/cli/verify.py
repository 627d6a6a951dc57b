"""Verify many access tokens: a verdict a line, in the order of the input, and a summary.

FILE has a token a line; with --dpop a JSON object a line: token, proof, method, url. Tokens alone
say that they are genuine and nothing about who sends them. Exit status 0 if every line is good, 1
if some are not, 2 if there is none or the use is wrong, 3 if the verdicts could not be written, 130
after Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import stat
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from contextlib import suppress
from functools import partial
from typing import BinaryIO, TypeVar

from keystead.cli.output import EXIT_INTERRUPTED, EXIT_NO, print_json, print_table
from keystead.cli.progress import RunProgress
from keystead.cli.times import parse_time
from keystead.cli.verify_lines import (
    MAX_REQUEST_BYTES,
    Lines,
    batches,
    open_input,
    parse_request,
    parse_token,
)
from keystead.cli.verify_report import (
    Judged,
    Tally,
    summary_json,
    summary_text,
    verdict_json,
    verdict_text,
)
from keystead.errors import KeysteadError, Malformed, Reason, TokenRejected
from keystead.jose.batch import MAX_THREADS, capabilities
from keystead.jose.dpop import DEFAULT_LEEWAY_S, DEFAULT_MAX_AGE_S
from keystead.ports import Clock
from keystead.relying import (
    MAX_TOKEN_BYTES,
    BatchResult,
    JwksSource,
    ReplayMemory,
    ResidencyRequirement,
    Verifier,
)
from keystead.relying.jwks import jwks_source
from keystead.relying.replay import DEFAULT_CAPACITY
from keystead.relying.verifier import DEFAULT_MAX_TOKEN_LIFETIME_S, DEFAULT_TOKEN_ALGORITHMS
from keystead.system.clock import Stopwatch, SystemClock

_T = TypeVar("_T")
_NEEDED = ("jwks", "issuer", "audience", "file")
_RESIDENCY = {
    "hardware": ResidencyRequirement(),
    "emulated": ResidencyRequirement(hardware=False),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose tokens, for whom, what they have to say, and where they are."""
    parser.add_argument("file", metavar="FILE", nargs="?", help="the tokens; - is stdin")
    parser.add_argument("--jwks", metavar="FILE|URL", help="the issuer's keys; a URL is https")
    parser.add_argument("--issuer", metavar="ISS", help="exactly the tokens' iss")
    parser.add_argument("--audience", metavar="AUD", help="your name in the tokens' aud")
    parser.add_argument(
        "--status-lists",
        metavar="FILE|URL",
        help="where revoked tokens are listed: a list, or the https URL that lists stand below",
    )
    parser.add_argument("--at", metavar="RFC3339", help="the time to verify at (default: now)")
    parser.add_argument(
        "--threads", type=int, default=1, metavar="N", help="for signatures (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="a JSON object a line; summary last")
    parser.add_argument(
        "--explain",
        action="store_true",
        help="instead: how this machine verifies each algorithm, and why so",
    )
    _add_proof_arguments(parser.add_argument_group("proofs"))
    _add_requirements(parser.add_argument_group("what a token has to say"))


def _add_proof_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--dpop", action="store_true", help="whole requests, with their proofs")
    group.add_argument(
        "--proof-max-age",
        type=int,
        default=DEFAULT_MAX_AGE_S,
        metavar="S",
        help="of a proof (default: %(default)s)",
    )
    group.add_argument(
        "--replay-capacity",
        type=int,
        default=DEFAULT_CAPACITY,
        metavar="N",
        help="proofs to remember, about 53 bytes each (default: %(default)s)",
    )
    group.add_argument(
        "--allow-unbound", action="store_true", help="also tokens that are bound to no key"
    )


def _add_requirements(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--scope", action="append", default=[], help="needed; may be repeated")
    group.add_argument("--minimum-aal", type=int, metavar="1-3", help="of the user's sign-in")
    group.add_argument("--acr", action="append", default=[], help="one of these; may be repeated")
    group.add_argument("--max-age", type=int, metavar="S", help="of the user's sign-in")
    group.add_argument(
        "--residency",
        choices=list(_RESIDENCY),
        help="the key cannot leave real hardware; emulated: nor what stands in for it, in tests",
    )
    group.add_argument(
        "--algorithm",
        action="append",
        metavar="ALG",
        help=f"may be repeated (default: {', '.join(DEFAULT_TOKEN_ALGORITHMS)})",
    )
    group.add_argument(
        "--max-lifetime",
        type=int,
        default=DEFAULT_MAX_TOKEN_LIFETIME_S,
        metavar="S",
        help="from iat to exp (default: %(default)s)",
    )
    group.add_argument(
        "--leeway",
        type=int,
        default=DEFAULT_LEEWAY_S,
        metavar="S",
        help="of all times, both ways (default: %(default)s)",
    )


def run(options: argparse.Namespace) -> int:
    """Verify what stands in the file, or explain how that would be done."""
    if options.explain:
        return _explain(as_json=options.json)
    capabilities()  # a path that was forced and is not there is wrong use
    _check_use(options)
    clock = SystemClock() if options.at is None else _Stopped(parse_time(options.at))
    replay = ReplayMemory(capacity=options.replay_capacity, not_before=0) if options.dpop else None
    verifier = _verifier(options, replay=replay, now=clock.now())
    stopwatch, tally = Stopwatch(), Tally()
    try:
        with open_input(options.file) as file:
            _verify_file(file, verifier, tally, clock=clock, stopwatch=stopwatch, options=options)
    except KeyboardInterrupt:
        tally.interrupted = True
    if not tally.lines and not tally.interrupted:
        raise Malformed(Reason.PARAMETER_INVALID, f"{options.file}: no line in it")
    seconds = stopwatch.seconds()
    if options.json:
        print(summary_json(tally, seconds=seconds, replay=replay), flush=True)
    elif sys.stderr is not None:  # closed, print would take standard output for it
        print(summary_text(tally, seconds=seconds, replay=replay), file=sys.stderr)
    if tally.interrupted:
        return EXIT_INTERRUPTED
    return 0 if tally.ok == tally.lines else EXIT_NO


def judge(
    lines: Sequence[bytes | None],
    parse: Callable[[bytes | None], _T],
    verify: Callable[[Sequence[_T]], BatchResult],
) -> list[Judged]:
    """One verdict a line, in order: of ``parse`` where that refuses it, else of ``verify``."""
    items = [_parsed(line, parse) for line in lines]
    result = verify([item for item in items if not isinstance(item, KeysteadError)])
    found = (_judged(result, index) for index in range(len(result)))
    return [item if isinstance(item, KeysteadError) else next(found) for item in items]


def _judged(result: BatchResult, index: int) -> Judged:
    return result.error(index) or partial(result.__getitem__, index)


def _verify_file(
    file: BinaryIO,
    verifier: Verifier,
    tally: Tally,
    *,
    clock: Clock,
    stopwatch: Stopwatch,
    options: argparse.Namespace,
) -> None:
    lines = Lines(
        file,
        name=options.file,
        max_bytes=MAX_REQUEST_BYTES if options.dpop else MAX_TOKEN_BYTES,
    )
    progress = RunProgress(total_bytes=_size_bytes(file), stopwatch=stopwatch)
    try:
        for batch in batches(lines):
            verdicts = _judge(batch, verifier, now=clock.now(), options=options)
            first_line = tally.lines + 1
            tally.add(verdicts)
            _write(verdicts, first_line=first_line, as_json=options.json)
            progress.show(lines=tally.lines, bytes_read=lines.bytes_read)
    finally:
        progress.close()


def _judge(
    lines: Sequence[bytes | None], verifier: Verifier, *, now: int, options: argparse.Namespace
) -> list[Judged]:
    threads = options.threads
    if options.dpop:
        return judge(
            lines,
            parse_request,
            lambda requests: verifier.verify_request_batch(requests, now=now, threads=threads),
        )
    return judge(
        lines,
        parse_token,
        lambda tokens: verifier.verify_batch(tokens, now=now, threads=threads),
    )


def _parsed(line: bytes | None, parse: Callable[[bytes | None], _T]) -> _T | KeysteadError:
    try:
        return parse(line)
    except KeysteadError as error:
        error.__cause__ = error.__context__ = None  # which hold the line
        return error.with_traceback(None)


def _write(verdicts: Sequence[Judged], *, first_line: int, as_json: bool) -> None:
    if as_json:
        shown = [verdict_json(first_line + i, verdict) for i, verdict in enumerate(verdicts)]
    else:
        shown = [verdict_text(verdict) for verdict in verdicts]
    try:
        print("\n".join(shown), flush=True)
    except KeyboardInterrupt:
        print()  # perhaps in the middle of a line, and the summary has one of its own
        raise


class _Stopped:
    """A clock that stands at one time."""

    def __init__(self, now: int) -> None:
        self._now = now

    def now(self) -> int:
        return self._now


def _check_use(options: argparse.Namespace) -> None:
    missing = [name for name in _NEEDED if getattr(options, name) is None]
    if missing:
        names = ", ".join("FILE" if name == "file" else f"--{name}" for name in missing)
        raise Malformed(Reason.PARAMETER_MISSING, f"give {names}; or --explain alone")
    if not 1 <= options.threads <= MAX_THREADS:
        raise Malformed(Reason.PARAMETER_INVALID, f"--threads: 1 to {MAX_THREADS}")


def _verifier(options: argparse.Namespace, *, replay: ReplayMemory | None, now: int) -> Verifier:
    return Verifier(
        issuer=options.issuer,
        jwks=_with_keys(jwks_source(options.jwks), now=now),
        audience=options.audience,
        allowed_algorithms=options.algorithm or DEFAULT_TOKEN_ALGORITHMS,
        scopes_required=options.scope,
        minimum_aal=options.minimum_aal,
        acr_values=options.acr,
        max_authentication_age_s=options.max_age,
        require_residency=_RESIDENCY.get(options.residency),
        dpop_required=not options.allow_unbound,
        proof_max_age_s=options.proof_max_age,
        leeway_s=options.leeway,
        max_token_lifetime_s=options.max_lifetime,
        replay=replay,
        status_lists=options.status_lists,
    )


def _with_keys(source: JwksSource, *, now: int) -> JwksSource:
    """The source once it has keys: an issuer that is away is said once, and not once a line."""
    pending = source.refresh(None, now=now)
    if pending is not None:
        wait([pending], timeout=source.timeout_s)
    with suppress(TokenRejected):  # it has a set, and nobody asked for a key
        source.find(None, now=now)
    return source


def _size_bytes(file: BinaryIO) -> int | None:
    """Of a regular file; nobody knows how much a pipe will bring."""
    status = os.fstat(file.fileno())
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _explain(*, as_json: bool) -> int:
    rows = capabilities().values()
    if as_json:
        print_json(
            {
                "algorithms": [
                    {"name": it.name, "path": it.path, "reason": it.reason, "forced": it.forced}
                    for it in rows
                ]
            }
        )
    else:
        print_table(
            ("ALGORITHM", "PATH", "FORCED", "WHY"),
            [(it.name, it.path, "yes" if it.forced else "no", it.reason) for it in rows],
        )
    return 0
