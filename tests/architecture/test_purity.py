"""Time and chance are arguments: only the places named here read a clock or draw at random."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from .imports import modules, within

# Dotted prefixes that nobody may name, and the folders that may all the same.
MAY_READ_ANYTHING = ("system", "hardware", "testing", "demo")
CLOCKS_AND_CHANCE = (
    "time.time",
    "time.time_ns",
    "time.clock_gettime",
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.datetime.today",
    "datetime.date.today",
    "os.urandom",
    "os.getrandom",
    "random",
    "secrets",
    "uuid.uuid1",
    "uuid.uuid4",
)

# Measuring how long something takes decides nothing about a token.
MAY_MEASURE = (*MAY_READ_ANYTHING, "server", "storage")
STOPWATCHES = ("time.monotonic", "time.monotonic_ns", "time.perf_counter", "time.perf_counter_ns")


def names_used(source: str) -> Iterator[tuple[int, str]]:
    """Every imported name that the source uses, in full, whatever it is called locally."""
    tree = ast.parse(source)
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".")[0]
                known[alias.asname or top] = alias.name if alias.asname else top
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                known[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                yield node.lineno, f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (name := dotted(node, known)):
            yield node.lineno, name


def dotted(node: ast.expr, known: dict[str, str]) -> str | None:
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Attribute) and (base := dotted(node.value, known)):
        return f"{base}.{node.attr}"
    return None


def uses(source: str, forbidden: tuple[str, ...]) -> list[str]:
    found = [
        f"line {line}: {name}"
        for line, name in names_used(source)
        if any(within(name, prefix) for prefix in forbidden)
    ]
    return sorted(set(found))


def uses_outside(places: tuple[str, ...], forbidden: tuple[str, ...]) -> dict[Path, list[str]]:
    found = {}
    for name, path in modules():
        if any(within(name, f"keystead.{place}") for place in places):
            continue
        if wrong := uses(path.read_text(), forbidden):
            found[path] = wrong
    return found


def test_only_the_system_reads_clocks_and_chance() -> None:
    assert uses_outside(MAY_READ_ANYTHING, CLOCKS_AND_CHANCE) == {}


def test_only_adapters_measure_time() -> None:
    assert uses_outside(MAY_MEASURE, STOPWATCHES) == {}


@pytest.mark.parametrize(
    "source",
    [
        "import time\nnow = time.time()",
        "import time as t\nnow = t.time()",
        "from time import time\nnow = time()",
        "from time import time as now\nx = now",
        "import datetime\nnow = datetime.datetime.now(datetime.UTC)",
        "from datetime import datetime as d\nnow = d.now()",
        "def f():\n    import secrets\n    return secrets.token_bytes(8)",
        "import os\nread = os.urandom",
        "from uuid import uuid4",
        "import random",
        "from random import Random",
    ],
)
def test_finds_a_clock_under_any_name(source: str) -> None:
    assert uses(source, CLOCKS_AND_CHANCE)


@pytest.mark.parametrize(
    "source",
    [
        "import time\ntime.sleep(1)",
        "from datetime import datetime\nd = datetime.fromtimestamp(now)",
        "import uuid\nu = uuid.UUID(int=1)",
        "def f(time):\n    return time.time",
    ],
)
def test_leaves_innocent_names_alone(source: str) -> None:
    assert not uses(source, CLOCKS_AND_CHANCE)
