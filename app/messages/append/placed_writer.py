"""Placed writer: a group-commit writer for each machine of a cluster, so that a group holds users of one machine only.

The queue is split before a group is committed. A group that waits for one machine keeps nobody else waiting, and where
it fails the others neither fail nor are tried again. On a single Postgres and on SQLite there is one writer, and none
of this.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable

from cachetools import LRUCache
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.commit_hooks import CommitHooks
from app.messages.append.contract import Append, CommitBackend, Outcome
from app.messages.append.writer import AppendWriter, append_in

Placement = Callable[[str], Awaitable[Hashable]]
"""Which machine has the rows of a user. Raises what the driver raises."""

MAX_USERS = 100_000


class PlacedAppendWriter:
    """An `AppendWriter` with a queue of `capacity` and a backend of its own for each placement."""

    def __init__(
        self, placement: Placement, backend: Callable[[], CommitBackend], capacity: int, commit_hooks: CommitHooks
    ) -> None:
        self._placement = placement
        self._backend = backend
        self._capacity = capacity
        self._commit_hooks = commit_hooks
        # In a transaction of somebody else it needs no connection, and no placement.
        self._in_sessions = backend()
        self._writers: dict[Hashable, AppendWriter] = {}
        self._placements: LRUCache[str, Hashable] = LRUCache(MAX_USERS)

    async def append(self, append: Append) -> Outcome:
        placement = self._placements.get(append.user_id)
        if placement is None:
            placement = self._placements[append.user_id] = await self._placement(append.user_id)
        writer = self._writers.get(placement)
        if writer is None:
            writer = AppendWriter(self._backend(), self._capacity, self._commit_hooks)
            self._writers[placement] = writer
        try:
            return await writer.append(append)
        except Exception:
            # The user may have moved to another machine.
            self._placements.pop(append.user_id, None)
            raise

    async def append_in(self, session: AsyncSession, append: Append) -> Outcome:
        return await append_in(self._in_sessions, session, append)

    async def close(self) -> None:
        await asyncio.gather(*(writer.close() for writer in self._writers.values()), self._in_sessions.close())
