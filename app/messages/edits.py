"""The store of edits: changes messages in place and keeps their revisions, and deletes messages."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, insert, literal, select, update
from sqlalchemy.orm.attributes import flag_modified
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from app.chats.store import delete_rows
from app.db.driver import SessionReader
from app.db.timestamps import now
from app.db.types import UtcDateTime
from app.events.counter_deltas import (
    CounterDelta,
    MessageCounts,
    MessagesDelta,
    all_message_deltas,
    bucket_of,
    message_update_deltas,
    shrunk_deltas,
)
from app.events.events import Event, MessageDeleted, MessageEdited, MessagesCleared
from app.events.log import append_events
from app.http.errors import Conflict, Unprocessable
from app.http.merge_patch import merge_patch
from app.messages.append.new_message import to_json
from app.messages.branching.tree_cache import first_of_segments, tree_of
from app.messages.queries import add_to_counters, find_message, in_chat, record_activity, tokens_of
from app.messages.schemas import MessagePatch
from app.messages.serialize import SELECT_WITH_PARENT_IN_SESSION, message_json
from app.models import Chat, Message, Revision, metadata
from app.models.message import REVISED_FIELDS

_BY_SEQ = f"{SELECT_WITH_PARENT_IN_SESSION} WHERE m.user_id = $1 AND m.chat_id = $2 AND m.seq = $3"
_REVISIONS_PER_STATEMENT = 500
_MESSAGES = metadata.tables["messages"]
_REVISION_COLUMNS = ("user_id", "chat_id", "seq", "revision", *REVISED_FIELDS, "replaced_at")


class EditStore:
    """Changes to messages of a chat that a session has to itself; each raises the chat's version and is recorded."""

    async def edit(self, session: AsyncSession, chat: Chat, message: str, patch: MessagePatch) -> bytes:
        """Changes a message in place and returns it as JSON; what it was is kept as a revision.

        An edit that changes nothing leaves everything as it is, `edited_at` too.
        Raises NotFound, Conflict (409) while it is in progress, and Unprocessable (422).
        """
        row = await find_message(session, chat, message)
        if row.status == "in_progress":
            raise Conflict("This message is in progress: its text comes in chunks.")
        changes = patch.model_dump(exclude_unset=True)
        if "metadata" in changes:
            changes["metadata_"] = merge_patch(row.metadata_, changes.pop("metadata"))
        content = changes.get("content", row.content)
        is_empty = content is None and not changes.get("tool_calls", row.tool_calls)
        if row.type == "message" and is_empty and changes.keys() & {"content", "tool_calls"}:
            raise Unprocessable("A message needs content, or tool_calls, or a type of its own.")
        await self.revise(session, chat, [(row, changes)])
        return await message_as_json(session, chat, row.seq)

    async def revise(self, session: AsyncSession, chat: Chat, edits: Sequence[tuple[Message, dict[str, Any]]]) -> None:
        """Changes columns of messages in place, each by name; what the messages were is kept as revisions.

        A message that has all these values already is not changed; where none is, the chat is not either.
        """
        edits = [(message, changed) for message, changes in edits if (changed := _changed(message, changes))]
        if not edits:
            return
        at = now()
        seqs = [message.seq for message, _ in edits]
        for start in range(0, len(seqs), _REVISIONS_PER_STATEMENT):
            await _save_revisions(session, chat, seqs[start : start + _REVISIONS_PER_STATEMENT], at)
        deltas: list[CounterDelta] = []
        for message, changes in edits:
            before, model = tokens_of(message), message.model
            for name, value in changes.items():
                setattr(message, name, value)
                # SQLAlchemy would leave out what is equal to Python, such as a true in the place of a 1.
                flag_modified(message, name)
            message.edited_at = at
            after = tokens_of(message)
            add_to_counters(chat, 0, (after[0] - before[0], after[1] - before[1], after[2] - before[2]))
            deltas += message_update_deltas(
                chat.platform, message.created_at, message.role, (model, before), (message.model, after)
            )
        edited = (MessageEdited(chat.chat_id, message.seq, message.message_id) for message, _ in edits)
        await self.record_changes(session, chat, *edited, deltas=deltas)

    async def delete(self, session: AsyncSession, chat: Chat, message: str) -> None:
        """Deletes a message; what followed it now follows what it had followed. Raises NotFound."""
        await self._delete(session, chat, await find_message(session, chat, message))

    async def pop(self, session: AsyncSession, chat: Chat) -> tuple[bytes, Any] | None:
        """Deletes the last message of the active branch; returns it as JSON, and its payload. None if there is none."""
        if chat.head_seq is None:
            return None
        last = await find_message(session, chat, str(chat.head_seq))
        body, payload = await message_as_json(session, chat, last.seq), last.payload
        await self._delete(session, chat, last)
        return body, payload

    async def clear(self, session: AsyncSession, chat: Chat) -> None:
        """Deletes every message of a chat."""
        deltas = [*await all_message_deltas(session, chat, -1), *shrunk_deltas(chat.message_count)]
        await delete_rows(session, chat, "message", "messages")
        chat.message_count = chat.input_tokens = chat.output_tokens = chat.total_tokens = 0
        chat.head_seq = chat.head_id = None
        chat.segment = 0
        await self.record_changes(session, chat, MessagesCleared(chat.chat_id, chat.last_seq), deltas=deltas)

    async def record_changes(
        self, session: AsyncSession, chat: Chat, *events: Event, deltas: Sequence[CounterDelta] = ()
    ) -> None:
        """Writes a chat whose messages changed, and records how, and what that adds to the counters."""
        record_activity(chat)
        if chat.tree_version and any(event.removes for event in events):
            # Who has siblings may have changed.
            chat.tree_version += 1
        await session.flush()
        await append_events(session, chat.user_id, *events, deltas=deltas)

    async def _delete(self, session: AsyncSession, chat: Chat, message: Message) -> None:
        await self._reparent_followers(session, chat, message)
        await session.execute(delete(Message).where(in_chat(chat), col(Message.seq) == message.seq))
        if chat.head_seq == message.seq:
            chat.head_seq, chat.head_id = message.parent_seq, None
            if message.parent_seq is not None:
                chat.head_id = (await find_message(session, chat, str(message.parent_seq))).message_id
        await delete_rows(session, chat, "message", seq=message.seq)
        shrunk = shrunk_deltas(chat.message_count)
        tokens = tokens_of(message)
        add_to_counters(chat, -1, less := (-tokens[0], -tokens[1], -tokens[2]))
        counts = MessageCounts(bucket_of(message.created_at), message.role, message.model, -1, *less)
        event = MessageDeleted(chat.chat_id, message.seq, message.message_id)
        await self.record_changes(session, chat, event, deltas=[MessagesDelta(chat.platform, [counts]), *shrunk])

    async def _reparent_followers(self, session: AsyncSession, chat: Chat, message: Message) -> None:
        """Has what follows a message follow its parent: the next of its segment, and segments that begin there."""
        later = [in_chat(chat), col(Message.seq) > message.seq]
        if message.segment > 0:
            later += [col(Message.segment) == message.segment, col(Message.segment) > 0]
        # The first segment has no index: its messages stand together, before all others.
        following = select(col(Message.seq), col(Message.segment)).where(*later).order_by(col(Message.seq)).limit(1)
        followers = [seq for seq, segment in await session.execute(following) if segment == message.segment]
        if chat.tree_version:
            followers += await first_of_segments(SessionReader(session), chat.user_id, chat.chat_id, message.seq)
        await session.execute(
            update(Message)
            .where(in_chat(chat), col(Message.seq).in_(followers), col(Message.parent_seq) == message.seq)
            .values(parent_seq=message.parent_seq)
            .execution_options(synchronize_session=False)
        )


