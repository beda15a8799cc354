"""The feed's writing side: what a transaction changed is recorded in it, under the next positions of its user.

What is older than the settings say is taken out of it again by `prune`.

An entry is a JSON array that begins with its kind:

- `["appended", chat_id, first_seq, count]`: the messages with these seqs; it takes `count` positions, any other one
- `["edited", chat_id, seq, message_id]`, `["deleted", chat_id, seq, message_id]`
- `["cleared", chat_id, last_seq]`: every message up to this seq is gone
- `["head", chat_id, head_seq, head_id]`: the active branch ends elsewhere; nulls where it has no message
- `["chat.created", chat_id]`, and so `chat.updated`, `chat.deleted`, `chat.restored` and `chat.erased`
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.database import CHANGED_USERS, Database
from app.db.types import now
from app.models import Change, Feed

Entry = Sequence[Any]

# Feeds looked at in one query, and rows deleted in one transaction: it holds up the writers of their user.
PRUNED_FEEDS = 500
PRUNED_ROWS = 1000


def length(entry: Entry) -> int:
    """How many positions an entry takes."""
    return int(entry[3]) if entry[0] == "appended" else 1


async def record(session: AsyncSession, user_id: str, *entries: Entry) -> None:
    """Records what the session's transaction changed, and has it announced when that is committed.

    It locks the user's counter until then. Everybody locks chats first and counters last, so that nobody waits for each
    other: a transaction that changes several chats records when it has locked them all.
    """
    if not entries:
        return
    count = sum(map(length, entries))
    dialect_insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    counter = dialect_insert(Feed).values(user_id=user_id, position=count, pruned=0)
    counter = counter.on_conflict_do_update(
        index_elements=["user_id"], set_={"position": col(Feed.position) + counter.excluded.position}
    )
    position = (await session.execute(counter.returning(col(Feed.position)))).scalar_one()
    change = {"user_id": user_id, "position": position, "at": now(), "entries": [list(entry) for entry in entries]}
    await session.execute(insert(Change).values(change))
    session.info.setdefault(CHANGED_USERS, set()).add(user_id)


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
    rows = select(col(Change.position), col(Change.at)).where(own).order_by(col(Change.position)).limit(PRUNED_ROWS)
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
