"""The store of answers being written: their text on disk, in pieces, until it is joined into the message."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, select, tuple_, update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from app.chats.lease import lease_conflict
from app.db.database import Database
from app.db.driver import Row
from app.db.timestamps import now, to_datetime
from app.http.errors import Conflict, NotFound
from app.http.references import ChatRef
from app.messages.queries import parse_message_ref
from app.models import Chat, Chunk, StreamingMessage, metadata

IN_PROGRESS = "in_progress"
# A piece is no longer than this, in characters, and so many are read together.
MAX_PIECE = 65_536
PIECES = 32
# Answers written in one transaction.
MAX_GROUP = 200

_FIND = """
SELECT CAST(m.chat_id AS TEXT), m.seq, CAST(m.message_id AS TEXT), m.status, a.stored, a.lease_token, c.lease_token,
    c.lease_until, c.lease_holder
FROM chats c JOIN messages m ON m.user_id = c.user_id AND m.chat_id = c.chat_id
LEFT JOIN streaming_messages a ON a.user_id = m.user_id AND a.chat_id = m.chat_id AND a.seq = m.seq
WHERE c.user_id = $1 AND c.{} = $2 AND c.deleted_at IS NULL AND m.{} = $3
"""
_WHOLE = f"""
SELECT m.status, length(m.text), substr(m.text, $4, {MAX_PIECE})
FROM chats c JOIN messages m ON m.user_id = c.user_id AND m.chat_id = c.chat_id
WHERE c.user_id = $1 AND c.chat_id = $2 AND c.deleted_at IS NULL AND m.seq = $3
"""
_PIECES = f"""
SELECT a.stored, p.start, p.text FROM streaming_messages a
LEFT JOIN chunks p ON p.user_id = a.user_id AND p.chat_id = a.chat_id AND p.seq = a.seq AND p.start >= coalesce(
    (
        SELECT max(q.start) FROM chunks q
        WHERE q.user_id = a.user_id AND q.chat_id = a.chat_id AND q.seq = a.seq AND q.start <= $4
    ), 0
)
WHERE a.user_id = $1 AND a.chat_id = $2 AND a.seq = $3 AND EXISTS (
    SELECT 1 FROM chats c WHERE c.user_id = a.user_id AND c.chat_id = a.chat_id AND c.deleted_at IS NULL
)
ORDER BY p.start LIMIT {PIECES}
"""
_ONE_STORED = "SELECT stored FROM streaming_messages WHERE user_id = $1 AND chat_id = $2 AND seq = $3"
_ANSWERS, _PIECE_ROWS = metadata.tables["streaming_messages"], metadata.tables["chunks"]
_GREW = (
    update(_ANSWERS)
    .where(
        _ANSWERS.c.user_id == bindparam("of_user"),
        _ANSWERS.c.chat_id == bindparam("of_chat"),
        _ANSWERS.c.seq == bindparam("of_seq"),
    )
    .values(stored=bindparam("now_stored"), touched_at=bindparam("at"))
)

Place = tuple[str, str, int]
"""Where an answer is: its user, its chat's id, its seq."""


@dataclass(frozen=True, slots=True)
class Open:
    """An answer that is in progress. `turn` is the token of the lease it was opened under."""

    place: Place
    message_id: str
    stored: int
    lease_token: int | None


@dataclass(frozen=True, slots=True)
class Growth:
    """Text to add to an answer, after the first `start` characters; an empty one says that its writer lives."""

    place: Place
    start: int
    text: str
    lease_token: int | None


@dataclass(frozen=True, slots=True)
class Grown:
    """The text is on disk."""


@dataclass(frozen=True, slots=True)
class Overtaken:
    """Another process wrote `text` after `start` meanwhile; nothing was added."""

    text: str


@dataclass(frozen=True, slots=True)
class Closed:
    """It cannot be written to any more: it is complete or gone, or its lease is lost. `find` says why."""


@dataclass(frozen=True, slots=True)
class Progressed:
    """What can be read of an answer at some place: the text from there on, as far as it was read at once.

    `more`: there is more of it on disk. `status` is that of the message.
    """

    text: str
    more: bool
    status: str | None