def _changed(message: Message, changes: dict[str, Any]) -> dict[str, Any]:
    # As JSON texts: to Python 1, 1.0 and True are equal, and so are -0.0 and 0.0.
    return {name: value for name, value in changes.items() if to_json(getattr(message, name)) != to_json(value)}


async def _save_revisions(session: AsyncSession, chat: Chat, seqs: Sequence[int], at: datetime) -> None:
    """Saves what messages are now as their next revisions."""
    newest = (
        select(func.max(col(Revision.revision)))
        .where(
            col(Revision.user_id) == col(Message.user_id),
            col(Revision.chat_id) == col(Message.chat_id),
            col(Revision.seq) == col(Message.seq),
        )
        .scalar_subquery()
    )
    # By SQL: a content that is NULL and one that is the JSON null look alike as objects.
    current = select(
        col(Message.user_id),
        col(Message.chat_id),
        col(Message.seq),
        func.coalesce(newest, 0) + 1,
        *(_MESSAGES.c[name] for name in REVISED_FIELDS),
        literal(at, UtcDateTime()),
    ).where(in_chat(chat), col(Message.seq).in_(seqs))
    await session.execute(insert(Revision).from_select(_REVISION_COLUMNS, current))


async def message_as_json(session: AsyncSession, chat: Chat, seq: int) -> bytes:
    """A message as JSON, as the session's transaction sees it."""
    reader = SessionReader(session)
    row = await reader.fetch_one(_BY_SEQ, chat.user_id, chat.chat_id, seq)
    assert row is not None
    tree = await tree_of(reader, chat)
    return message_json(row, chat.chat_id, row[-1], tree.siblings.get(seq))
