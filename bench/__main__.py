"""Run benchmarks, keep what they found, and write the report.

Results go to bench/results/latest.json, what they replace to bench/results/previous.json, and the
page to bench/report/index.html.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from bench import results, terminal, words
from bench.compare import Change, compare
from bench.machine import describe_machine, describe_moment, paths, versions
from bench.page.document import page
from bench.progress import say
from bench.results import Document
from bench.targets import judge

BENCHES = (
    "verify_tokens",
    "verify_requests",
    "verify_batch",
    "batch_size",
    "token_stages",
    "batch_rpc",
    "appraise_nitro",
    "appraise_snp",
    "appraise_tdx",
    "appraise_oidc",
    "appraise_app_attest",
    "appraise_tpm2",
    "audit_write",
    "sign_rate",
    "exchange_cost",
    "token_endpoint",
    "idle_memory",
)
# Starting a service takes seconds, so its memory is looked at less often.
ROUNDS = {"idle_memory": 3}
DEFAULT_ROUNDS = 9
QUICK_ROUNDS = 3
QUICK_ROUNDS_OF = {"idle_memory": 1}
DEFAULT_SEED = 1


class Bench(Protocol):
    """What a benchmark's module offers."""

    question: str

    def run(self, *, seed: int, rounds: int) -> dict[str, object]:
        """The figures (``bench/figures.py``) and whatever explains them, ready for JSON."""
        ...


def main(arguments: Sequence[str] | None = None) -> int:
    """The status of the process: 1 where a bench failed, or where a comparison was asked for and
    something got slower; 2 where there is nothing to compare."""
    options = _arguments(arguments)
    if options.compare is not None:
        return _compare(options.compare)
    failed = _run(options)
    document = results.read_if_any(results.LATEST)
    if document is None:
        return 1
    if options.json:
        ran = {
            name: result
            for name, result in document.results.items()
            if not options.names or name in options.names
        }
        print(json.dumps(replace(document, results=ran).to_dict(), indent=1))
    before = results.read_if_any(results.PREVIOUS)
    write_page(document, before)
    if not options.json:
        terminal.show_targets(judge(document))
        print()
        print(words.headline(compare(document, before), before)[1])
        print(f"The whole report: {results.REPORT}")
    if failed:
        say(f"failed, so that what stands for them is older or nothing: {', '.join(failed)}")
    return 1 if failed else 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of a bench; all by default: {', '.join(BENCHES)}"
    )
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--rounds", type=int, help="interleaved rounds whose median counts")
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds: rougher, and done sooner"
    )
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="of the inputs")
    parser.add_argument(
        "--compare",
        nargs="?",
        const=results.PREVIOUS,
        type=Path,
        metavar="FILE",
        help="run nothing; hold the latest results against FILE (default: what was there before "
        "them), write the page, and end with 1 where something got slower",
    )
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in BENCHES]
    if unknown:
        parser.error(f"no bench is called {', '.join(unknown)}; there are {', '.join(BENCHES)}")
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds is at least 1")
    return options


def _run(options: argparse.Namespace) -> list[str]:
    """Run what is named, or everything, and answer what failed.

    What each bench found is kept as soon as it ends.
    """
    machine, version_of, path_of = describe_machine(), versions(), paths()
    names = options.names or BENCHES
    failed = []
    began = time.monotonic()
    for number, name in enumerate(names, 1):
        bench = cast(Bench, import_module(f"bench.{name}"))
        rounds = _rounds(name, options)
        minutes = (time.monotonic() - began) / 60
        say(f"[{number}/{len(names)}, {minutes:.0f} min] {name}: {rounds} rounds …")
        moment, started = describe_moment(), time.monotonic()
        try:
            found = bench.run(seed=options.seed, rounds=rounds)
        except Exception:
            traceback.print_exc()
            failed.append(name)
            continue
        run = {
            **moment,
            "commit": version_of.get("commit", "unknown"),
            "rounds": rounds,
            "seed": options.seed,
            "seconds": round(time.monotonic() - started),
        }
        result = {**found, "run": run}
        results.keep(
            Document(machine=machine, versions=version_of, paths=path_of, results={name: result})
        )
        if not options.json:
            terminal.show(name, result)
    return failed


def _rounds(name: str, options: argparse.Namespace) -> int:
    if options.rounds is not None:
        return int(options.rounds)
    if options.quick:
        return QUICK_ROUNDS_OF.get(name, QUICK_ROUNDS)
    return ROUNDS.get(name, DEFAULT_ROUNDS)


def _compare(path: Path) -> int:
    try:
        now, before = results.read(results.LATEST), results.read(path)
    except results.UnknownResults as error:
        print(f"nothing to compare: {error}", file=sys.stderr)
        return 2
    comparison = compare(now, before)
    write_page(now, before)
    terminal.show_comparison(comparison, before)
    return 1 if comparison.of(Change.SLOWER) else 0


def write_page(document: Document, before: Document | None) -> None:
    """The report, whole."""
    results.REPORT.parent.mkdir(exist_ok=True)
    results.REPORT.write_text(page(document, before))


if __name__ == "__main__":
    sys.exit(main())