class AnswerStore:
    """The answers of every user. Whoever asks for one names its user: no query is without."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def find(self, user_id: str, chat: str, message: str) -> Open:
        """An answer to be written to, by the segments of its path.

        Raises NotFound, and Conflict (409) when it is not in progress or its lease is lost.
        """
        row = await self._row(user_id, chat, message)
        chat_id, seq, message_id, status, stored, lease_token = row[:6]
        if status != IN_PROGRESS or stored is None:
            raise Conflict(closed_because(status))
        if not _holds(lease_token, row[6], row[7]):
            raise lease_conflict(row[8], row[7])
        return Open((user_id, chat_id, seq), message_id, stored, lease_token)

    async def locate(self, user_id: str, chat: str, message: str) -> Place:
        """The place of a message, whatever its status, by the segments of its path. Raises NotFound."""
        row = await self._row(user_id, chat, message)
        return user_id, row[0], row[1]

    async def _row(self, user_id: str, chat: str, message: str) -> Row:
        ref = ChatRef.parse(chat)
        by, value = ref.column
        column, name = parse_message_ref(message)
        row = await self._db.driver.fetch_one(_FIND.format(by, column), user_id, value, name)
        if row is None:
            raise NotFound
        return row

    async def read(self, place: Place, offset: int) -> Progressed | None:
        """The text on disk from `offset` on, a bounded part of it. None when the message, or its chat, is gone."""
        for _ in range(3):
            grown = await self._grown(place, offset)
            if grown is not None:
                return grown
            row = await self._db.driver.fetch_one(_WHOLE, *place, offset + 1)
            if row is None:
                return None
            status, length, text = row
            if status != IN_PROGRESS:
                return Progressed(text, length > offset + len(text), status)
            # Opened between the two, or its chat came back from the trash.
        return Progressed("", True, IN_PROGRESS)

    async def _grown(self, place: Place, offset: int) -> Progressed | None:
        rows = await self._db.driver.fetch(_PIECES, *place, offset)
        if not rows:
            return None
        end, texts = offset, []
        for _, start, text in rows:
            if start is not None and start + len(text) > end:
                texts.append(text[end - start :])
                end = start + len(text)
        return Progressed("".join(texts), end < rows[0][0], IN_PROGRESS)

    async def stored(self, place: Place) -> int | None:
        """How far an answer in progress is on disk; None when it is in progress no more. One indexed read."""
        row = await self._db.driver.fetch_one(_ONE_STORED, *place)
        return None if row is None else row[0]

    async def beyond(self, places: Sequence[Place]) -> dict[Place, int]:
        """How far those of some answers that are in progress are on disk."""
        found: dict[Place, int] = {}
        for begin in range(0, len(places), MAX_GROUP):
            some = _PLACE.in_(places[begin : begin + MAX_GROUP])
            statement = select(
                col(StreamingMessage.user_id),
                col(StreamingMessage.chat_id),
                col(StreamingMessage.seq),
                col(StreamingMessage.stored),
            ).where(some)
            async with self._db.read() as session:
                rows = await session.execute(statement)
                found.update({(user, chat, seq): stored for user, chat, seq, stored in rows})
        return found

    async def write(self, group: Sequence[Growth]) -> list[Grown | Overtaken | Closed]:
        """Writes what a group of answers, at most MAX_GROUP, grew by in one transaction: an outcome for each.

        Raises what the driver raises; then nothing was stored, unless the connection broke at the commit.
        """
        async with self._db.write() as session:
            return await write(session, group)


_PLACE = tuple_(col(StreamingMessage.user_id), col(StreamingMessage.chat_id), col(StreamingMessage.seq))
_STORED = select(
    col(StreamingMessage.user_id),
    col(StreamingMessage.chat_id),
    col(StreamingMessage.seq),
    col(StreamingMessage.stored),
)
_HELD = (
    select(
        col(StreamingMessage.user_id),
        col(StreamingMessage.chat_id),
        col(StreamingMessage.seq),
        col(StreamingMessage.stored),
        col(StreamingMessage.lease_token),
        col(Chat.lease_token),
        col(Chat.lease_until),
    )
    .join(
        Chat,
        (col(Chat.user_id) == col(StreamingMessage.user_id)) & (col(Chat.chat_id) == col(StreamingMessage.chat_id)),
    )
    .where(col(Chat.deleted_at).is_(None))
    # In one order in every process, so that two that write the same answers do not wait for each other.
    .order_by(col(StreamingMessage.user_id), col(StreamingMessage.chat_id), col(StreamingMessage.seq))
)


async def write(session: AsyncSession, group: Sequence[Growth]) -> list[Grown | Overtaken | Closed]:
    """See AnswerStore.write; in a session's transaction."""
    places = [growth.place for growth in group]
    chats = sorted({growth.place[:2] for growth in group if growth.lease_token is not None})
    if chats:
        # Nobody takes a turn over between this look at it and our commit. Chats are locked before answers.
        owner = col(Chat.user_id), col(Chat.chat_id)
        turns = select(col(Chat.chat_id)).where(tuple_(*owner).in_(chats)).order_by(*owner)
        await session.execute(turns.with_for_update(read=True))
    locked = _HELD.where(_PLACE.in_(places)).with_for_update(of=StreamingMessage, key_share=True)
    rows = {(row[0], row[1], row[2]): row[3:] for row in await session.execute(locked)}
    at = now()
    outcomes: list[Grown | Overtaken | Closed] = []
    grown: list[dict[str, Any]] = []
    pieces: list[dict[str, Any]] = []
    for growth in group:
        row, (user_id, chat_id, seq) = rows.get(growth.place), growth.place
        if row is None or not _holds(*row[1:]):
            outcomes.append(Closed())
        elif growth.text and row[0] > growth.start:
            outcomes.append(Overtaken(await _between(session, growth.place, growth.start, row[0])))
        elif growth.text and row[0] < growth.start:
            # What we were told is on disk is not: as after a restore of the database.
            outcomes.append(Closed())
        else:
            end = max(row[0], growth.start + len(growth.text))
            grown.append({"of_user": user_id, "of_chat": chat_id, "of_seq": seq, "now_stored": end, "at": at})
            pieces += [
                {
                    "user_id": user_id,
                    "chat_id": chat_id,
                    "seq": seq,
                    "start": growth.start + begin,
                    "text": growth.text[begin : begin + MAX_PIECE],
                }
                for begin in range(0, len(growth.text), MAX_PIECE)
            ]
            outcomes.append(Grown())
    connection = await session.connection()
    if grown:
        await connection.execute(_GREW, grown)
    if pieces:
        await connection.execute(insert(_PIECE_ROWS), pieces)
    return outcomes


