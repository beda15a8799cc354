"""The store of edits: changes messages in place and keeps their revisions, and deletes messages."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import JSON, delete, func, insert, literal, select, update
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
from app.messages.append.new_message import NewMessage, to_json
from app.messages.branching.tree_cache import first_of_segments, tree_of
from app.messages.queries import add_to_counters, find_message, in_chat, record_activity, tokens_of
from app.messages.schemas import MessagePatch
from app.messages.serialize import SELECT_WITH_PARENT_IN_SESSION, message_json
from app.models import Chat, Message, Revision, metadata
from app.models.message import REVISED_FIELDS

_BY_SEQ = f"{SELECT_WITH_PARENT_IN_SESSION} WHERE m.user_id = $1 AND m.chat_id = $2 AND m.seq IN ({{}})"
_MESSAGES_PER_STATEMENT = 250
_REVISIONS_PER_STATEMENT = 500
# What a message says, apart from its status.
_REPLACED_FIELDS = tuple(name for name in REVISED_FIELDS if name != "status")
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
        check_not_in_progress(row)
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
        await self._revise(session, chat, [(message, _changed(message, changes)) for message, changes in edits])

    async def replace(
        self, session: AsyncSession, chat: Chat, replacements: Sequence[tuple[Message, NewMessage]]
    ) -> None:
        """Replaces what messages say by what new ones do, in full; what the messages were is kept as revisions.

        Each keeps its `message_id`, its key, its seq and `created_at`. One that says the same already is not changed.
        Raises Conflict (409) where one of them is in progress, or the new one would be.
        """
        for message, new in replacements:
            check_not_in_progress(message)
            if new.status is not None:
                raise Conflict("This message is there already: it cannot be begun anew.")
        bodies = await messages_as_json(session, chat, [message.seq for message, _ in replacements])
        edits = [
            (message, _replaced(message, orjson.loads(body), new))
            for (message, new), body in zip(replacements, bodies, strict=True)
        ]
        await self._revise(session, chat, edits)

    async def _revise(self, session: AsyncSession, chat: Chat, edits: Sequence[tuple[Message, dict[str, Any]]]) -> None:
        edits = [(message, changes) for message, changes in edits if changes]
        if not edits:
            return
        at = now()
        seqs = [message.seq for message, _ in edits]
        for start in range(0, len(seqs), _REVISIONS_PER_STATEMENT):
            await _save_revisions(session, chat, seqs[start : start + _REVISIONS_PER_STATEMENT], at)
        deltas: list[CounterDelta] = []
        for message, changes in edits:
            counted = (message.role, message.model, before := tokens_of(message))
            for name, value in changes.items():
                setattr(message, name, value)
                # SQLAlchemy would leave out what is equal to Python, such as a true in the place of a 1.
                flag_modified(message, name)
            message.edited_at = at
            after = tokens_of(message)
            add_to_counters(chat, 0, (after[0] - before[0], after[1] - before[1], after[2] - before[2]))
            counted_now = (message.role, message.model, after)
            deltas += message_update_deltas(chat.platform, message.created_at, counted, counted_now)
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


def check_not_in_progress(message: Message) -> None:
    """Raises Conflict (409) for a message in progress, which nobody may change."""
    if message.status == "in_progress":
        raise Conflict("This message is in progress: its text comes in chunks.")


def _changed(message: Message, changes: dict[str, Any]) -> dict[str, Any]:
    # As JSON texts: to Python 1, 1.0 and True are equal, and so are -0.0 and 0.0.
    return {name: value for name, value in changes.items() if to_json(getattr(message, name)) != to_json(value)}


def _replaced(message: Message, said: dict[str, Any], new: NewMessage) -> dict[str, Any]:
    """The columns of a message that change where it says what a new one does. `said` is it as it is answered."""
    # As it is answered: a content that is null is not one that is not there.
    said_then, said_now = ({name: to_json(fields[name]) for name in fields} for fields in (said, new.public))
    names = [name for name in _REPLACED_FIELDS if said_then.get(name) != said_now.get(name)]
    changes = {_attribute(name): new.public.get(name) for name in names}
    if "content" in names and new.content == "null":
        changes["content"] = JSON.NULL
    if to_json(message.payload) != to_json(new.payload):
        changes["payload"] = new.payload
    if message.status in ("failed", "incomplete"):
        # It has all of its text now.
        changes["status"] = "completed"
    return changes


def _attribute(name: str) -> str:
    return "metadata_" if name == "metadata" else name


async def _save_revisions(session: AsyncSession, chat: Chat, seqs: Sequence[int], at: datetime) -> None:
    """Saves what messages are now as their next revisions."""
    newest = (
        select(func.max(col(Revision.revision)))
        .where(
            col(Revision.user_id) == chat.user_id,
            col(Revision.chat_id) == col(Message.chat_id),
            col(Revision.seq) == col(Message.seq),
        )
        .scalar_subquery()
    )
    # By SQL: a content that is NULL and one that is the JSON null look alike as objects.
    current = select(
        literal(chat.user_id),
        col(Message.chat_id),
        col(Message.seq),
        func.coalesce(newest, 0) + 1,
        *(_MESSAGES.c[name] for name in REVISED_FIELDS),
        literal(at, UtcDateTime()),
    ).where(in_chat(chat), col(Message.seq).in_(seqs))
    await session.execute(insert(Revision).from_select(_REVISION_COLUMNS, current))


async def message_as_json(session: AsyncSession, chat: Chat, seq: int) -> bytes:
    """A message as JSON, as the session's transaction sees it."""
    return (await messages_as_json(session, chat, [seq]))[0]


async def messages_as_json(session: AsyncSession, chat: Chat, seqs: Sequence[int]) -> list[bytes]:
    """Messages that are there as JSON, in the order of their seqs here, as the session's transaction sees them."""
    reader = SessionReader(session)
    tree = await tree_of(reader, chat)
    found: dict[int, bytes] = {}
    for start in range(0, len(seqs), _MESSAGES_PER_STATEMENT):
        some = seqs[start : start + _MESSAGES_PER_STATEMENT]
        statement = _BY_SEQ.format(", ".join(f"${number}" for number in range(3, 3 + len(some))))
        for row in await reader.fetch(statement, chat.user_id, chat.chat_id, *some):
            found[row[1]] = message_json(row, chat.chat_id, row[-1], tree.siblings.get(row[1]))
    return [found[seq] for seq in seqs]
