"""The store of a chat's branches: makes another one the active branch."""

from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.orm import aliased
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from app.events.events import HeadMoved
from app.events.log import append_events
from app.messages.queries import find_message, in_chat, record_activity
from app.models import Chat, Message, Segment


class BranchStore:
    """Changes to the tree of a chat that a session has to itself."""

    async def switch(self, session: AsyncSession, chat: Chat, head: str) -> None:
        """Makes the branch that ends at a message the active one. Raises NotFound."""
        if await self._move_head(session, chat, head):
            record_activity(chat)
            await session.flush()
            await append_events(session, chat.user_id, HeadMoved(chat.chat_id, chat.head_seq, chat.head_id))

    async def _move_head(self, session: AsyncSession, chat: Chat, head: str) -> bool:
        """Moves the head to a message ("" for none), which is what appends follow. Returns whether it was elsewhere."""
        target = await find_message(session, chat, head) if head else None
        if (target.seq if target else None) == chat.head_seq:
            return False
        chat.segment = await self._segment_after(session, chat, target)
        chat.head_seq, chat.head_id = (target.seq, target.message_id) if target else (None, None)
        chat.tree_version += 1
        return True

    async def _segment_after(self, session: AsyncSession, chat: Chat, target: Message | None) -> int:
        """The segment that goes on after a message: its own where it is the last of that, else one that begins there.

        Nothing is added to the first segment once there are others: its messages stay together, and need no index.
        """
        if target is not None and target.segment > 0:
            following = exists().where(
                in_chat(chat),
                col(Message.segment) == target.segment,
                col(Message.segment) > 0,
                col(Message.seq) > target.seq,
            )
            if not (await session.execute(select(following))).scalar():
                return target.segment
        parent, fork_seq = (target.segment, target.seq) if target else (None, 0)
        empty = await self._empty_segment(session, chat, parent, fork_seq)
        if empty is not None:
            return empty
        chat.last_segment += 1
        key: dict[str, Any] = {"user_id": chat.user_id, "chat_id": chat.chat_id, "segment": chat.last_segment}
        session.add(Segment(**key, parent_segment=parent, fork_seq=fork_seq))
        return chat.last_segment

    async def _empty_segment(self, session: AsyncSession, chat: Chat, parent: int | None, fork_seq: int) -> int | None:
        """A segment that begins there already and has no messages, so that going back and forth makes no new ones."""
        message = aliased(Message)
        has_messages = exists().where(
            col(message.user_id) == chat.user_id,
            col(message.chat_id) == chat.chat_id,
            col(message.segment) == col(Segment.segment),
            col(message.segment) > 0,
        )
        parent_segment = col(Segment.parent_segment)
        statement = select(col(Segment.segment)).where(
            col(Segment.user_id) == chat.user_id,
            col(Segment.chat_id) == chat.chat_id,
            parent_segment.is_(None) if parent is None else parent_segment == parent,
            col(Segment.fork_seq) == fork_seq,
            ~has_messages,
        )
        segment: int | None = (await session.execute(statement.limit(1))).scalar()
        return segment
