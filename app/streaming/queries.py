"""Queries of messages in progress and of their chunks, and whether their lease still holds."""

from functools import cache
from typing import Any

from sqlalchemy import bindparam, delete, func, select, tuple_, update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.timestamps import now, to_datetime
from app.models import Chat, Chunk, StreamingMessage, metadata
from app.models.plain_text import plain_text_sql

# The longest text of a chunk's row, in characters, and how many rows are read together.
MAX_CHUNK_LENGTH = 65_536
CHUNKS_PER_READ = 32

FIND = """
SELECT CAST(m.chat_id AS TEXT), m.seq, m.status, a.stored, a.lease_token, c.lease_token, c.lease_until, c.lease_holder
FROM chats c JOIN messages m ON m.user_id = $1 AND m.chat_id = c.chat_id
LEFT JOIN streaming_messages a ON a.user_id = $1 AND a.chat_id = m.chat_id AND a.seq = m.seq
WHERE c.user_id = $1 AND c.{} = $2 AND c.deleted_at IS NULL AND m.{} = $3
"""
_MESSAGE_TEXT = """
SELECT status, length(text), substr(text, $4, {max_length}) FROM (
    SELECT m.status, {plain_text} AS text
    FROM chats c JOIN messages m ON m.user_id = $1 AND m.chat_id = c.chat_id
    WHERE c.user_id = $1 AND c.chat_id = $2 AND c.deleted_at IS NULL AND m.seq = $3
) AS message
"""
CHUNKS = f"""
SELECT a.stored, p.start, p.text FROM streaming_messages a
LEFT JOIN chunks p ON p.user_id = $1 AND p.chat_id = a.chat_id AND p.seq = a.seq AND p.start >= coalesce(
    (
        SELECT max(q.start) FROM chunks q
        WHERE q.user_id = $1 AND q.chat_id = a.chat_id AND q.seq = a.seq AND q.start <= $4
    ), 0
)
WHERE a.user_id = $1 AND a.chat_id = $2 AND a.seq = $3 AND EXISTS (
    SELECT 1 FROM chats c WHERE c.user_id = $1 AND c.chat_id = a.chat_id AND c.deleted_at IS NULL
)
ORDER BY p.start LIMIT {CHUNKS_PER_READ}
"""
STORED_LENGTH = "SELECT stored FROM streaming_messages WHERE user_id = $1 AND chat_id = $2 AND seq = $3"

MessageLocation = tuple[str, str, int]
"""The primary key of a message: its user, its chat's id, its seq."""

_user_id, _chat_id, _seq = col(StreamingMessage.user_id), col(StreamingMessage.chat_id), col(StreamingMessage.seq)
LOCATION = (_user_id, _chat_id, _seq)
AT_LOCATION = tuple_(*LOCATION)
STORED_LENGTHS = select(*LOCATION, col(StreamingMessage.stored))
STORED_AND_LEASE = (
    STORED_LENGTHS.add_columns(col(StreamingMessage.lease_token), col(Chat.lease_token), col(Chat.lease_until))
    .join(Chat, (col(Chat.user_id) == _user_id) & (col(Chat.chat_id) == _chat_id))
    .where(col(Chat.deleted_at).is_(None))
    # Every process locks in this order, so that two that write the same messages do not deadlock.
    .order_by(*LOCATION)
)
STREAMING_TABLE, CHUNK_TABLE = metadata.tables["streaming_messages"], metadata.tables["chunks"]
SET_STORED_LENGTH = (
    update(STREAMING_TABLE)
    .where(_user_id == bindparam("of_user"), _chat_id == bindparam("of_chat"), _seq == bindparam("of_seq"))
    .values(stored=bindparam("now_stored"), touched_at=bindparam("at"))
)


@cache
def message_text(database_kind: str) -> str:
    """The statement for a part of a message's text: its status, the length of all of it, and the part from $4 on."""
    return _MESSAGE_TEXT.format(max_length=MAX_CHUNK_LENGTH, plain_text=plain_text_sql(database_kind, "m.content"))


async def load_text(session: AsyncSession, location: MessageLocation) -> str:
    """The text of a message in progress, all that is on disk."""
    texts = select(col(Chunk.text)).where(*_at(Chunk, location)).order_by(col(Chunk.start))
    return "".join((await session.execute(texts)).scalars())


async def load_text_between(session: AsyncSession, location: MessageLocation, begin: int, end: int) -> str:
    """The characters of its text from `begin` to before `end`."""
    start = col(Chunk.start)
    first = select(func.max(start)).where(*_at(Chunk, location), start <= begin).scalar_subquery()
    chunks = select(start, col(Chunk.text)).where(*_at(Chunk, location), start >= first, start < end).order_by(start)
    rows = await session.execute(chunks)
    return "".join(text[max(0, begin - chunk_start) : end - chunk_start] for chunk_start, text in rows)


async def lock(session: AsyncSession, location: MessageLocation) -> StreamingMessage | None:
    """The row of a message in progress, locked until the session's transaction ends; None if it is not in progress."""
    statement = select(StreamingMessage).where(*_at(StreamingMessage, location)).with_for_update()
    row: StreamingMessage | None = (await session.execute(statement)).scalar_one_or_none()
    return row


async def delete_streaming(session: AsyncSession, location: MessageLocation) -> None:
    """Deletes the row of a message in progress, and its chunks."""
    for table in (Chunk, StreamingMessage):
        await session.execute(delete(table).where(*_at(table, location)))


def holds_lease(lease_token: int | None, chat_lease_token: int | None, lease_until: Any) -> bool:
    """Whether a message that was opened under a lease (None: under none) may be written to, as far as that goes.

    The other two are of its chat's current lease; `lease_until` as the driver or the ORM gives it.
    """
    if lease_token is None:
        return True
    return lease_token == chat_lease_token and lease_until is not None and to_datetime(lease_until) > now()


def _at(table: type[StreamingMessage] | type[Chunk], location: MessageLocation) -> tuple[Any, Any, Any]:
    return col(table.user_id) == location[0], col(table.chat_id) == location[1], col(table.seq) == location[2]
