"""Once a minute: chats that expired go to the trash, answers kept for retries are forgotten after their day, and so are
tickets that nobody used. Once an hour: the feeds lose what is too old."""

import asyncio
import time
from datetime import timedelta

import structlog
from sqlalchemy import delete, select, update
from sqlmodel import col

from app.db.database import Database
from app.db.timestamps import now
from app.events.counter_deltas import Counts
from app.events.log import record
from app.events.pruning import prune
from app.http.idempotency import oldest_kept
from app.models import Chat, Idempotency, Ticket

_log = structlog.get_logger("chatkeep.housekeeping")
EVERY_SECONDS = 60
PRUNE_EVERY_SECONDS = 3600
EXPIRED_AT_ONCE = 200


async def keep_house(db: Database, changes_kept_days: int) -> None:
    """Runs `once` every minute until it is cancelled, and prunes feeds; several processes doing so do no harm."""
    pruned_at = float("-inf")
    while True:
        try:
            await run_pass(db)
            if time.monotonic() >= pruned_at + PRUNE_EVERY_SECONDS:
                await prune(db, now() - timedelta(days=changes_kept_days))
                pruned_at = time.monotonic()
        except Exception as error:  # noqa: BLE001 - whatever it was, the next minute has its own chance
            _log.warning("housekeeping failed, and will be tried again", error=type(error).__name__)
        await asyncio.sleep(EVERY_SECONDS)


async def run_pass(db: Database) -> None:
    """Moves expired chats to the trash and forgets old answers and tickets. Raises what the driver raises."""
    while await _expire(db) == EXPIRED_AT_ONCE:
        pass
    async with db.write() as session:
        for old in (
            delete(Idempotency).where(col(Idempotency.created_at) < oldest_kept()),
            delete(Ticket).where(col(Ticket.expires_at) < now()),
        ):
            await session.execute(old.execution_options(synchronize_session=False))


async def _expire(db: Database) -> int:
    """Moves some of the expired chats to the trash, and says how many."""
    at = now()
    expired = (
        select(col(Chat.user_id), col(Chat.chat_id), col(Chat.platform))
        .where(col(Chat.expires_at) <= at, col(Chat.deleted_at).is_(None))
        .order_by(col(Chat.user_id), col(Chat.chat_id))
        .limit(EXPIRED_AT_ONCE)
        # In the order in which everybody locks them; one that somebody else is busy with has time.
        .with_for_update(skip_locked=True)
    )
    async with db.write() as session:
        found = (await session.execute(expired)).all()
        chats: dict[str, list[str]] = {}
        counts: dict[str, list[Counts]] = {}
        for user_id, chat_id, platform in found:
            chats.setdefault(user_id, []).append(chat_id)
            counts.setdefault(user_id, []).append(["chats", platform, None, 0, -1, 1])
        for user_id, chat_ids in chats.items():
            await session.execute(
                update(Chat)
                .where(col(Chat.user_id) == user_id, col(Chat.chat_id).in_(chat_ids))
                .values(deleted_at=at, updated_at=at, version=col(Chat.version) + 1)
                .execution_options(synchronize_session=False)
            )
        # Counters in the order in which a group of appends locks them.
        for user_id in sorted(chats):
            entries = (["chat.deleted", chat_id] for chat_id in chats[user_id])
            await record(session, user_id, *entries, counts=counts[user_id])
    return len(found)
