"""Taking out of the feeds what is older than the settings say."""

from datetime import datetime

from sqlalchemy import delete, select, update
from sqlmodel import col

from app.db.database import Database
from app.models import Change, Feed, Usage

# Feeds looked at in one query, and rows deleted in one transaction: it holds up the writers of their user.
PRUNED_FEEDS = 500
PRUNED_ROWS = 1000


async def prune(db: Database, before: datetime) -> None:
    """Takes out of every feed what was written before a moment; who has not read it by then is told that it is gone.

    There is no index by time, which every write would pay for: the oldest row of each feed is looked at instead.
    """
    last = ""
    while True:
        oldest = (
            select(col(Change.at))
            .where(col(Change.user_id) == col(Feed.user_id), col(Change.position) > col(Feed.pruned))
            .order_by(col(Change.position))
            .limit(1)
            .scalar_subquery()
        )
        feeds = (
            select(col(Feed.user_id), oldest)
            .where(col(Feed.user_id) > last)
            .order_by(col(Feed.user_id))
            .limit(PRUNED_FEEDS)
        )
        async with db.read() as session:
            found = (await session.execute(feeds)).all()
        for user_id, at in found:
            while at is not None and at < before and await _prune(db, user_id, before):
                pass
        if len(found) < PRUNED_FEEDS:
            return
        last = found[-1][0]


async def _prune(db: Database, user_id: str, before: datetime) -> bool:
    """Takes the oldest rows of one feed out. Says whether there may be more of them."""
    own = col(Change.user_id) == user_id
    # What is not added up yet stays.
    counted = select(col(Usage.position)).where(col(Usage.user_id) == user_id).scalar_subquery()
    rows = select(col(Change.position), col(Change.at)).where(own, col(Change.position) <= counted)
    rows = rows.order_by(col(Change.position)).limit(PRUNED_ROWS)
    async with db.read() as session:
        found = (await session.execute(rows)).all()
    old = [position for position, at in found if at < before]
    if not old:
        return False
    async with db.write() as session:
        # First the counter, as whoever writes does. What a clock put out of order goes too: it is as old as that.
        counter = update(Feed).where(col(Feed.user_id) == user_id, col(Feed.pruned) < old[-1]).values(pruned=old[-1])
        await session.execute(counter.execution_options(synchronize_session=False))
        gone = delete(Change).where(own, col(Change.position) <= old[-1])
        await session.execute(gone.execution_options(synchronize_session=False))
    return len(old) == PRUNED_ROWS
