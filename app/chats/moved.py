"""Moved chats: housekeeping of the list by last activity.

An append leaves the list's index alone, so that it changes a row and nothing else; the chat goes into `moved_chats`
with the first one. When it has been idle for some seconds, the index is told where it is now, once for all of them.
"""

from datetime import datetime
from itertools import groupby
from operator import itemgetter

from sqlalchemy import bindparam, delete, exists, select, tuple_, update
from sqlmodel import col

from app.db.database import Database
from app.db.types import NIL_UUID
from app.models import Chat, MovedChat, metadata

CHATS_PER_BATCH = 100
_CHATS, _MOVED = metadata.tables["chats"], metadata.tables["moved_chats"]
_KEY = (col(MovedChat.user_id), col(MovedChat.chat_id))
_LAST_ACTIVITY = (
    select(col(Chat.last_activity_at))
    .where(col(Chat.user_id) == _KEY[0], col(Chat.chat_id) == _KEY[1])
    .scalar_subquery()
)
_SETTLE = (
    update(_CHATS)
    .where(_CHATS.c.user_id == bindparam("owner"), _CHATS.c.chat_id == bindparam("chat"))
    .where(_CHATS.c.last_activity_at < bindparam("before"))
    .values(listed_at=_CHATS.c.last_activity_at)
)
_FORGET = delete(_MOVED).where(
    _MOVED.c.user_id == bindparam("owner"),
    _MOVED.c.chat_id == bindparam("chat"),
    exists().where(
        _CHATS.c.user_id == bindparam("owner"),
        _CHATS.c.chat_id == bindparam("chat"),
        _CHATS.c.listed_at == _CHATS.c.last_activity_at,
    ),
)


async def settle_moved_chats(db: Database, before: datetime) -> None:
    """Brings the list's index up to date for chats in which nothing happened since `before`."""
    after = ("", NIL_UUID)
    while True:
        idle = select(*_KEY).where(tuple_(*_KEY) > after, before > _LAST_ACTIVITY).order_by(*_KEY)
        async with db.read() as session:
            rows = [(row[0], row[1]) for row in await session.execute(idle.limit(CHATS_PER_BATCH))]
        # In the order in which everybody locks chats. Those that were written to meanwhile stay.
        in_order = sorted(rows, key=lambda row: (row[0].encode(), row[1]))
        for _, group in groupby(in_order, itemgetter(0) if db.users_at_once == 1 else lambda _: None):
            chats = [{"owner": user_id, "chat": chat_id} for user_id, chat_id in group]
            async with db.write() as session:
                await session.execute(_SETTLE, [{**chat, "before": before} for chat in chats])
                await session.execute(_FORGET, chats)
        if len(rows) < CHATS_PER_BATCH:
            return
        after = rows[-1]
