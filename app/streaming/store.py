"""Store of messages in progress: their text is kept in chunks, until it becomes that of the completed message."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import insert, select, tuple_
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from app.chats.lease import lease_conflict
from app.db.database import Database
from app.db.driver import Row
from app.db.timestamps import now
from app.http.errors import Conflict, NotFound
from app.http.references import ChatRef
from app.messages.queries import parse_message_ref
from app.models import Chat, StreamingMessage
from app.streaming import queries
from app.streaming.queries import MessageLocation

IN_PROGRESS = "in_progress"
# Messages written in one transaction.
MAX_GROUP = 200


class WritableMessage(NamedTuple):
    """A message in progress: how much of its text is on disk, and the token of the lease it was opened under."""

    location: MessageLocation
    stored: int
    lease_token: int | None


class TextWrite(NamedTuple):
    """Text to store after a message's first `start` characters. An empty one tells that its writer is alive."""

    location: MessageLocation
    start: int
    text: str
    lease_token: int | None


@dataclass(frozen=True, slots=True)
class Stored:
    """Outcome: the text is on disk."""


class Overtaken(NamedTuple):
    """Outcome: another process has stored `text` after `start` meanwhile, and nothing was stored."""

    text: str


@dataclass(frozen=True, slots=True)
class Closed:
    """Outcome: the message is complete or gone, or its lease is lost. `StreamingMessageStore.find` tells which."""


class TextPage(NamedTuple):
    """Text of a message from an offset on, whether there is more of it on disk, and the status of the message."""

    text: str
    has_more: bool
    status: str | None


_Locked = dict[MessageLocation, Sequence[Any]]
"""Of messages that are locked: how much is stored, the token of the lease they were opened under, and the chat's."""


class StreamingMessageStore:
    """The messages in progress of every user. Each call names the user, and every query filters by it."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def find(self, user_id: str, chat: str, message: str) -> WritableMessage:
        """A message to be written to, by the segments of its path.

        Raises NotFound, and Conflict (409) when it is not in progress or its lease is lost.
        """
        chat_id, seq, status, stored, lease_token, *chat_lease, holder = await self._find(user_id, chat, message)
        if status != IN_PROGRESS or stored is None:
            raise Conflict(closed_because(status))
        if not queries.holds_lease(lease_token, *chat_lease):
            raise lease_conflict(holder, chat_lease[1])
        return WritableMessage((user_id, chat_id, seq), stored, lease_token)

    async def locate(self, user_id: str, chat: str, message: str) -> MessageLocation:
        """The location of a message, whatever its status, by the segments of its path. Raises NotFound."""
        row = await self._find(user_id, chat, message)
        return user_id, row[0], row[1]

    async def _find(self, user_id: str, chat: str, message: str) -> Row:
        chat_column, chat_value = ChatRef.parse(chat).column
        message_column, message_value = parse_message_ref(message)
        statement = queries.FIND.format(chat_column, message_column)
        row = await self._db.driver.fetch_one(statement, user_id, chat_value, message_value)
        if row is None:
            raise NotFound
        return row

    async def read(self, location: MessageLocation, offset: int) -> TextPage | None:
        """The text on disk from `offset` on, a bounded part of it. None when the message, or its chat, is gone."""
        for _ in range(3):
            page = await self._read_chunks(location, offset)
            if page is not None:
                return page
            row = await self._db.driver.fetch_one(queries.message_text(self._db.kind), *location, offset + 1)
            if row is None:
                return None
            status, length, text = row
            if status != IN_PROGRESS:
                return TextPage(text, length > offset + len(text), status)
            # It was opened, or its chat restored, between the two queries.
        return TextPage("", True, IN_PROGRESS)

    async def _read_chunks(self, location: MessageLocation, offset: int) -> TextPage | None:
        rows = await self._db.driver.fetch(queries.CHUNKS, *location, offset)
        if not rows:
            return None
        end, texts = offset, []
        for _, start, text in rows:
            if start is not None and start + len(text) > end:
                texts.append(text[end - start :])
                end = start + len(text)
        return TextPage("".join(texts), end < rows[0][0], IN_PROGRESS)

    async def stored_length(self, location: MessageLocation) -> int | None:
        """How much of a message's text is on disk, in characters; None when it is not in progress. One indexed read."""
        row = await self._db.driver.fetch_one(queries.STORED_LENGTH, *location)
        return None if row is None else row[0]

    async def stored_lengths(self, locations: Sequence[MessageLocation]) -> dict[MessageLocation, int]:
        """The same for many messages, without those that are not in progress."""
        lengths: dict[MessageLocation, int] = {}
        for begin in range(0, len(locations), MAX_GROUP):
            group = locations[begin : begin + MAX_GROUP]
            async with self._db.read() as session:
                rows = await session.execute(queries.STORED_LENGTHS.where(queries.AT_LOCATION.in_(group)))
                lengths.update({(user_id, chat_id, seq): stored for user_id, chat_id, seq, stored in rows})
        return lengths

    def stored_together(self, location: MessageLocation) -> str:
        """Which messages may be in one group with this one: those with the same. On Citus those of its user."""
        return location[0] if self._db.citus else ""

    async def write(self, group: Sequence[TextWrite]) -> list[Stored | Overtaken | Closed]:
        """Stores the text of a group of messages, at most MAX_GROUP, in one transaction. Gives an outcome for each.

        Raises what the driver raises; then nothing was stored, unless the connection broke at the commit.
        """
        lock = _lock_of_one_user if self._db.citus else _lock
        async with self._db.write() as session:
            return await _write(session, group, await lock(session, group))


