"""Event log writer: appends what a transaction changed to the user's feed, in the same transaction."""

from collections.abc import Sequence

from sqlalchemy import insert
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.database import CHANGED_USERS
from app.db.timestamps import now
from app.events.counter_deltas import CounterDelta
from app.events.events import Event
from app.models import Change, Feed


async def append_events(
    session: AsyncSession, user_id: str, *events: Event, deltas: Sequence[CounterDelta] = ()
) -> None:
    """Appends what the session's transaction changed, and has the commit hooks run when it is committed.

    `deltas` is what that adds to the user's counters, see `app.events.counter_deltas`.

    It locks the user's feed until the commit. To avoid deadlocks everybody locks chats first and feeds last: a
    transaction that changes several chats calls this after it has locked them all.
    """
    if not events:
        return
    count = sum(event.position_count for event in events)
    dialect_insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    feed = dialect_insert(Feed).values(user_id=user_id, position=count, pruned=0)
    feed = feed.on_conflict_do_update(
        index_elements=["user_id"], set_={"position": col(Feed.position) + feed.excluded.position}
    )
    position = (await session.execute(feed.returning(col(Feed.position)))).scalar_one()
    change = insert(Change).values(
        user_id=user_id,
        position=position,
        at=now(),
        events=[event.to_json() for event in events],
        deltas=[delta.to_json() for delta in deltas] or None,
    )
    await session.execute(change)
    session.info.setdefault(CHANGED_USERS, set()).add(user_id)
