"""Long batches: Ctrl-C ends them, other threads go on, and several run at once."""

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from keystead.jose.batch import MAX_BATCH, verify_signatures
from tests.jose_keys import private_key, public_jwk, signature

ROOT = Path(__file__).resolve().parents[2]
MESSAGE = b"eyJhbGciOiJFUzUxMiJ9.e30"

# A batch of 16 seconds on one core, interrupted a third of a second after it began.
INTERRUPTED = """
import os, signal, sys, threading, time
from keystead.jose.batch import MAX_BATCH, verify_signatures
from tests.jose_keys import private_key, public_jwk, signature

# Whoever starts the tests in the background has SIGINT ignored, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
THREADS = int(sys.argv[1])
MESSAGE = b"m"
key, good = public_jwk("ES512"), signature("ES512", private_key("ES512"), MESSAGE)

def interrupt():
    global sent
    time.sleep(0.3)
    sent = time.monotonic()
    os.kill(os.getpid(), signal.SIGINT)

def threads_now():
    return len(os.listdir("/proc/self/task"))

def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

def interrupted_batch():
    sender = threading.Thread(target=interrupt)
    sender.start()
    try:
        verify_signatures(
            "ES512", key, [MESSAGE] * MAX_BATCH, [good] * MAX_BATCH, threads=THREADS
        )
    except KeyboardInterrupt:
        late_s = time.monotonic() - sent
    else:
        sys.exit("nothing interrupted it")
    sender.join()
    return late_s

before = threads_now()
late_s = [interrupted_batch() for _ in range(3)]
settled = resident_bytes()
late_s += [interrupted_batch() for _ in range(5)]
assert threads_now() == before, "a thread stayed"
assert resident_bytes() - settled < 2_000_000, "memory stayed"
assert verify_signatures("ES512", key, [MESSAGE] * 9, [good] * 9, threads=THREADS) == b"\\1" * 9
print(max(late_s))
"""


@pytest.mark.parametrize("threads", [1, 3])
def test_ctrl_c_ends_a_long_batch_and_leaks_nothing(threads: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(threads)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # About 15 ms where nothing else runs; a crowded machine gets time, and not that of a batch.
    assert float(done.stdout) < 2


# A handler that raises nothing: it runs in the middle, and the batch goes on.
HANDLED = """
import signal
from keystead.jose.batch import verify_signatures
from tests.jose_keys import private_key, public_jwk, signature

seen = []
signal.signal(signal.SIGALRM, lambda number, frame: seen.append(number))
key, good = public_jwk("ES512"), signature("ES512", private_key("ES512"), b"m")
signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
verdicts = verify_signatures("ES512", key, [b"m"] * 600, [good, b""] * 300)
count = len(seen)
signal.setitimer(signal.ITIMER_REAL, 0)
assert verdicts == b"\\1\\0" * 300
print(count)
"""


def test_handlers_of_signals_run_in_the_middle_of_a_batch() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANDLED], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 2  # once, at its end, if no handler ran before


def batch_of(algorithm: str, count: int, *, threads: int) -> tuple[bytes, bytes]:
    """The verdicts of ``count`` items, and what they should be."""
    good = signature(algorithm, private_key(algorithm, "holder"), MESSAGE)
    signatures = [good if index % 3 else b"" for index in range(count)]
    verdicts = verify_signatures(
        algorithm,
        public_jwk(algorithm, "holder"),
        [MESSAGE] * count,
        signatures,
        threads=threads,
    )
    return verdicts, bytes(bool(index % 3) for index in range(count))


def test_two_batches_of_two_python_threads_at_once() -> None:
    barrier = threading.Barrier(2)
    results: dict[str, tuple[bytes, bytes]] = {}

    def work(algorithm: str) -> None:
        barrier.wait()
        results[algorithm] = batch_of(algorithm, 900, threads=2)

    workers = [threading.Thread(target=work, args=(name,)) for name in ("ES256", "Ed25519")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert results.keys() == {"ES256", "Ed25519"}
    assert all(verdicts == expected for verdicts, expected in results.values())


async def test_an_event_loop_goes_on_while_threads_verify() -> None:
    batches = asyncio.gather(
        *(asyncio.to_thread(batch_of, "ES512", 200, threads=2) for _ in range(2))
    )
    ticks = 0
    while not batches.done():
        await asyncio.sleep(0.001)
        ticks += 1
    assert all(verdicts == expected for verdicts, expected in await batches)
    assert ticks > 10


def test_the_largest_batch_is_one_call() -> None:
    verdicts, expected = batch_of("RS256", MAX_BATCH, threads=2)
    assert verdicts == expected
