"""The store of chats: creates, lists, changes and deletes the chats of one user."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm.attributes import flag_modified
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from app.chats.listing import ChatListing, ListSql
from app.chats.postgres import PostgresListSql
from app.chats.schemas import EMPTY_DETAILS, ChatDetails, ChatPatch
from app.chats.serialize import COLUMNS, etag_of, row_of
from app.chats.sqlite import SqliteListSql
from app.db.database import Database
from app.db.driver import Row
from app.db.timestamps import now
from app.events.counter_deltas import CounterDelta, all_message_deltas, chat_delta, platform_deltas, shrunk_deltas
from app.events.events import (
    ChatCreated,
    ChatDeleted,
    ChatErased,
    ChatEvent,
    ChatRestored,
    ChatUpdated,
)
from app.events.log import append_events
from app.http.conditional import require_match
from app.http.errors import Conflict, NotFound
from app.http.merge_patch import merge_patch
from app.http.references import ChatRef
from app.models import Chat
from app.models.registry import Owner, owned_tables

_GET = f"SELECT {COLUMNS} FROM chats WHERE user_id = $1 AND {{}} = $2 AND deleted_at IS NULL"


class ChatStore:
    """The chats of one user. Methods that take a session work in its transaction; the others read on the driver."""

    def __init__(self, db: Database, user_id: str) -> None:
        self._db = db
        self._user_id = user_id

    @property
    def list_sql(self) -> ListSql:
        """What differs between databases in the SQL of a list."""
        return SqliteListSql() if self._db.kind == "sqlite" else PostgresListSql()

    async def get(self, ref: ChatRef) -> Row:
        """A chat's row. Raises NotFound."""
        by, chat = ref.column
        row = await self._db.driver.fetch_one(_GET.format(by), self._user_id, chat)
        if row is None:
            raise NotFound
        return row

    async def page(self, listing: ChatListing, limit: int) -> tuple[Sequence[Row], str | None]:
        """At most `limit` rows of a list, and the cursor for what follows. Raises InvalidCursor (400)."""
        statement, arguments = listing.page()
        rows = await self._db.driver.fetch(statement, *arguments)
        if len(rows) <= limit:
            return rows, None
        return rows[:limit], listing.cursor_after(rows[limit - 1])

    async def count(self, listing: ChatListing) -> int:
        """How many chats a list has in all."""
        statement, arguments = listing.total()
        row = await self._db.driver.fetch_one(statement, *arguments)
        assert row is not None
        count: int = row[0]
        return count

    async def create(self, session: AsyncSession, chat_id: str, details: ChatDetails) -> Chat:
        """A new chat, recorded. Raises Conflict (409) when its key is taken."""
        chat = await self.add(session, chat_id, details)
        await append_events(session, self._user_id, ChatCreated(chat_id), deltas=[chat_delta(chat, 1, 1, 0)])
        return chat

    async def add(self, session: AsyncSession, chat_id: str, details: ChatDetails) -> Chat:
        """A new chat, to be recorded by the caller. Raises Conflict (409) when its key is taken."""
        at = now()
        chat = Chat(
            user_id=self._user_id, chat_id=chat_id, created_at=at, updated_at=at, last_activity_at=at, listed_at=at
        )
        _set_details(chat, details.model_dump())
        session.add(chat)
        await _flush(session)
        return chat

    async def replace(self, session: AsyncSession, chat: Chat, details: ChatDetails) -> None:
        """Replaces a chat's details by others; its key stays unless another is given. Raises Conflict (409)."""
        fields, platform = details.model_dump(), chat.platform
        if details.key is None:
            del fields["key"]
        _set_details(chat, fields)
        await self.touch(session, chat, deltas=platform_deltas(chat, platform))

    async def patch(self, session: AsyncSession, chat: Chat, patch: ChatPatch) -> None:
        """Merges a patch into a chat's details. Raises Conflict (409) when its new key is taken."""
        changes = patch.model_dump(exclude_unset=True)
        if "metadata" in changes:
            changes["metadata"] = merge_patch(chat.metadata_, changes["metadata"]) if changes["metadata"] else {}
        changes |= {name: empty for name, empty in EMPTY_DETAILS.items() if name in changes and changes[name] is None}
        platform = chat.platform
        _set_details(chat, changes)
        await self.touch(session, chat, deltas=platform_deltas(chat, platform))

    async def find(
        self, session: AsyncSession, ref: ChatRef, *, deleted: bool | None = False, lock: bool = True
    ) -> Chat:
        """A chat, locked: nobody else changes it before the session ends.

        `deleted` says whether it is in the trash; with None it may be anywhere. Raises NotFound.
        """
        statement = select(Chat).where(col(Chat.user_id) == self._user_id)
        if lock:
            statement = statement.with_for_update(key_share=True)
        if ref.key is not None:
            statement = statement.where(col(Chat.key) == ref.key).order_by(col(Chat.deleted_at).desc().nulls_first())
        else:
            statement = statement.where(col(Chat.chat_id) == ref.chat_id)
        if deleted is not None:
            deleted_at = col(Chat.deleted_at)
            statement = statement.where(deleted_at.is_not(None) if deleted else deleted_at.is_(None))
        chat: Chat | None = (await session.execute(statement.limit(1))).scalar_one_or_none()
        if chat is None:
            raise NotFound
        return chat

    async def touch(
        self,
        session: AsyncSession,
        chat: Chat,
        event: type[ChatEvent] = ChatUpdated,
        deltas: Sequence[CounterDelta] = (),
    ) -> None:
        """Marks a chat's details as changed, writes them and records it. Raises Conflict (409)."""
        chat.updated_at = now()
        chat.version += 1
        await _flush(session)
        await append_events(session, self._user_id, event(chat.chat_id), deltas=deltas)

    async def delete(self, session: AsyncSession, chat: Chat) -> None:
        """Puts a chat into the trash."""
        chat.deleted_at = now()
        await self.touch(session, chat, ChatDeleted, [chat_delta(chat, 0, -1, 1)])

    async def restore(self, session: AsyncSession, chat: Chat) -> None:
        """Takes a chat out of the trash. Raises Conflict (409) when another chat has its key by now."""
        chat.deleted_at = None
        if chat.expires_at is not None and chat.expires_at <= now():
            chat.expires_at = None
        await self.touch(session, chat, ChatRestored, [chat_delta(chat, 0, 1, -1)])

    async def erase(self, session: AsyncSession, chat: Chat) -> None:
        """Deletes a chat for good, with its messages and the responses kept for retries, which repeat them."""
        states = (-1, 0) if chat.deleted_at is None else (0, -1)
        deltas = [chat_delta(chat, -1, *states), *await all_message_deltas(session, chat, -1)]
        deltas += shrunk_deltas(chat.message_count)
        await delete_rows(session, chat, "message", "messages", "chat")
        await session.execute(delete(Chat).where(col(Chat.user_id) == self._user_id, col(Chat.chat_id) == chat.chat_id))
        await append_events(session, self._user_id, ChatErased(chat.chat_id), deltas=deltas)


