"""Periodic housekeeping.

Every few seconds the list's index is told of the chats that moved. Once a minute, expired chats are moved to the trash,
and stored responses and tickets that are too old are deleted. Once an hour, the event log is pruned.
"""

import asyncio
import contextlib
import time
from datetime import timedelta

import structlog
from sqlalchemy import delete, select, tuple_, update
from sqlmodel import col

from app.chats.moved import settle_moved_chats
from app.db.database import Database
from app.db.timestamps import now
from app.db.types import NIL_UUID
from app.events.counter_deltas import ChatsDelta
from app.events.events import ChatDeleted
from app.events.log import append_events
from app.events.pruning import prune
from app.http.idempotency import oldest_kept
from app.models import Chat, Idempotency, Ticket

_log = structlog.get_logger("chatkeep.housekeeping")
SETTLE_INTERVAL_SECONDS = 5
INTERVAL_SECONDS = 60
PRUNE_INTERVAL_SECONDS = 3600
CLOSE_SECONDS = 5
# A chat that nobody wrote to for so long is told to the list.
IDLE_SECONDS = 10
CHATS_PER_BATCH = 200


class Housekeeping:
    """Runs beside the requests until it is closed. Several processes may do so at once."""

    def __init__(self, db: Database, changes_kept_days: int) -> None:
        self._db = db
        self._changes_kept = timedelta(days=changes_kept_days)
        self._passed_at = self._pruned_at = float("-inf")
        self._closing = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name="housekeeping")

    async def close(self) -> None:
        """Stops it between two jobs, or in the middle of one that takes too long."""
        self._closing.set()
        await asyncio.wait([self._task], timeout=CLOSE_SECONDS)
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        while not self._closing.is_set():
            try:
                await self._do_what_is_due()
            except Exception as error:  # noqa: BLE001 - whatever it was, the next time has its own chance
                _log.warning("housekeeping failed, and will be tried again", error=type(error).__name__)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), SETTLE_INTERVAL_SECONDS)

    async def _do_what_is_due(self) -> None:
        await settle_moved_chats(self._db, now() - timedelta(seconds=IDLE_SECONDS))
        if time.monotonic() >= self._passed_at + INTERVAL_SECONDS:
            self._passed_at = time.monotonic()
            await run_pass(self._db)
        if time.monotonic() >= self._pruned_at + PRUNE_INTERVAL_SECONDS:
            await prune(self._db, now() - self._changes_kept)
            self._pruned_at = time.monotonic()


async def run_pass(db: Database) -> None:
    """Moves expired chats to the trash, and deletes old stored responses and tickets. Raises what the driver raises."""
    after: tuple[str, str] | None = ("", NIL_UUID)
    while after is not None:
        after = await _expire(db, after)
    for statement in (
        delete(Idempotency).where(col(Idempotency.created_at) < oldest_kept()),
        delete(Ticket).where(col(Ticket.expires_at) < now()),
    ):
        async with db.write() as session:
            await session.execute(statement.execution_options(synchronize_session=False))


async def _expire(db: Database, after: tuple[str, str]) -> tuple[str, str] | None:
    """Moves the batch of expired chats that comes after a chat to the trash. Gives the last one, if more may follow.

    They are looked for without locks, and moved user by user: no transaction holds rows of two users.
    """
    at = now()
    is_expired = (col(Chat.expires_at) <= at, col(Chat.deleted_at).is_(None))
    key = col(Chat.user_id), col(Chat.chat_id)
    expired = select(*key).where(*is_expired, tuple_(*key) > after).order_by(*key).limit(CHATS_PER_BATCH)
    async with db.read() as session:
        rows = [(row[0], row[1]) for row in await session.execute(expired)]
    chat_ids_by_user: dict[str, list[str]] = {}
    for user_id, chat_id in rows:
        chat_ids_by_user.setdefault(user_id, []).append(chat_id)
    for user_id, chat_ids in chat_ids_by_user.items():
        platforms: dict[str, str | None] = {}
        async with db.write() as session:
            # Everybody locks chats in this order. One that another transaction has locked can wait.
            for chat_id in sorted(chat_ids):
                own = (col(Chat.user_id) == user_id, col(Chat.chat_id) == chat_id)
                locked = select(col(Chat.platform)).where(*own, *is_expired).with_for_update(skip_locked=True)
                for (platform,) in await session.execute(locked):
                    platforms[chat_id] = platform
            if not platforms:
                continue
            trash = update(Chat).where(col(Chat.user_id) == user_id, col(Chat.chat_id).in_(platforms))
            trash = trash.values(deleted_at=at, updated_at=at, version=col(Chat.version) + 1)
            await session.execute(trash.execution_options(synchronize_session=False))
            deltas = [ChatsDelta(platform, None, 0, -1, 1) for platform in platforms.values()]
            await append_events(session, user_id, *map(ChatDeleted, platforms), deltas=deltas)
    return rows[-1] if len(rows) == CHATS_PER_BATCH else None
