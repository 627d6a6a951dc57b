"""What a bench measured: the median of its rounds, how far they lay apart, and in which unit.

    figure([15_100.0, 15_300.0, 14_900.0], unit="per_second")
    → {"median": 15100.0, "low": 14900.0, "high": 15300.0, "rounds": 3, "unit": "per_second"}

A result is JSON of any shape; whatever looks like the above, at whatever depth, is a figure of it,
and the names that lead to it say which one.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Where more is better; all other units count time or memory.
MORE_IS_BETTER = frozenset({"per_second", "ratio"})
UNITS = MORE_IS_BETTER | {"us", "ms", "mb"}

# With fewer rounds the quartiles would be guesses, and the least and the most stand for them.
QUARTILES_FROM = 5
SIGNIFICANT_DIGITS = 5

# Whose figures are not ours: by what their names begin with. They tell how fast the machine was.
PEERS = (
    "authlib",
    "azure_signatures",
    "cryptography",
    "dcap-qvl",
    "epsilon-attestation-verifier",
    "fast_jwt",
    "joserfc",
    "jwcrypto",
    "keylime",
    "node_jose",
    "oidc_provider",
    "omne-attest",
    "one_signature",
    "openssl",
    "pyattest",
    "pyjwt",
    "python_jose",
    "raw_socket",
    "sqlite_alone",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure; ``low`` and ``high`` hold the middle half of the rounds between them."""

    median: float
    low: float
    high: float
    rounds: int
    unit: str

    @property
    def more_is_better(self) -> bool:
        """Whether a rise is good news."""
        return self.unit in MORE_IS_BETTER

    @property
    def spread(self) -> float:
        """Half of what the middle half of the rounds covers, as a part of the median."""
        return (self.high - self.low) / 2 / abs(self.median) if self.median else 0.0


def figure(rounds: Sequence[float], *, unit: str) -> dict[str, object]:
    """The figure of one value a round, ready for JSON."""
    if len(rounds) >= QUARTILES_FROM:
        low, _, high = statistics.quantiles(rounds, n=4, method="inclusive")
    else:
        low, high = min(rounds), max(rounds)
    return {
        "median": _short(statistics.median(rounds)),
        "low": _short(low),
        "high": _short(high),
        "rounds": len(rounds),
        "unit": unit,
    }


def figures(rounds: Mapping[str, Sequence[float]], *, unit: str) -> dict[str, dict[str, object]]:
    """A figure for each name."""
    return {name: figure(seen, unit=unit) for name, seen in rounds.items()}


def ratio(rounds: Mapping[str, Sequence[float]], ours: str, peer: str) -> dict[str, object] | None:
    """``ours`` as a multiple of ``peer``, taken within each round; None where that peer could not
    run."""
    if peer not in rounds:
        return None
    pairs = zip(rounds[ours], rounds[peer], strict=True)
    return figure([mine / other for mine, other in pairs], unit="ratio")


def ratios(rounds: Mapping[str, Sequence[float]], ours: str) -> dict[str, dict[str, object] | None]:
    """``ours`` as a multiple of every peer there is."""
    return {name: ratio(rounds, ours, name) for name in rounds if is_peer(name)}


def is_peer(name: str) -> bool:
    """Whether the figure of that name is not ours."""
    return name.startswith(PEERS)


def read(value: object) -> Figure | None:
    """The figure that ``value`` is, if it is one."""
    if not isinstance(value, Mapping) or value.get("unit") not in UNITS:
        return None
    numbers = {name: value.get(name) for name in ("median", "low", "high", "rounds")}
    if not all(isinstance(number, int | float) for number in numbers.values()):
        return None
    members: dict[str, Any] = dict(numbers)
    return Figure(**members, unit=str(value["unit"]))


def walk(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Figure]]:
    """Every figure in ``value``, with the names that lead to it."""
    found = read(value)
    if found is not None:
        yield path, found
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from walk(inner, (*path, str(name)))


def find(value: object, *path: str) -> Figure | None:
    """The figure at ``path``; None where there is none."""
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return read(value)


def _short(number: float) -> float:
    return float(f"{number:.{SIGNIFICANT_DIGITS}g}")
