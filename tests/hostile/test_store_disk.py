"""A disk that is really full: the kernel refuses to let the files grow, then lets them."""

import asyncio
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from keystead.audit import HashChain, verify_chain
from keystead.errors import Reason, Unavailable
from keystead.storage import SqliteReader, SqliteStore
from tests.store_samples import event, once


@contextmanager
def largest_file(size_bytes: int) -> Iterator[None]:
    """No file of this process may grow beyond ``size_bytes``; Python ignores SIGXFSZ."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def write(store: SqliteStore, number: int) -> None:
    big = {f"d{n}": "x" * 250 for n in range(40)}
    await store.apply([once(b"%d" % number)], events=[event(object=str(number), detail=big)])


async def test_a_full_disk_acknowledges_nothing_and_recovers(tmp_path: Path) -> None:
    path = tmp_path / "keystead.db"
    store = SqliteStore.open(path, chain=HashChain())
    acknowledged = []
    with largest_file(400_000):
        for number in range(200):
            try:
                await write(store, number)
            except Unavailable as error:
                assert error.reason is Reason.AUDIT_UNAVAILABLE
                break
            acknowledged.append(number)
        assert 0 < len(acknowledged) < 200
        refused = await asyncio.gather(
            *(write(store, number) for number in range(1_000, 1_050)), return_exceptions=True
        )
        assert {type(outcome) for outcome in refused} == {Unavailable}
        assert len(await store.events()) == len(acknowledged)
        assert await store.seen("proof", b"0")
    for number in range(1_000, 1_050):
        await write(store, number)
        acknowledged.append(number)
    await store.close()
    reader = SqliteReader.open(path)
    links = list(reader.iterate_events())
    reader.close()
    assert [int(link.event.object) for link in links] == acknowledged
    assert verify_chain(links) == links[-1]


async def test_a_service_does_not_start_on_a_full_disk(tmp_path: Path) -> None:
    path = tmp_path / "keystead.db"
    with largest_file(8_192), pytest.raises(Unavailable) as caught:
        SqliteStore.open(path, chain=HashChain())
    assert caught.value.reason is Reason.STORE_UNAVAILABLE
    store = SqliteStore.open(path, chain=HashChain())
    await write(store, 1)
    await store.close()