async def delete_rows(session: AsyncSession, chat: Chat, *owners: Owner, seq: int | None = None) -> None:
    """Deletes the rows that go with these parts of a chat, or with the message `seq`, see `app.models.registry`.

    Those that the database deletes with a message or the chat are left to it.
    """
    for owned in owned_tables(*owners):
        if owned.cascades and (owned.owner == "message" or "chat" in owners):
            continue
        columns = owned.table.columns
        statement = delete(owned.table).where(columns.user_id == chat.user_id, columns.chat_id == chat.chat_id)
        await session.execute(statement if seq is None else statement.where(columns.seq == seq))


def check_version(chat: Chat, if_match: str | None) -> None:
    """Raises PreconditionFailed (412) where `If-Match` names another version of the chat than there is."""
    require_match(if_match, etag_of(row_of(chat)))


def _set_details(chat: Chat, details: dict[str, Any]) -> None:
    for name, value in details.items():
        if name == "is_archived":
            # One that is archived keeps since when.
            chat.archived_at = (chat.archived_at or now()) if value else None
            continue
        column = "metadata_" if name == "metadata" else name
        setattr(chat, column, value)
        if name == "metadata":
            # SQLAlchemy would leave out what is equal to Python, such as a true in the place of a 1.
            flag_modified(chat, column)


async def _flush(session: AsyncSession) -> None:
    try:
        await session.flush()
    except IntegrityError:
        raise Conflict("Another chat of yours has this key.") from None
