"""Retention of the event log: deletes changes that are older than the settings keep them."""

from datetime import datetime

from sqlalchemy import delete, select, update
from sqlmodel import col

from app.db.database import Database
from app.models import Change, Feed, Usage

# Feeds looked at in one query, and rows deleted in one transaction, which keeps the writers of their user waiting.
FEEDS_PER_BATCH = 500
ROWS_PER_BATCH = 1000


async def prune(db: Database, before: datetime) -> None:
    """Deletes every user's changes from before a timestamp; who has not read them is answered with Gone (410).

    An index by time would cost every write, so the oldest row of each feed is looked at instead.
    """
    is_kept = (col(Change.user_id) == col(Feed.user_id), col(Change.position) > col(Feed.pruned))
    oldest = select(col(Change.at)).where(*is_kept).order_by(col(Change.position)).limit(1)
    last_user_id = ""
    while True:
        statement = select(col(Feed.user_id), oldest.scalar_subquery()).where(col(Feed.user_id) > last_user_id)
        async with db.read() as session:
            feeds = (await session.execute(statement.order_by(col(Feed.user_id)).limit(FEEDS_PER_BATCH))).all()
        for user_id, oldest_at in feeds:
            while oldest_at is not None and oldest_at < before and await _prune_batch(db, user_id, before):
                pass
        if len(feeds) < FEEDS_PER_BATCH:
            return
        last_user_id = feeds[-1][0]


async def _prune_batch(db: Database, user_id: str, before: datetime) -> bool:
    """Deletes the oldest rows of one feed. Returns whether there may be more of them."""
    is_own = col(Change.user_id) == user_id
    # Changes that the counters have not consumed yet stay.
    consumed = select(col(Usage.position)).where(col(Usage.user_id) == user_id).scalar_subquery()
    statement = select(col(Change.position), col(Change.at)).where(is_own, col(Change.position) <= consumed)
    statement = statement.order_by(col(Change.position)).limit(ROWS_PER_BATCH)
    async with db.read() as session:
        rows = (await session.execute(statement)).all()
    old = [position for position, at in rows if at < before]
    if not old:
        return False
    async with db.write() as session:
        # The feed's row is locked first, as every writer does. Where a clock went backwards, rows up to the last old
        # position are deleted too.
        feed = update(Feed).where(col(Feed.user_id) == user_id, col(Feed.pruned) < old[-1]).values(pruned=old[-1])
        await session.execute(feed.execution_options(synchronize_session=False))
        pruned = delete(Change).where(is_own, col(Change.position) <= old[-1])
        await session.execute(pruned.execution_options(synchronize_session=False))
    return len(old) == ROWS_PER_BATCH
