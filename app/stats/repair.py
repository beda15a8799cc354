"""Counter repair: sets wrong counters right while the service runs.

It takes the locks that writers take on a chat and on a user's feed. So nobody writes until it is done, and what it
counts is what the feed has up to the position that the counters have afterwards.
"""

from sqlalchemy import delete, select
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.database import Database
from app.db.driver import SessionReader
from app.db.timestamps import now
from app.events.counter_deltas import shrunk_deltas
from app.events.events import ChatUpdated
from app.events.log import append_events
from app.models import Chat, Feed, MovedChat, Usage, UsageBy, UsageTimeBucket
from app.stats.check import actual_totals
from app.stats.deltas import BUCKET_TOTALS, TOTALS

_COUNT_CHAT = """
SELECT count(*), coalesce(sum(coalesce(input_tokens, 0)), 0), coalesce(sum(coalesce(output_tokens, 0)), 0),
    coalesce(sum(coalesce(tokens, coalesce(input_tokens, 0) + coalesce(output_tokens, 0))), 0), coalesce(max(seq), 0)
FROM messages WHERE user_id = $1 AND chat_id = $2
"""


async def repair_chat(db: Database, user_id: str, chat_id: str) -> None:
    """Counts a chat's messages and tokens again, its `last_seq` where a message is beyond it, and lists it anew."""
    async with db.write() as session:
        chat = await session.get(Chat, (user_id, chat_id), with_for_update=True)
        if chat is None:
            return
        row = await SessionReader(session).fetch_one(_COUNT_CHAT, user_id, chat_id)
        assert row is not None
        before = chat.message_count
        chat.message_count, chat.input_tokens, chat.output_tokens, chat.total_tokens, last_seq = map(int, row)
        chat.last_seq = max(chat.last_seq, last_seq)
        chat.listed_at = chat.last_activity_at
        chat.version += 1
        chat.updated_at = now()
        moved = (col(MovedChat.user_id) == user_id, col(MovedChat.chat_id) == chat_id)
        await session.execute(delete(MovedChat).where(*moved))
        await session.flush()
        # The longest chat of the user may be another one than before.
        await append_events(session, user_id, ChatUpdated(chat_id), deltas=shrunk_deltas(before))


async def repair_user(db: Database, user_id: str) -> None:
    """Counts all of a user's counters again, from the chats and messages."""
    actual = actual_totals(db.kind)
    sums = ", ".join(f"sum({name})" for name in TOTALS)
    async with db.write() as session:
        feed = select(col(Feed.position)).where(col(Feed.user_id) == user_id).with_for_update()
        position = (await session.execute(feed)).scalar_one_or_none() or 0
        await session.execute(select(col(Usage.position)).where(col(Usage.user_id) == user_id).with_for_update())
        for table in (UsageBy, UsageTimeBucket):
            await session.execute(delete(table).where(col(table.user_id) == user_id))
        await _run(
            session,
            f"INSERT INTO usage_by (user_id, kind, name, {', '.join(TOTALS)}) {actual} SELECT $1, kind, name, {sums} "
            "FROM actual WHERE kind IN ('role', 'model', 'platform') GROUP BY kind, name",
            user_id,
        )
        bucket_sums = ", ".join(f"sum({name})" for name in ("active_chats", *BUCKET_TOTALS[1:]))
        await _run(
            session,
            f"INSERT INTO usage_time_buckets (user_id, time_bucket, {', '.join(BUCKET_TOTALS)}) {actual} "
            f"SELECT $1, CAST(name AS bigint), {bucket_sums} FROM actual WHERE kind = 'time_bucket' GROUP BY name",
            user_id,
        )
        total = await SessionReader(session).fetch_one(
            f"{actual} SELECT {sums} FROM actual WHERE kind = 'total' GROUP BY kind", user_id
        )
        numbers = [int(number) for number in total] if total else [0] * len(TOTALS)
        usage = await session.get(Usage, user_id, with_for_update=True)
        if usage is None:
            session.add(usage := Usage(user_id=user_id))
        usage.position, usage.longest = position, None
        for name, number in zip(TOTALS, numbers, strict=True):
            setattr(usage, name, number)


async def _run(session: AsyncSession, statement: str, user_id: str) -> None:
    connection = await session.connection()
    sqlite = session.get_bind().dialect.name == "sqlite"
    await connection.exec_driver_sql(statement.replace("$1", "?1") if sqlite else statement, (user_id,))
