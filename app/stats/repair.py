"""Setting counters right, while the service runs.

A chat is locked as by its writers, and a user's feed too: until it is done nobody adds anything, and what is counted is
what the feed says up to the position that the counters are then at.
"""

from sqlalchemy import delete, select
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.database import Database
from app.db.driver import SessionReader
from app.db.timestamps import now
from app.events.counter_deltas import shrunk
from app.events.log import record
from app.models import Chat, Feed, Usage, UsageBy, UsageSlot
from app.stats.check import counted_by
from app.stats.deltas import SLOT_TOTALS, TOTALS

_COUNT_CHAT = """
SELECT count(*), coalesce(sum(coalesce(input_tokens, 0)), 0), coalesce(sum(coalesce(output_tokens, 0)), 0),
    coalesce(sum(coalesce(tokens, coalesce(input_tokens, 0) + coalesce(output_tokens, 0))), 0), coalesce(max(seq), 0)
FROM messages WHERE user_id = $1 AND chat_id = $2
"""


async def repair_chat(db: Database, user_id: str, chat_id: str) -> None:
    """Counts a chat's messages and tokens again, and its `last_seq` where a message is beyond it."""
    async with db.write() as session:
        own = (col(Chat.user_id) == user_id) & (col(Chat.chat_id) == chat_id)
        chat = (await session.execute(select(Chat).where(own).with_for_update())).scalar_one_or_none()
        if chat is None:
            return
        row = await SessionReader(session).fetch_one(_COUNT_CHAT, user_id, chat_id)
        assert row is not None
        before = chat.message_count
        chat.message_count, chat.input_tokens, chat.output_tokens, chat.total_tokens, last_seq = map(int, row)
        chat.last_seq = max(chat.last_seq, last_seq)
        chat.version += 1
        chat.updated_at = now()
        await session.flush()
        # The longest chat of the user may be another one than it seemed.
        await record(session, user_id, ["chat.updated", chat_id], counts=[*shrunk(before)])


async def repair_user(db: Database, user_id: str) -> None:
    """Counts all of a user's counters again, from his chats and messages."""
    counted, there_is = counted_by(db.kind)
    sums = ", ".join(f"sum({name})" for name in TOTALS)
    found = f"WITH counted AS MATERIALIZED ({counted}), found AS ({there_is})"
    async with db.write() as session:
        feed = select(col(Feed.position)).where(col(Feed.user_id) == user_id).with_for_update()
        position = (await session.execute(feed)).scalar_one_or_none() or 0
        await session.execute(select(col(Usage.position)).where(col(Usage.user_id) == user_id).with_for_update())
        for table in (UsageBy, UsageSlot):
            await session.execute(delete(table).where(col(table.user_id) == user_id))
        await _run(
            session,
            f"INSERT INTO usage_by (user_id, kind, name, {', '.join(TOTALS)}) {found} "
            f"SELECT $1, kind, name, {sums} FROM found WHERE kind IN ('role', 'model', 'platform') GROUP BY kind, name",
            user_id,
        )
        slots = ", ".join(f"sum({name})" for name in ("active_chats", *SLOT_TOTALS[1:]))
        await _run(
            session,
            f"INSERT INTO usage_slots (user_id, slot, {', '.join(SLOT_TOTALS)}) {found} "
            f"SELECT $1, CAST(name AS bigint), {slots} FROM found WHERE kind = 'slot' GROUP BY name",
            user_id,
        )
        total = await SessionReader(session).fetch_one(
            f"{found} SELECT {sums} FROM found WHERE kind = 'total' GROUP BY kind", user_id
        )
        numbers = [int(number) for number in total] if total else [0] * len(TOTALS)
        own = col(Usage.user_id) == user_id
        usage = (await session.execute(select(Usage).where(own).with_for_update())).scalar_one_or_none()
        if usage is None:
            session.add(usage := Usage(user_id=user_id))
        usage.position, usage.longest = position, None
        for name, number in zip(TOTALS, numbers, strict=True):
            setattr(usage, name, number)


async def _run(session: AsyncSession, statement: str, user_id: str) -> None:
    connection = await session.connection()
    sqlite = session.get_bind().dialect.name == "sqlite"
    await connection.exec_driver_sql(statement.replace("$1", "?1") if sqlite else statement, (user_id,))
