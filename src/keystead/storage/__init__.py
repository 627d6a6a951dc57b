"""The system of record, behind :class:`keystead.ports.Store`: one file a technology.

store = SqliteStore.open(Path("state/keystead.db"), chain=HashChain())
await store.apply([RevokeGrant(id=grant_id, at=now)], events=[event])
await store.close()
"""

from keystead.storage.sqlite.reader import SqliteReader
from keystead.storage.sqlite.store import SqliteStore

__all__ = ["SqliteReader", "SqliteStore"]
