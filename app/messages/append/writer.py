"""Group-commit writer: one per process takes every append that is waiting and commits them as one transaction.

One commit, and so one wait for the disk, serves all that queued during the last one; each append still succeeds or
fails by itself, and nobody is answered before the commit.
"""

import asyncio
import contextlib
from collections import deque
from typing import Protocol

from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.commit_hooks import CommitHooks
from app.db.database import CHANGED_USERS
from app.http.database_errors import lost_a_race, problem_of, rolled_back
from app.http.errors import Overloaded
from app.messages.append.contract import Append, Appended, CommitBackend, Outcome

MAX_GROUP_APPENDS = 128
MAX_GROUP_MESSAGES = 2000
MAX_ATTEMPTS = 5


QueuedAppend = tuple[Append, asyncio.Future[Outcome]]


class Writer(Protocol):
    """Commits appends: those that wait together, or one in the transaction of a session."""

    async def append(self, append: Append) -> Outcome:
        """The outcome of an append, once it is on disk.

        Raises Overloaded (503) when the queue is full or the database out of reach, and StorageFull (507).
        """

    async def append_in(self, session: AsyncSession, append: Append) -> Outcome:
        """The outcome of an append in a session's transaction; it is announced when that is committed.

        The caller has locked the chat, so that chats are locked before feeds.
        """

    async def close(self) -> None:
        """Writes what is waiting, then stops."""


async def append_in(backend: CommitBackend, session: AsyncSession, append: Append) -> Outcome:
    """`Writer.append_in`, by a commit backend."""
    await session.flush()
    outcome = await backend.append_in(session, append)
    if isinstance(outcome, Appended):
        session.info.setdefault(CHANGED_USERS, set()).add(append.user_id)
    return outcome


class AppendWriter:
    """The queue before a commit backend. At most `capacity` appends wait or are being written; one more is refused."""

    def __init__(self, backend: CommitBackend, capacity: int, commit_hooks: CommitHooks) -> None:
        self._backend = backend
        self._commit_hooks = commit_hooks
        self._capacity = capacity
        self._queue: deque[QueuedAppend] = deque()
        self._committing = 0
        self._wake = asyncio.Event()
        self._closing = False
        self._task = asyncio.create_task(self._run(), name="writer")

    async def append(self, append: Append) -> Outcome:
        if self._closing or len(self._queue) + self._committing >= self._capacity:
            raise Overloaded
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._queue.append((append, future))
        self._wake.set()
        return await future

    async def append_in(self, session: AsyncSession, append: Append) -> Outcome:
        return await append_in(self._backend, session, append)

    async def close(self) -> None:
        self._closing = True
        self._wake.set()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self._backend.close()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                group = self._next_group()
                self._committing = len(group)
                await self._commit(group)
                self._committing = 0
            if self._closing:
                return

    def _next_group(self) -> list[QueuedAppend]:
        group = [self._queue.popleft()]
        messages = len(group[0][0].new_messages)
        while self._queue and len(group) < MAX_GROUP_APPENDS:
            messages += len(self._queue[0][0].new_messages)
            if messages > MAX_GROUP_MESSAGES:
                break
            group.append(self._queue.popleft())
        return group

    async def _commit(self, group: list[QueuedAppend], attempt: int = 1) -> None:
        try:
            outcomes = await self._backend.commit([append for append, _ in group])
        except Exception as error:  # noqa: BLE001 - every waiting client is told, whatever it was
            if len(group) > 1 and rolled_back(error):
                # One of them spoiled it, or another process was in the way: each for itself.
                for queued in group:
                    await self._commit([queued])
            elif attempt < MAX_ATTEMPTS and lost_a_race(error):
                # What the other process did can be seen now, such as a chat that both wanted to create.
                await self._commit(group, attempt + 1)
            else:
                failure = problem_of(error) or error
                for _, future in group:
                    if not future.done():
                        future.set_exception(failure)
            return
        for (_, future), outcome in zip(group, outcomes, strict=True):
            # A client that hung up has cancelled its future; what it sent is stored all the same.
            if not future.done():
                future.set_result(outcome)
        self._commit_hooks.run(append.user_id for append, _ in group)