async def _lock(session: AsyncSession, group: Sequence[TextWrite]) -> _Locked:
    """Locks the messages of a group, and the chats under whose lease they are written."""
    if leased_chats := _leased_chats(group):
        # Nobody can take over a lease between this read and our commit. Chats are locked before messages.
        key = col(Chat.user_id), col(Chat.chat_id)
        chats = select(col(Chat.chat_id)).where(tuple_(*key).in_(leased_chats)).order_by(*key)
        await session.execute(chats.with_for_update(read=True))
    statement = queries.STORED_AND_LEASE.where(queries.AT_LOCATION.in_([write.location for write in group]))
    statement = statement.with_for_update(of=StreamingMessage, key_share=True)
    return {(row[0], row[1], row[2]): row[3:] for row in await session.execute(statement)}


async def _lock_of_one_user(session: AsyncSession, group: Sequence[TextWrite]) -> _Locked:
    """The same for messages of one user, as Citus locks rows: of one table, and one after the other."""
    for user_id, chat_id in _leased_chats(group):
        chat = select(col(Chat.chat_id)).where(col(Chat.user_id) == user_id, col(Chat.chat_id) == chat_id)
        await session.execute(chat.with_for_update(read=True))
    found: _Locked = {}
    for location in sorted(write.location for write in group):
        if (streaming := await queries.lock(session, location)) is not None:
            chats = select(col(Chat.lease_token), col(Chat.lease_until)).where(
                col(Chat.user_id) == location[0], col(Chat.chat_id) == location[1], col(Chat.deleted_at).is_(None)
            )
            if (lease := (await session.execute(chats)).one_or_none()) is not None:
                found[location] = (streaming.stored, streaming.lease_token, *lease)
    return found


def _leased_chats(group: Sequence[TextWrite]) -> list[tuple[str, str]]:
    return sorted({write.location[:2] for write in group if write.lease_token is not None})


async def _write(session: AsyncSession, group: Sequence[TextWrite], rows: _Locked) -> list[Stored | Overtaken | Closed]:
    at = now()
    outcomes: list[Stored | Overtaken | Closed] = []
    updates: list[dict[str, Any]] = []
    chunks: list[dict[str, Any]] = []
    for write in group:
        row, (user_id, chat_id, seq) = rows.get(write.location), write.location
        if row is None or not queries.holds_lease(*row[1:]):
            outcomes.append(Closed())
        elif write.text and row[0] > write.start:
            text = await queries.load_text_between(session, write.location, write.start, row[0])
            outcomes.append(Overtaken(text))
        elif write.text and row[0] < write.start:
            # Text that we believe to be on disk is not there, as after a restore of the database.
            outcomes.append(Closed())
        else:
            end = max(row[0], write.start + len(write.text))
            updates.append({"of_user": user_id, "of_chat": chat_id, "of_seq": seq, "now_stored": end, "at": at})
            chunks += [
                {
                    "user_id": user_id,
                    "chat_id": chat_id,
                    "seq": seq,
                    "start": write.start + begin,
                    "text": write.text[begin : begin + queries.MAX_CHUNK_LENGTH],
                }
                for begin in range(0, len(write.text), queries.MAX_CHUNK_LENGTH)
            ]
            outcomes.append(Stored())
    connection = await session.connection()
    if updates:
        await connection.execute(queries.SET_STORED_LENGTH, updates)
    if chunks:
        await connection.execute(insert(queries.CHUNK_TABLE), chunks)
    return outcomes


def closed_because(status: str | None) -> str:
    """Why a message that is not in progress cannot be written to: the detail of the error."""
    if status == "incomplete":
        return "Nothing was heard of this answer's writer for too long: it was marked incomplete, and is closed."
    return f"This message is {status or 'completed'}, not in progress: its text does not grow."
