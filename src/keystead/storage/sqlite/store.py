"""The port: :class:`keystead.ports.Store` on one SQLite file."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TypeVar

from keystead.errors import Reason, Unavailable
from keystead.model import (
    AuditEvent,
    BoundKey,
    ChainedEvent,
    Checkpoint,
    EkId,
    EnrolledHost,
    Grant,
    GrantId,
    Jkt,
    KeptEvidence,
    KeyPurpose,
    KeyState,
    Kid,
    RegistrationEntry,
    ResultId,
    SigningKey,
    SpiffeId,
)
from keystead.operations import (
    Operation,
)
from keystead.ports import EventChain
from keystead.storage.sqlite import files, schema
from keystead.storage.sqlite.reader import SqliteReader
from keystead.storage.sqlite.writer import QueuedUnit, Writer

_T = TypeVar("_T")


class SqliteStore:
    """Writes on one thread, looks up by key on the event loop, lists on another thread.

    A look-up by key is one indexed read of a few pages: handing it to a thread would cost more
    than it does. It may wait for the disk when the page is not in memory.
    """

    def __init__(
        self, *, writer: Writer, lookups: SqliteReader, lists: SqliteReader, lock: files.WriterLock
    ) -> None:
        """Use :meth:`open`."""
        self._writer = writer
        self._lookups = lookups
        self._lists = lists
        self._lock = lock
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="keystead-lists")
        self._closed = False

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        chain: EventChain,
        connect: Callable[[Path], sqlite3.Connection] = files.connect_writer,
    ) -> SqliteStore:
        """The store in ``path``, which is created (0600) where it is not there; blocks.

        ``connect`` opens the writing connection. Raises ConfigurationError: the folder or the
        file is open to others, another process writes to it, or it is of a newer Keystead;
        Unavailable (store_unavailable) where it cannot be read or written.
        """
        lock = files.WriterLock(path)
        try:
            files.make_private_file(path)
            with closing(connect(path)) as connection:
                schema.migrate(connection)
            lookups, lists = SqliteReader.open(path), SqliteReader.open(path)
        except BaseException as error:
            lock.release()
            if isinstance(error, sqlite3.Error):
                raise Unavailable(Reason.STORE_UNAVAILABLE, f"{path}: {error}") from error
            raise
        writer = Writer(partial(connect, path), chain=chain)
        return cls(writer=writer, lookups=lookups, lists=lists, lock=lock)

    async def apply(
        self, operations: Sequence[Operation], *, events: Sequence[AuditEvent]
    ) -> tuple[ChainedEvent, ...]:
        """As the port says. Cancelling the caller does not take back what was handed over."""
        loop = asyncio.get_running_loop()
        unit = QueuedUnit(
            operations=operations, events=events, loop=loop, future=loop.create_future()
        )
        self._writer.submit(unit)
        return await unit.future

    async def close(self) -> None:
        """Finish what was accepted, then close; a second time does nothing."""
        if self._closed:
            return
        self._closed = True
        await asyncio.to_thread(self._thread.shutdown)
        # The writer last: only a connection that writes can fold the log back into the file.
        self._lookups.close()
        self._lists.close()
        await asyncio.to_thread(self._writer.close)
        self._lock.release()

    # --- by key, on the event loop ------------------------------------------------------------

    async def seen(self, space: str, key: bytes) -> bool:
        return self._lookups.seen(space, key)

    async def counter(self, key: bytes) -> int | None:
        return self._lookups.counter(key)

    async def binding(self, jkt: Jkt) -> BoundKey | None:
        return self._lookups.binding(jkt)

    async def evidence(self, jkt: Jkt) -> KeptEvidence | None:
        return self._lookups.evidence(jkt)

    async def device(self, id: str) -> KeptEvidence | None:
        return self._lookups.device(id)

    async def result(self, id: ResultId) -> str | None:
        """The EAR JWT until some minutes after its end; its ``exp`` says when that is."""
        return self._lookups.result(id)

    async def host(self, ek: EkId) -> EnrolledHost | None:
        return self._lookups.host(ek)

    async def host_named(self, spiffe_id: SpiffeId) -> EnrolledHost | None:
        return self._lookups.host_named(spiffe_id)

    async def entry(self, id: str) -> RegistrationEntry | None:
        return self._lookups.entry(id)

    async def grant(self, id: GrantId) -> Grant | None:
        return self._lookups.grant(id)

    async def grant_by_handle(self, handle_hash: bytes) -> Grant | None:
        return self._lookups.grant_by_handle(handle_hash)

    async def key(self, kid: Kid) -> SigningKey | None:
        return self._lookups.key(kid)

    async def last_event(self) -> ChainedEvent | None:
        return self._lookups.last_event()

    async def last_checkpoint(self) -> Checkpoint | None:
        return self._lookups.last_checkpoint()

    async def fact(self, name: str) -> bytes | None:
        return self._lookups.fact(name)

    # --- lists, on a thread -------------------------------------------------------------------

    async def hosts(self) -> tuple[EnrolledHost, ...]:
        return await self._listed(self._lists.hosts)

    async def entries(
        self, *, ek: EkId | None = None, parent: SpiffeId | None = None
    ) -> tuple[RegistrationEntry, ...]:
        return await self._listed(partial(self._lists.entries, ek=ek, parent=parent))

    async def entries_without_host(self) -> tuple[RegistrationEntry, ...]:
        return await self._listed(self._lists.entries_without_host)

    async def bindings(
        self, *, live_at: int, after: str = "", limit: int = 500
    ) -> tuple[BoundKey, ...]:
        return await self._listed(
            partial(self._lists.bindings, live_at=live_at, after=after, limit=limit)
        )

    async def grants(
        self, *, sub: str | None = None, agent: SpiffeId | None = None, limit: int = 1000
    ) -> tuple[Grant, ...]:
        return await self._listed(partial(self._lists.grants, sub=sub, agent=agent, limit=limit))

    async def keys(
        self, *, purpose: KeyPurpose | None = None, state: KeyState | None = None
    ) -> tuple[SigningKey, ...]:
        return await self._listed(partial(self._lists.keys, purpose=purpose, state=state))

    async def events(self, *, after: int = 0, limit: int = 1000) -> tuple[ChainedEvent, ...]:
        return await self._listed(partial(self._lists.events, after=after, limit=limit))

    async def checkpoints(self) -> tuple[Checkpoint, ...]:
        return await self._listed(self._lists.checkpoints)

    async def _listed(self, query: Callable[[], _T]) -> _T:
        if self._closed:
            raise Unavailable(Reason.SHUTTING_DOWN, "the store is closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, query)
