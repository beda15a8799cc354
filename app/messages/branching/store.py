"""The store of a chat's branches: appending elsewhere than at the head, and putting the head elsewhere."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.orm import aliased
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from app.events.log import record
from app.http.errors import NotFound, Unprocessable
from app.messages.append.new_message import NewMessage
from app.messages.queries import find, of, touch
from app.messages.store import MessageStore
from app.models import Chat, Message, Segment


class BranchStore:
    """Changes to the tree of a chat that a session has to itself."""

    def __init__(self, messages: MessageStore) -> None:
        self._messages = messages

    async def append(
        self,
        session: AsyncSession,
        chat: Chat,
        parent: str | None,
        new_messages: Sequence[NewMessage],
        status: str | None = None,
    ) -> None:
        """Appends messages after any one of the chat's: a branch, if that is not the head. They are the head then.

        `parent` is a `message_id` or seq, "" for none and None for the head. Raises Unprocessable (422).
        """
        if parent is not None:
            try:
                await self._put_head(session, chat, parent)
            except NotFound:
                raise Unprocessable("The parent is no message of this chat.") from None
        touch(chat)
        await self._messages.insert_new_messages(session, chat, new_messages, status)

    async def switch(self, session: AsyncSession, chat: Chat, head: str) -> None:
        """Makes the branch that ends at a message the active one. Raises NotFound."""
        if await self._put_head(session, chat, head):
            touch(chat)
            await session.flush()
            await record(session, chat.user_id, ["head", chat.chat_id, chat.head_seq, chat.head_id])

    async def _put_head(self, session: AsyncSession, chat: Chat, head: str) -> bool:
        """Puts the head at a message ("" for none): what is appended follows that. Gives whether it was elsewhere."""
        target = await find(session, chat, head) if head else None
        if (target.seq if target else None) == chat.head_seq:
            return False
        chat.segment = await self._line_after(session, chat, target)
        chat.head_seq, chat.head_id = (target.seq, target.message_id) if target else (None, None)
        chat.tree_version += 1
        return True

    async def _line_after(self, session: AsyncSession, chat: Chat, target: Message | None) -> int:
        """The line that goes on after a message: its own where it is the last of that, else one that begins there.

        Nothing is added to the first line once there are others: its messages stay together, and need no index.
        """
        if target is not None and target.segment > 0:
            later = select(
                exists().where(
                    of(chat),
                    col(Message.segment) == target.segment,
                    col(Message.segment) > 0,
                    col(Message.seq) > target.seq,
                )
            )
            if not (await session.execute(later)).scalar():
                return target.segment
        place = (target.segment, target.seq) if target else (None, 0)
        empty = await self._empty_line(session, chat, *place)
        if empty is not None:
            return empty
        chat.last_segment += 1
        owner: dict[str, Any] = {"user_id": chat.user_id, "chat_id": chat.chat_id}
        session.add(Segment(**owner, segment=chat.last_segment, parent_segment=place[0], fork_seq=place[1]))
        return chat.last_segment

    async def _empty_line(self, session: AsyncSession, chat: Chat, parent: int | None, fork: int) -> int | None:
        """A line that begins there already and has no messages, so that going back and forth makes no new ones."""
        on_it = aliased(Message)
        written = exists().where(
            col(on_it.user_id) == chat.user_id,
            col(on_it.chat_id) == chat.chat_id,
            col(on_it.segment) == col(Segment.segment),
            col(on_it.segment) > 0,
        )
        begins_there = (
            col(Segment.parent_segment).is_(None) if parent is None else col(Segment.parent_segment) == parent
        )
        statement = select(col(Segment.segment)).where(
            col(Segment.user_id) == chat.user_id,
            col(Segment.chat_id) == chat.chat_id,
            begins_there,
            col(Segment.fork_seq) == fork,
            ~written,
        )
        found: int | None = (await session.execute(statement.limit(1))).scalar()
        return found
