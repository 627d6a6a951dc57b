"""Durable units a second: the store, against SQLite alone doing the same two inserts."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from bench.figures import figure, ratio
from bench.progress import each_round
from keystead.audit import HashChain
from keystead.model import (
    AuditAction,
    AuditEvent,
)
from keystead.operations import (
    UseOnce,
)
from keystead.storage import SqliteStore
from keystead.storage.sqlite.files import connect_writer

question = "What does it cost to spend a proof and record it, durably, before the answer leaves?"

CALLERS = (1, 16, 256)
SECONDS = 1.0
LOOKUPS = 5_000
NOW = 1_790_000_000
UNITS = {
    "wall_per_second": "per_second",
    "cpu_us": "us",
    "wall_p50_ms": "ms",
    "wall_p99_ms": "ms",
    "look_up_us": "us",
}
EVENT = AuditEvent(
    action=AuditAction.TOKEN_ISSUED,
    at=NOW,
    caller="spiffe://example.org/agent/reports",
    sub="user-1",
    actors=("spiffe://example.org/agent/reports",),
    jkt="a" * 43,
    kind="tpm2",
    object="b" * 22,
    detail={"audience": "https://api.example", "scope": "read write"},
)


def run(*, seed: int, rounds: int) -> dict[str, object]:
    """Medians over ``rounds`` interleaved rounds; CPU is the whole process's, kernel included.

    ``sqlite_alone`` commits in groups of as many as there are callers, in one thread, without
    chain, checks, event loop or replies: the floor.
    """
    chance = random.Random(seed)
    cases: dict[str, dict[str, list[float]]] = {}
    for _ in each_round(rounds):
        for callers in CALLERS:
            for name, measure in (("keystead", store_rate), ("sqlite_alone", alone_rate)):
                with tempfile.TemporaryDirectory(dir=".", prefix=".bench-") as folder:
                    seen = measure(Path(folder) / "bench.db", callers, chance)
                case = cases.setdefault(f"{name}_{callers}", {})
                for what, value in seen.items():
                    case.setdefault(what, []).append(value)
    rates = {name: case["wall_per_second"] for name, case in cases.items()}
    return {
        "question": question,
        "cases": {
            name: {what: figure(values, unit=UNITS[what]) for what, values in case.items()}
            for name, case in cases.items()
        },
        "keystead_to_sqlite_alone": {
            str(callers): ratio(rates, f"keystead_{callers}", f"sqlite_alone_{callers}")
            for callers in CALLERS
        },
    }


def store_rate(path: Path, callers: int, chance: random.Random) -> dict[str, float]:
    return asyncio.run(_store_rate(path, callers, chance))


async def _store_rate(path: Path, callers: int, chance: random.Random) -> dict[str, float]:
    store = SqliteStore.open(path, chain=HashChain())
    latencies: list[float] = []
    key = b""

    async def caller() -> None:
        nonlocal key
        while time.perf_counter() < end:
            began = time.perf_counter()
            key = replay_key(chance, len(latencies))
            use = UseOnce(space="proof", key=key, until=NOW + 300)
            await store.apply([use], events=[EVENT])
            latencies.append(time.perf_counter() - began)

    began, cpu = time.perf_counter(), time.process_time()
    end = began + SECONDS
    await asyncio.gather(*(caller() for _ in range(callers)))
    taken, cpu = time.perf_counter() - began, time.process_time() - cpu
    look_up = time.perf_counter()
    for _ in range(LOOKUPS):
        await store.seen("proof", key)
    look_up = time.perf_counter() - look_up
    await store.close()
    return {
        "wall_per_second": len(latencies) / taken,
        "cpu_us": cpu / len(latencies) * 1e6,
        "wall_p50_ms": statistics.median(latencies) * 1e3,
        "wall_p99_ms": statistics.quantiles(latencies, n=100)[98] * 1e3,
        "look_up_us": look_up / LOOKUPS * 1e6,
    }


def alone_rate(path: Path, callers: int, chance: random.Random) -> dict[str, float]:
    path.touch(0o600)
    with closing(connect_writer(path)) as connection:
        connection.execute(
            "CREATE TABLE used (key BLOB PRIMARY KEY, until INTEGER) STRICT, WITHOUT ROWID"
        )
        connection.execute("CREATE TABLE trail (id INTEGER PRIMARY KEY, event BLOB) STRICT")
        return _alone_rate(connection.execute, callers, chance)


def _alone_rate(
    execute: Callable[..., sqlite3.Cursor], callers: int, chance: random.Random
) -> dict[str, float]:
    event = bytes(400)  # as long as EVENT and its two hashes
    count = 0
    began, cpu = time.perf_counter(), time.process_time()
    while time.perf_counter() < began + SECONDS:
        execute("BEGIN IMMEDIATE")
        for _ in range(callers):
            execute("INSERT INTO used VALUES (?, ?)", (replay_key(chance, count), NOW))
            execute("INSERT INTO trail (event) VALUES (?)", (event,))
            count += 1
        execute("COMMIT")
    taken, cpu = time.perf_counter() - began, time.process_time() - cpu
    return {"wall_per_second": count / taken, "cpu_us": cpu / count * 1e6}


def replay_key(chance: random.Random, count: int) -> bytes:
    """The minute, as if a hundred thousand proofs were made in each, and a hash."""
    return (count // 100_000).to_bytes(4, "big") + chance.randbytes(16)
