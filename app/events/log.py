"""Event log writer: appends what a transaction changed to the user's feed, in the same transaction.

An entry is a JSON array that begins with its kind:

- `["appended", chat_id, first_seq, count]`: the messages with these seqs; it takes `count` positions, any other one
- `["edited", chat_id, seq, message_id]`, `["deleted", chat_id, seq, message_id]`
- `["cleared", chat_id, last_seq]`: every message up to this seq is gone
- `["head", chat_id, head_seq, head_id]`: the active branch ends elsewhere; nulls where it has no message
- `["chat.created", chat_id]`, and so `chat.updated`, `chat.deleted`, `chat.restored` and `chat.erased`
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import insert
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.database import CHANGED_USERS
from app.db.timestamps import now
from app.events.counter_deltas import CounterDelta
from app.models import Change, Feed

Entry = Sequence[Any]


def position_count(entry: Entry) -> int:
    """How many positions of the feed an entry takes."""
    return int(entry[3]) if entry[0] == "appended" else 1


async def append_events(
    session: AsyncSession, user_id: str, *entries: Entry, deltas: Sequence[CounterDelta] = ()
) -> None:
    """Appends what the session's transaction changed, and has the commit hooks run when it is committed.

    `deltas` is what that adds to the user's counters, see `app.events.counter_deltas`.

    It locks the user's feed until the commit. To avoid deadlocks everybody locks chats first and feeds last: a
    transaction that changes several chats calls this after it has locked them all.
    """
    if not entries:
        return
    count = sum(map(position_count, entries))
    dialect_insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    feed = dialect_insert(Feed).values(user_id=user_id, position=count, pruned=0)
    feed = feed.on_conflict_do_update(
        index_elements=["user_id"], set_={"position": col(Feed.position) + feed.excluded.position}
    )
    position = (await session.execute(feed.returning(col(Feed.position)))).scalar_one()
    entry_lists, counts = [list(entry) for entry in entries], list(deltas) or None
    change = insert(Change).values(user_id=user_id, position=position, at=now(), entries=entry_lists, counts=counts)
    await session.execute(change)
    session.info.setdefault(CHANGED_USERS, set()).add(user_id)
