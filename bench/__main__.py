"""``python -m bench [NAME …] [--json] [--rounds N] [--seed N]``: run benchmarks and show them.

Everything that ran is also written to ``bench/results/latest.json``, with the machine and the date.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from rich.console import Console
from rich.table import Table

BENCHES = (
    "verify_batch",
    "appraise_nitro",
    "appraise_snp",
    "appraise_tdx",
    "appraise_oidc",
    "appraise_app_attest",
    "appraise_tpm2",
    "audit_write",
    "sign_rate",
    "exchange_cost",
    "idle_memory",
)
# Starting a service takes seconds, so its memory is looked at less often.
ROUNDS = {"idle_memory": 3}
DEFAULT_ROUNDS = 9
DEFAULT_SEED = 1
TABLE_CHARS = 100
RESULTS = Path(__file__).parent / "results" / "latest.json"


class Bench(Protocol):
    """What a benchmark's module offers."""

    question: str

    def run(self, *, seed: int, rounds: int) -> dict[str, object]:
        """The figures, ready for JSON."""
        ...


def main() -> int:
    """Run what is named, or everything."""
    options = _arguments()
    machine = describe_machine()
    results: dict[str, dict[str, object]] = {}
    for name in options.names or BENCHES:
        bench = cast(Bench, import_module(f"bench.{name}"))
        rounds = options.rounds or ROUNDS.get(name, DEFAULT_ROUNDS)
        print(f"{name}: {rounds} rounds …", file=sys.stderr, flush=True)
        results[name] = {**bench.run(seed=options.seed, rounds=rounds), "rounds": rounds}
        if not options.json:
            show(name, results[name])
    document = {"machine": machine, "seed": options.seed, "results": results}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(document, indent=2) + "\n")
    if options.json:
        print(json.dumps(document, indent=2))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHES, []], metavar="NAME")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--rounds", type=int, help="interleaved rounds whose median counts")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="of the inputs")
    return parser.parse_args()


def describe_machine() -> dict[str, object]:
    """What the figures depend on; how busy the machine is belongs to that."""
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 2),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": platform.platform(),
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def show(name: str, result: Mapping[str, object]) -> None:
    """One table: each figure by its path in the result."""
    console = Console(width=TABLE_CHARS)
    console.print(f"\n{name}: {result['question']}", highlight=False)
    table = Table()
    table.add_column("figure")
    table.add_column("value", justify="right")
    for path, value in _leaves(result):
        if path != "question":
            table.add_row(path, f"{value:,}" if isinstance(value, int | float) else str(value))
    console.print(table)


def _leaves(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path} {key}".strip())
    else:
        yield path, value


if __name__ == "__main__":
    sys.exit(main())
