"""The end of an answer: its text is joined into its message, which is completed, failed or incomplete from then on."""

from datetime import timedelta

from sqlalchemy import select
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from app.chats.lease import lease_conflict
from app.chats.store import ChatStore
from app.db.database import Database
from app.db.timestamps import now
from app.events.counter_deltas import of_change
from app.http.errors import Conflict
from app.http.merge_patch import merge_patch
from app.http.references import ChatRef
from app.messages.append.new_message import plain_text
from app.messages.edits import EditStore, message_as_json
from app.messages.queries import add_to_counters, find_message, tokens_of
from app.models import Chat, Message, StreamingMessage
from app.streaming.schemas import CompleteIn, FailIn
from app.streaming.store import IN_PROGRESS, Place, close, closed_because, joined, leased, lock

COMPLETED, FAILED, INCOMPLETE = "completed", "failed", "incomplete"
# Answers found at once whose writers fell silent.
ABANDONED = 100


class Endings:
    """Ends answers, each in one transaction with all that belongs to it: message, counters, version and feed."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def end(
        self, session: AsyncSession, user_id: str, chat: str, message: str, said: CompleteIn | FailIn, status: str
    ) -> tuple[Place, bytes]:
        """Ends an answer as its backend says, and gives its place and its message as JSON. Twice does no harm.

        Raises NotFound, and Conflict (409): with the lengths `received` and `stored` where the text is not all there,
        and where it has ended otherwise.
        """
        found = await ChatStore(self._db, user_id).find(session, ChatRef.parse(chat))
        message_row = await find_message(session, found, message)
        place = (user_id, found.chat_id, message_row.seq)
        if message_row.status != IN_PROGRESS:
            if message_row.status != status or not _says(message_row, said):
                raise Conflict(closed_because(message_row.status))
            return place, await message_as_json(session, found, message_row.seq)
        answer = await lock(session, place)
        if answer is None:
            raise Conflict(closed_because(message_row.status))
        if not leased(answer, found):
            raise lease_conflict(found.lease_holder, found.lease_until)
        if said.offset is not None and said.offset != answer.stored:
            raise Conflict(
                f"The text has {answer.stored} characters, not {said.offset}: go on from there.",
                extensions={"received": answer.stored, "stored": answer.stored},
            )
        await self._finish(session, found, message_row, status, said)
        return place, await message_as_json(session, found, message_row.seq)

    async def abandoned(self, seconds: float) -> list[Place]:
        """Answers whose writers were not heard of for so long; not all of them when they are many."""
        touched = col(StreamingMessage.touched_at)
        statement = (
            select(col(StreamingMessage.user_id), col(StreamingMessage.chat_id), col(StreamingMessage.seq))
            .where(touched < now() - timedelta(seconds=seconds))
            .order_by(touched)
            .limit(ABANDONED)
        )
        async with self._db.read() as session:
            return [(row[0], row[1], row[2]) for row in await session.execute(statement)]

    async def abandon(self, place: Place, seconds: float) -> bool:
        """Marks an answer as incomplete, unless its writer was heard of by now. Says whether it did."""
        user_id, chat_id, seq = place
        async with self._db.write() as session:
            chats = select(Chat).where(col(Chat.user_id) == user_id, col(Chat.chat_id) == chat_id)
            chat = (await session.execute(chats.with_for_update(key_share=True))).scalar_one_or_none()
            answer = await lock(session, place) if chat is not None else None
            if chat is None or answer is None or answer.touched_at >= now() - timedelta(seconds=seconds):
                return False
            message = await find_message(session, chat, str(seq))
            await self._finish(session, chat, message, INCOMPLETE, FailIn())
        return True

    async def _finish(
        self, session: AsyncSession, chat: Chat, message: Message, status: str, said: CompleteIn | FailIn
    ) -> None:
        place = (message.user_id, message.chat_id, message.seq)
        text = await joined(session, place)
        await close(session, place)
        before, model = tokens_of(message), message.model
        changes = said.model_dump(exclude_unset=True, exclude={"offset"})
        if text and changes.get("content") is None:
            changes["content"] = text
        if "metadata" in changes:
            changes["metadata_"] = merge_patch(message.metadata_, changes.pop("metadata"))
        for name, value in changes.items():
            setattr(message, name, value)
        silent = message.content is None and not message.tool_calls and message.type == "message"
        if silent:
            message.content = ""
        message.text = plain_text(message.content)
        message.status = status
        after = tokens_of(message)
        add_to_counters(chat, 0, (after[0] - before[0], after[1] - before[1], after[2] - before[2]))
        counts = of_change(chat.platform, message.created_at, message.role, (model, before), (message.model, after))
        edited = ["edited", chat.chat_id, message.seq, message.message_id]
        await EditStore().record_changes(session, chat, edited, counts=counts)


def _says(message: Message, said: CompleteIn | FailIn) -> bool:
    """Whether a message is what ending it so would make of it."""
    changes = said.model_dump(exclude_unset=True)
    offset = changes.pop("offset", None)
    metadata = changes.pop("metadata", None)
    if changes.get("content") is None:
        changes.pop("content", None)
        if offset is not None and offset != len(message.text):
            return False
    if metadata is not None and merge_patch(message.metadata_, metadata) != (message.metadata_ or {}):
        return False
    return all(getattr(message, name) == value for name, value in changes.items())
