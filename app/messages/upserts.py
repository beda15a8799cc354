"""Upserts: new messages of which the chat may have some already, by their keys: those are left or replaced."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from app.http.errors import Conflict, NotFound, Unprocessable
from app.messages.append.new_message import NewMessage
from app.messages.edits import EditStore, messages_as_json
from app.messages.queries import find_message, in_chat
from app.messages.schemas import OnConflict
from app.messages.store import MessageStore
from app.models import Chat, Message


@dataclass(frozen=True, slots=True)
class Upserted:
    """The messages as they are now, as JSON and in the order of the request, and whether any of them is new."""

    messages: Sequence[bytes]
    appended: bool


class UpsertStore:
    """Puts messages into a chat that a session has to itself, whose lease and version the caller has looked at."""

    def __init__(self, store: MessageStore) -> None:
        self._store = store

    async def upsert(
        self,
        session: AsyncSession,
        chat: Chat,
        new_messages: Sequence[NewMessage],
        on_conflict: OnConflict | None,
        parent: str | None = None,
    ) -> Upserted:
        """Appends messages together, but for those whose keys the chat has: these are left as they are, or replaced.

        `parent` is as in `MessageStore.append`. Where a single message is replaced, it must follow that already.
        Raises KeyConflict (409) where `on_conflict` is None, Conflict (409) for a message in progress or of another
        parent, and Unprocessable (422) for no parent.
        """
        there = {} if on_conflict is None else await _by_key(session, chat, new_messages)
        replacements = [(there[key], message) for message in new_messages if (key := message.key) in there]
        others = [message for message in new_messages if message.key not in there]
        if on_conflict == "replace":
            if len(new_messages) == 1 and replacements:
                await check_parent(session, chat, replacements[0][0], parent)
            await EditStore().replace(session, chat, replacements)
        first_seq = 0
        if others:
            first_seq = (await self._store.append_new_in(session, chat, others, parent)).first_seq
        seqs = {message.message_id: first_seq + index for index, message in enumerate(others)}
        seqs |= {message.message_id: row.seq for row, message in replacements}
        bodies = await messages_as_json(session, chat, [seqs[message.message_id] for message in new_messages])
        return Upserted(bodies, bool(others))


async def check_parent(session: AsyncSession, chat: Chat, message: Message, parent: str | None) -> None:
    """Raises Conflict (409) where a message does not follow the parent that a request names ("" for none)."""
    if parent is None:
        return
    try:
        parent_seq = (await find_message(session, chat, parent)).seq if parent else None
    except NotFound:
        raise Unprocessable("The parent is no message of this chat.") from None
    if parent_seq != message.parent_seq:
        raise Conflict("This message is there already, and follows another one than this parent.")


async def _by_key(session: AsyncSession, chat: Chat, new_messages: Sequence[NewMessage]) -> dict[str | None, Message]:
    """The messages of a chat that have keys of new ones, by these."""
    keys = [message.key for message in new_messages if message.key is not None]
    statement = select(Message).where(in_chat(chat), col(Message.key).in_(keys), col(Message.key).is_not(None))
    return {message.key: message for message in (await session.execute(statement)).scalars()}