async def joined(session: AsyncSession, place: Place) -> str:
    """The text of an answer in progress, all that is on disk."""
    texts = select(col(Chunk.text)).where(*_of(Chunk, place)).order_by(col(Chunk.start))
    return "".join((await session.execute(texts)).scalars())


async def lock(session: AsyncSession, place: Place) -> StreamingMessage | None:
    """The row of an answer, if it is in progress, locked until the session's transaction ends."""
    statement = select(StreamingMessage).where(*_of(StreamingMessage, place)).with_for_update()
    answer: StreamingMessage | None = (await session.execute(statement)).scalar_one_or_none()
    return answer


async def close(session: AsyncSession, place: Place) -> None:
    """Deletes the row of an answer and its pieces."""
    for table in (Chunk, StreamingMessage):
        await session.execute(delete(table).where(*_of(table, place)))


def closed_because(status: str | None) -> str:
    """Why a message that is not in progress cannot be written to."""
    if status == "incomplete":
        return "Nothing was heard of this answer's writer for too long: it was marked incomplete, and is closed."
    return f"This message is {status or 'completed'}, not in progress: its text does not grow."


def leased(answer: StreamingMessage, chat: Chat) -> bool:
    """Whether an answer may be written to, as far as the lease goes that it was opened under."""
    return _holds(answer.lease_token, chat.lease_token, chat.lease_until)


def _holds(lease_token: int | None, held: int | None, until: Any) -> bool:
    if lease_token is None:
        return True
    return lease_token == held and until is not None and to_datetime(until) > now()


async def _between(session: AsyncSession, place: Place, begin: int, end: int) -> str:
    start = col(Chunk.start)
    first = select(func.max(start)).where(*_of(Chunk, place), start <= begin).scalar_subquery()
    pieces = select(start, col(Chunk.text)).where(*_of(Chunk, place), start >= first, start < end).order_by(start)
    return "".join(text[max(0, begin - at) : end - at] for at, text in await session.execute(pieces))


def _of(table: type[StreamingMessage] | type[Chunk], place: Place) -> tuple[Any, Any, Any]:
    return col(table.user_id) == place[0], col(table.chat_id) == place[1], col(table.seq) == place[2]
