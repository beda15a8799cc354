"""The store of messages: the SQL of what a chat holds, always within one user's rows."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import JSON, Integer, bindparam, delete, func, insert, select, text, update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession
from uuid_utils import uuid7

from app.chats.ref import ChatRef, is_uuid
from app.chats.rows import etag
from app.chats.store import merged
from app.db.database import Database
from app.db.driver import Row
from app.db.types import Id, now
from app.errors import NotFound, Unprocessable
from app.idempotency import Once
from app.messages.cache import HistoryCache, HistoryPage
from app.messages.draft import Draft, counted, draft, plain_text, totals
from app.messages.history import cursor_after, history
from app.messages.rows import EXTRAS, FIELDS, SESSION_COLUMNS, dumps, message_fields, message_json
from app.messages.schemas import HistoryQuery, MessageIn, MessagePatch
from app.messages.writer import Append, Appended, NoSuchChat, Repeated, Writer
from app.models import Chat, Message

_VERSION_BY_ID = "SELECT chat_id, version FROM chats WHERE user_id = $1 AND chat_id = $2 AND deleted_at IS NULL"
_VERSION_BY_KEY = "SELECT chat_id, version FROM chats WHERE user_id = $1 AND key = $2 AND deleted_at IS NULL"
_ONE = (
    f"SELECT {', '.join('m.' + name for name in FIELDS)}, m.chat_id "
    "FROM chats c JOIN messages m ON m.user_id = c.user_id AND m.chat_id = c.chat_id "
    "WHERE c.user_id = $1 AND c.{} = $2 AND c.deleted_at IS NULL AND m.{} = $3"
)
_OWN = f"SELECT {SESSION_COLUMNS} FROM messages WHERE user_id = :user AND chat_id = :chat"
_ALL = text(f"{_OWN} ORDER BY seq").bindparams(bindparam("chat", type_=Id()))
_BY_SEQ = text(f"{_OWN} AND seq = :seq").bindparams(bindparam("chat", type_=Id()), bindparam("seq", type_=Integer()))
MAX_SEQ = 2**31 - 1


class MessageStore:
    """The messages of one user's chats. Methods that take a session and a chat work in its transaction."""

    def __init__(self, db: Database, user_id: str, writer: Writer, cache: HistoryCache) -> None:
        self._db = db
        self._user_id = user_id
        self._writer = writer
        self._cache = cache

    async def append(
        self, ref: ChatRef, messages: Sequence[MessageIn], once: Once | None
    ) -> tuple[Appended | Repeated, Sequence[Draft]]:
        """Appends messages together to the active branch; a chat named by a key is created when it is not there.

        Gives what happened, and the drafts with what the messages will be read back as.
        Raises NotFound, Overloaded (503) and StorageFull (507).
        """
        at = now()
        drafts = [draft(message, at) for message in messages]
        new_chat_id = str(uuid7()) if ref.key is not None else None
        outcome = await self._writer.append(Append(self._user_id, ref.chat_id, ref.key, new_chat_id, drafts, once, at))
        if isinstance(outcome, NoSuchChat):
            raise NotFound
        return outcome, drafts

    async def history(self, ref: ChatRef, query: HistoryQuery, asked: bytes) -> HistoryPage:
        """A page of a chat's messages. `asked` is the query as text, under which the page is remembered.

        What is remembered is answered after one read by primary key says that the chat is still at its version.
        Raises NotFound and InvalidCursor (400).
        """
        name = ref.chat_id or f"key:{ref.key}"
        remembered_as = (self._user_id, name, asked)
        chat_id = ref.chat_id
        page = self._cache.get(remembered_as)
        if page is not None or chat_id is None:
            chat_id, version = await self._version(ref)
            if page is not None and page.etag == etag(chat_id, version):
                return page
        window = history(self._user_id, name, query)
        rows = await self._db.driver.fetch(window.statement, self._user_id, chat_id, *window.arguments)
        if not rows:
            raise NotFound
        tag = etag(chat_id, rows[0][-1])
        next_cursor = None
        if len(rows) > window.limit:
            rows = rows[: window.limit]
            next_cursor = cursor_after(self._user_id, name, query, rows[-1][1])
        items = [message_fields(row, chat_id) for row in rows if row[0] is not None]
        page = HistoryPage(tag, dumps({"items": items, "next_cursor": next_cursor}), next_cursor)
        self._cache.put(remembered_as, page)
        return page

    async def _version(self, ref: ChatRef) -> tuple[str, int]:
        if ref.key is not None:
            row = await self._db.driver.fetch_one(_VERSION_BY_KEY, self._user_id, ref.key)
        else:
            row = await self._db.driver.fetch_one(_VERSION_BY_ID, self._user_id, ref.chat_id)
        if row is None:
            raise NotFound
        return str(row[0]), row[1]

    async def get(self, ref: ChatRef, message: str) -> bytes:
        """A message as JSON, by `message_id` or `seq`. Raises NotFound."""
        column, value = _named(message)
        by, chat = ("key", ref.key) if ref.key is not None else ("chat_id", ref.chat_id)
        row = await self._db.driver.fetch_one(_ONE.format(by, column), self._user_id, chat, value)
        if row is None:
            raise NotFound
        return message_json(row, str(row[-1]))

    async def all_json(self, session: AsyncSession, chat: Chat) -> list[bytes]:
        """Every message of a chat as JSON, in order."""
        rows = await session.execute(_ALL.bindparams(user=self._user_id, chat=chat.chat_id))
        return [message_json(row, chat.chat_id) for row in rows]

    async def insert(self, session: AsyncSession, chat: Chat, messages: Sequence[MessageIn]) -> None:
        """Adds messages to a chat that this session has to itself."""
        if not messages:
            return
        at = now()
        drafts = [draft(message, at) for message in messages]
        rows = []
        for one in drafts:
            chat.last_seq += 1
            rows.append(_values(one) | {"seq": chat.last_seq, "parent_seq": chat.head_seq, "branch": chat.branch})
            chat.head_seq = chat.last_seq
        owner = {"user_id": chat.user_id, "chat_id": chat.chat_id}
        await session.flush()
        await session.execute(insert(Message), [owner | row for row in rows])
        _count(chat, len(drafts), totals(drafts))

    async def edit(self, session: AsyncSession, chat: Chat, message: str, patch: MessagePatch) -> bytes:
        """Changes a message in place and gives it as JSON. Raises NotFound and Unprocessable (422)."""
        found = await self._find(session, chat, message)
        before = counted(found.tokens, found.input_tokens, found.output_tokens)
        changes = patch.model_dump(exclude_unset=True)
        if "metadata" in changes:
            changes["metadata_"] = merged(found.metadata_, changes.pop("metadata"))
        for name, value in changes.items():
            setattr(found, name, value)
        silenced = found.content is None and not found.tool_calls and changes.keys() & {"content", "tool_calls"}
        if found.type == "message" and silenced:
            raise Unprocessable("A message needs content, or tool_calls, or a type of its own.")
        if "content" in changes:
            found.text = plain_text(found.content)
        found.edited_at = now()
        after = counted(found.tokens, found.input_tokens, found.output_tokens)
        _count(chat, 0, (after[0] - before[0], after[1] - before[1], after[2] - before[2]))
        self._changed(chat)
        await session.flush()
        return await self._json(session, chat, found.seq)

    async def delete(self, session: AsyncSession, chat: Chat, message: str) -> None:
        """Deletes a message; what answered it now answers what it had answered. Raises NotFound."""
        await self._remove(session, chat, await self._find(session, chat, message))

    async def pop(self, session: AsyncSession, chat: Chat) -> bytes | None:
        """Takes the last message of the active branch off and gives it as JSON; None when there is none."""
        if chat.head_seq is None:
            return None
        last = await self._find(session, chat, str(chat.head_seq))
        body = await self._json(session, chat, last.seq)
        await self._remove(session, chat, last)
        return body

    async def clear(self, session: AsyncSession, chat: Chat) -> None:
        """Deletes every message of a chat."""
        await session.execute(delete(Message).where(self._of(chat)))
        chat.message_count = chat.input_tokens = chat.output_tokens = chat.total_tokens = 0
        chat.head_seq = None
        self._changed(chat)

    def _of(self, chat: Chat) -> Any:
        return (col(Message.user_id) == self._user_id) & (col(Message.chat_id) == chat.chat_id)

    async def _find(self, session: AsyncSession, chat: Chat, message: str) -> Message:
        column, value = _named(message)
        statement = select(Message).where(self._of(chat), getattr(Message, column) == value)
        found: Message | None = (await session.execute(statement)).scalar_one_or_none()
        if found is None:
            raise NotFound
        return found

    async def _json(self, session: AsyncSession, chat: Chat, seq: int) -> bytes:
        statement = _BY_SEQ.bindparams(user=self._user_id, chat=chat.chat_id, seq=seq)
        row: Row = (await session.execute(statement)).one()
        return message_json(row, chat.chat_id)

    async def _remove(self, session: AsyncSession, chat: Chat, message: Message) -> None:
        follower = (
            select(func.min(col(Message.seq))).where(self._of(chat), col(Message.seq) > message.seq).scalar_subquery()
        )
        await session.execute(
            update(Message)
            .where(self._of(chat), col(Message.seq) == follower, col(Message.parent_seq) == message.seq)
            .values(parent_seq=message.parent_seq)
            .execution_options(synchronize_session=False)
        )
        await session.execute(delete(Message).where(self._of(chat), col(Message.seq) == message.seq))
        if chat.head_seq == message.seq:
            chat.head_seq = message.parent_seq
        tokens = counted(message.tokens, message.input_tokens, message.output_tokens)
        _count(chat, -1, (-tokens[0], -tokens[1], -tokens[2]))
        self._changed(chat)

    def _changed(self, chat: Chat) -> None:
        chat.version += 1
        chat.last_activity_at = max(chat.last_activity_at, now())


def _named(message: str) -> tuple[str, Any]:
    if message.isascii() and message.isdigit() and len(message) <= 10 and int(message) <= MAX_SEQ:
        return "seq", int(message)
    if is_uuid(message):
        return "message_id", message.lower()
    raise NotFound


def _count(chat: Chat, messages: int, tokens: tuple[int, int, int]) -> None:
    chat.message_count += messages
    chat.input_tokens += tokens[0]
    chat.output_tokens += tokens[1]
    chat.total_tokens += tokens[2]


def _values(one: Draft) -> dict[str, Any]:
    """A draft as column values for SQLAlchemy; for one `insert` each has the same names."""
    said = one.public
    content = said.get("content")
    return {
        "message_id": one.message_id,
        "role": one.role,
        "type": one.type,
        "content": JSON.NULL if content is None and "content" in said else content,
        "text": one.text,
        "created_at": one.created_at,
    } | {"metadata_" if name == "metadata" else name: one.extras.get(name) for name in EXTRAS}
