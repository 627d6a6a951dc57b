"""kill -9 in the middle of load: what was acknowledged is there, and nothing counts twice."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from keystead.audit import HashChain, verify_chain
from keystead.errors import Replayed
from keystead.operations import (
    UseOnce,
)
from keystead.storage import SqliteReader, SqliteStore
from tests.conftest import ROOT
from tests.store_samples import NOW, event

# Writes as fast as it can with 64 callers; prints a number only once its unit is acknowledged.
WRITER = """
import asyncio, sys
from pathlib import Path
from keystead.audit import HashChain
from keystead.errors import Replayed
from keystead.operations import (
    UseOnce,
)
from keystead.storage import SqliteStore
from tests.store_samples import NOW, event

async def caller(store, number):
    while True:
        key = number.to_bytes(8, "big")
        await store.apply([UseOnce(space="proof", key=key, until=NOW + 300)],
                          events=[event(object=str(number)), event(object="second")])
        sys.stdout.write(f"{number}\\n")
        number += 64

async def main(path, start):
    store = SqliteStore.open(path, chain=HashChain())
    await asyncio.gather(*(caller(store, start + n) for n in range(64)))

sys.stdout.reconfigure(line_buffering=True)
asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
"""


def killed_writer(path: Path, *, start: int, after: int) -> list[int]:
    """The numbers that a writer acknowledged before it was killed, at least ``after`` of them."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(start)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline() for _ in range(after)]
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert process.returncode == -signal.SIGKILL
    # The last line may be cut in half by the kill.
    whole = (b"".join(lines) + rest).rpartition(b"\n")[0]
    return [int(line) for line in whole.split()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keystead.db"


async def test_nothing_acknowledged_is_lost_and_nothing_is_accepted_twice(path: Path) -> None:
    acknowledged: list[int] = []
    for life in range(4):
        acknowledged += killed_writer(path, start=life * 10_000_000, after=300 + 177 * life)
        reader = SqliteReader.open(path)  # as `keystead audit verify` does, service still down
        links = list(reader.iterate_events())
        reader.close()
        assert verify_chain(links) == links[-1]
        stored = {int(link.event.object) for link in links if link.event.object != "second"}
        assert stored.issuperset(acknowledged)
        assert len(links) == 2 * len(stored)  # both events of a unit, or none
    store = SqliteStore.open(path, chain=HashChain())
    try:
        for number in acknowledged[:: max(1, len(acknowledged) // 500)]:
            again = UseOnce(space="proof", key=number.to_bytes(8, "big"), until=NOW + 300)
            with pytest.raises(Replayed):
                await store.apply([again], events=[event()])
        (link,) = await store.apply((), events=[event()])
        assert verify_chain([link], start=links[-1]) == link
    finally:
        await store.close()


def test_the_lock_of_a_killed_process_is_free(path: Path) -> None:
    killed_writer(path, start=0, after=1)
    killed_writer(path, start=10_000_000, after=1)
