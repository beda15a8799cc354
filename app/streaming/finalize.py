"""Finalizer: joins the chunks of a message in progress into its text, and gives it its final status."""

from datetime import timedelta

from sqlalchemy import select
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from app.chats.lease import lease_conflict
from app.chats.store import ChatStore
from app.db.database import Database
from app.db.timestamps import now
from app.events.counter_deltas import message_update_deltas
from app.events.events import MessageEdited
from app.http.errors import Conflict
from app.http.merge_patch import merge_patch
from app.http.references import ChatRef
from app.messages.edits import EditStore, message_as_json
from app.messages.queries import add_to_counters, find_message, tokens_of
from app.models import Chat, Message, StreamingMessage
from app.models.plain_text import plain_text
from app.streaming import queries
from app.streaming.queries import MessageLocation
from app.streaming.schemas import CompleteIn, FailIn
from app.streaming.store import IN_PROGRESS, closed_because

COMPLETED, FAILED, INCOMPLETE = "completed", "failed", "incomplete"
# Messages of silent writers that one query finds.
ABANDONED_PER_BATCH = 100


class Finalizer:
    """Finalizes messages, each in one transaction with all that follows from it: counters, version and event."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def finalize(
        self, session: AsyncSession, user_id: str, chat: str, message: str, body: CompleteIn | FailIn, status: str
    ) -> tuple[MessageLocation, bytes]:
        """Finalizes a message as its backend asks. Gives its location, and it as JSON. It is idempotent.

        Raises NotFound, and Conflict (409): with the lengths `received` and `stored` where text is missing, and where
        the message was finalized in another way.
        """
        chat_row = await ChatStore(self._db, user_id).find(session, ChatRef.parse(chat))
        message_row = await find_message(session, chat_row, message)
        location = (user_id, chat_row.chat_id, message_row.seq)
        if message_row.status != IN_PROGRESS:
            if message_row.status != status or not _is_result_of(message_row, body):
                raise Conflict(closed_because(message_row.status))
            return location, await message_as_json(session, chat_row, message_row.seq)
        streaming = await queries.lock(session, location)
        if streaming is None:
            raise Conflict(closed_because(message_row.status))
        if not queries.holds_lease(streaming.lease_token, chat_row.lease_token, chat_row.lease_until):
            raise lease_conflict(chat_row.lease_holder, chat_row.lease_until)
        if body.offset is not None and body.offset != streaming.stored:
            raise Conflict(
                f"The text has {streaming.stored} characters, not {body.offset}: go on from there.",
                extensions={"received": streaming.stored, "stored": streaming.stored},
            )
        await self._finalize(session, chat_row, message_row, status, body)
        return location, await message_as_json(session, chat_row, message_row.seq)

    async def find_abandoned(self, seconds: float) -> list[MessageLocation]:
        """Messages whose writers were silent for that long, one batch of them."""
        touched_at = col(StreamingMessage.touched_at)
        statement = select(*queries.LOCATION).where(touched_at < now() - timedelta(seconds=seconds))
        statement = statement.order_by(touched_at).limit(ABANDONED_PER_BATCH)
        async with self._db.read() as session:
            return [(row[0], row[1], row[2]) for row in await session.execute(statement)]

    async def mark_incomplete(self, location: MessageLocation, seconds: float) -> bool:
        """Finalizes a message as incomplete, unless its writer came back by now. Returns whether it did."""
        user_id, chat_id, seq = location
        async with self._db.write() as session:
            chats = select(Chat).where(col(Chat.user_id) == user_id, col(Chat.chat_id) == chat_id)
            chat = (await session.execute(chats.with_for_update(key_share=True))).scalar_one_or_none()
            streaming = await queries.lock(session, location) if chat is not None else None
            if chat is None or streaming is None or streaming.touched_at >= now() - timedelta(seconds=seconds):
                return False
            message = await find_message(session, chat, str(seq))
            await self._finalize(session, chat, message, INCOMPLETE, FailIn())
        return True

    async def _finalize(
        self, session: AsyncSession, chat: Chat, message: Message, status: str, body: CompleteIn | FailIn
    ) -> None:
        location = (message.user_id, message.chat_id, message.seq)
        text = await queries.load_text(session, location)
        await queries.delete_streaming(session, location)
        old, old_model = tokens_of(message), message.model
        fields = body.model_dump(exclude_unset=True, exclude={"offset"})
        if text and fields.get("content") is None:
            fields["content"] = text
        if "metadata" in fields:
            fields["metadata_"] = merge_patch(message.metadata_, fields.pop("metadata"))
        for name, value in fields.items():
            setattr(message, name, value)
        if message.content is None and not message.tool_calls and message.type == "message":
            message.content = ""
        message.status = status
        new = tokens_of(message)
        add_to_counters(chat, 0, (new[0] - old[0], new[1] - old[1], new[2] - old[2]))
        before, after = (message.role, old_model, old), (message.role, message.model, new)
        deltas = message_update_deltas(chat.platform, message.created_at, before, after)
        edited = MessageEdited(chat.chat_id, message.seq, message.message_id)
        await EditStore().record_changes(session, chat, edited, deltas=deltas)


def _is_result_of(message: Message, body: CompleteIn | FailIn) -> bool:
    """Whether a final message is what finalizing it with `body` results in."""
    fields = body.model_dump(exclude_unset=True)
    offset = fields.pop("offset", None)
    metadata = fields.pop("metadata", None)
    if fields.get("content") is None:
        fields.pop("content", None)
        if offset is not None and offset != len(plain_text(message.content)):
            return False
    if metadata is not None and merge_patch(message.metadata_, metadata) != (message.metadata_ or {}):
        return False
    return all(getattr(message, name) == value for name, value in fields.items())
