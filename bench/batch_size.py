"""How the rate of a batch depends on its size, and on the threads that work on it."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Mapping

from bench.figures import figures, ratio
from bench.floor import opened
from bench.interleaved import Runner, measured
from bench.workload import Workload, workload
from keystead.jose.batch import MAX_THREADS, verify_signatures

question = "How large must a batch be, and how many threads help?"

SIZES = (1, 8, 32, 128, 512, 2_048)
FULL = "512"
ITEMS = max(SIZES)
CASES = {"es256_one_key": False, "es256_distinct_keys": True}


def run(*, seed: int, rounds: int) -> dict[str, object]:
    """Medians over ``rounds`` interleaved rounds, in ES256 verifications a second.

    ``batches``: the same 2,048 items in calls of so many, of one thread's CPU time; ``to_512`` is
    to calls of 512. ``threads``: calls of 2,048, by the clock on the wall, and ``gain`` is to one
    thread by the same clock. Keys are JWKs as they arrive, all of them seen before.
    """
    chance = random.Random(seed)
    batches: dict[str, object] = {}
    threads: dict[str, object] = {}
    with opened() as floor:
        for name, distinct in CASES.items():
            item = workload("ES256", chance, count=ITEMS, distinct=distinct)
            by_size = {str(size): calls(item, size=size) for size in SIZES}
            rates = measured({**by_size, "openssl": floor.runner(item)}, rounds=rounds, warm=True)
            batches[name] = {
                "per_second": figures(only(rates, by_size), unit="per_second"),
                "peers_per_second": figures({"openssl": rates["openssl"]}, unit="per_second"),
                "to_512": {size: ratio(rates, size, FULL) for size in by_size if size != FULL},
            }
            by_threads = {
                str(count): calls(item, size=ITEMS, threads=count, clock=time.perf_counter)
                for count in thread_counts()
            }
            rates = measured(by_threads, rounds=rounds, warm=True)
            threads[name] = {
                "wall_per_second": figures(rates, unit="per_second"),
                "gain": {count: ratio(rates, count, "1") for count in by_threads if count != "1"},
            }
    return {"question": question, "items": ITEMS, "batches": batches, "threads": threads}


def thread_counts() -> list[int]:
    """1, 2, 4 and so on, up to the cores that this process may use."""
    cores = min(len(os.sched_getaffinity(0)), MAX_THREADS)
    powers = [1 << at for at in range(cores.bit_length())]
    return sorted({*(count for count in powers if count <= cores), cores})


def only(rates: Mapping[str, list[float]], names: Mapping[str, object]) -> dict[str, list[float]]:
    """Those of ``names``."""
    return {name: rates[name] for name in names}


def calls(
    item: Workload,
    *,
    size: int,
    threads: int = 1,
    clock: Callable[[], float] = time.thread_time,
) -> Runner:
    """All items, in calls of ``size``."""
    keys = [key.to_dict() for key in item.keys]
    parts = [slice(first, first + size) for first in range(0, ITEMS, size)]
    pieces = [
        (keys[part] if len(keys) > 1 else keys[0], item.messages[part], item.signatures[part])
        for part in parts
    ]

    def measure() -> float:
        began = clock()
        good = sum(
            verify_signatures(item.algorithm, of, messages, signatures, threads=threads).count(1)
            for of, messages, signatures in pieces
        )
        taken = clock() - began
        if good != ITEMS:
            raise RuntimeError("a verification failed: the figures would mean nothing")
        return ITEMS / taken

    return measure
