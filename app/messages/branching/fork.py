"""Forks: copies of a branch into a new chat of one segment."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Integer, Text, TextClause, bindparam, select, text, update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession
from uuid_utils import uuid7

from app.chats.schemas import ChatDetails
from app.chats.store import ChatStore
from app.db.driver import Row, SessionReader
from app.db.types import Id
from app.events.counter_deltas import all_message_deltas, chat_delta
from app.events.events import ChatCreated, Event, MessagesAppended
from app.events.log import append_events
from app.http.errors import NotFound, Unprocessable
from app.messages.append.new_message import token_counts
from app.messages.branching.tree import SegmentRange, Tree
from app.messages.branching.tree_cache import tree_of
from app.messages.queries import add_to_counters, find_message, in_chat
from app.models import Chat, Chunk, Message
from app.models.registry import OwnedTable, owned_table, owned_tables

# What a copy of a message has of its own: where it is, its id, and whether it is still being written.
_OWN = {
    "user_id": ":user_id",
    "chat_id": ":copy",
    "seq": ":seq",
    "message_id": ":message_id",
    "parent_seq": ":parent_seq",
    "segment": "0",
    "status": "CASE WHEN status = 'in_progress' THEN 'incomplete' ELSE status END",
}


def _copy_statement(table: OwnedTable, own: Mapping[str, str]) -> TextClause:
    """The statement that copies rows of a table: those of a chat or, where `own` has a seq, of one message."""
    values = ", ".join(own.get(name, name) for name in table.columns)
    where = "user_id = :user_id AND chat_id = :chat_id" + (" AND seq = :original" if "seq" in own else "")
    sql = f"INSERT INTO {table.name} ({', '.join(table.columns)}) SELECT {values} FROM {table.name} WHERE {where}"
    types: dict[str, Any] = {"copy": Id(), "message_id": Id(), "chat_id": Id(), "user_id": Text()}
    types |= {"seq": Integer(), "parent_seq": Integer(), "original": Integer()}
    statement = text(sql)
    return statement.bindparams(*(bindparam(name, type_=types[name]) for name in types if f":{name}" in sql))


_COPY_MESSAGES = _copy_statement(owned_table("messages"), _OWN)
# What else a fork copies, of the chat and of each message.
_OWN_CHAT = {"user_id": ":user_id", "chat_id": ":copy"}
_COPY_WITH_CHAT = [_copy_statement(table, _OWN_CHAT) for table in owned_tables("chat") if table.is_copied]
_COPY_WITH_MESSAGE = [
    _copy_statement(table, {**_OWN_CHAT, "seq": ":seq"}) for table in owned_tables("message") if table.is_copied
]
# The details that a copy has from its chat, unless it is given others.
_INHERITED = ChatDetails.model_fields.keys() - {"key", "is_pinned", "is_archived", "expires_at"}
_BATCH = 1000
_RANGES_PER_STATEMENT = 32


class ForkStore:
    """Copies of one user's chats."""

    def __init__(self, chats: ChatStore) -> None:
        self._chats = chats

    async def fork(self, session: AsyncSession, chat: Chat, at: str | None, details: ChatDetails) -> Chat:
        """Copies the branch that ends at the message `at`, or at the head, into a new chat, and returns that.

        The copies have ids of their own, and seqs from 1 on; revisions and feedback are not copied. A message that is
        still in progress is copied as far as it is on disk, as incomplete. Of the chat's details the copy has those
        that `details` does not name, but for its key, its pin and its expiry, and whether
        it is archived.

        The session has the chat to itself. Raises Unprocessable (422) and Conflict (409) when the key is taken.
        """
        tree = await tree_of(SessionReader(session), chat)
        branch, head_id = await _branch(session, chat, tree, at)
        inherited = {name: getattr(chat, "metadata_" if name == "metadata" else name) for name in _INHERITED}
        fields = inherited | {name: getattr(details, name) for name in details.model_fields_set}
        fields["summary_until_seq"] = details.summary_until_seq
        until = None if details.model_fields_set & {"summary", "summary_until_seq"} else chat.summary_until_seq
        copy = await self._chats.add(session, str(uuid7()), ChatDetails.model_construct(**fields))
        copy.forked_from, copy.forked_at = chat.chat_id, head_id
        async for batch in _messages(session, chat, branch):
            await _copy(session, chat, copy, batch)
            if until is not None:
                # The copies are numbered anew.
                covered = sum(row[0] <= until for row in batch)
                copy.summary_until_seq = ((copy.summary_until_seq or 0) + covered) or None
        for statement in _COPY_WITH_CHAT:
            key = {"user_id": chat.user_id, "chat_id": chat.chat_id, "copy": copy.chat_id}
            await session.execute(statement, key)
        await session.flush()
        events: list[Event] = [ChatCreated(copy.chat_id)]
        deltas = [chat_delta(copy, 1, 1, 0), *await all_message_deltas(session, copy, 1)]
        if copy.message_count:
            events.append(MessagesAppended(copy.chat_id, 1, copy.message_count))
        await append_events(session, copy.user_id, *events, deltas=deltas)
        return copy


async def _branch(
    session: AsyncSession, chat: Chat, tree: Tree, at: str | None
) -> tuple[Sequence[SegmentRange], str | None]:
    """The ranges of the branch that ends at a message, and the id of that."""
    if at is None:
        return tree.branch(tree.active), chat.head_id
    try:
        message = await find_message(session, chat, at)
    except NotFound:
        raise Unprocessable("`at` is no message of this chat.") from None
    return tree.branch(message.segment, message.seq), message.message_id


async def _messages(session: AsyncSession, chat: Chat, branch: Sequence[SegmentRange]) -> AsyncIterator[Sequence[Row]]:
    """The seq, tokens, input tokens, output tokens and status of a branch's messages, in order, a batch at a time."""
    reader = SessionReader(session)
    for start in range(0, len(branch), _RANGES_PER_STATEMENT):
        parts = " UNION ALL ".join(_select_range(part) for part in branch[start : start + _RANGES_PER_STATEMENT])
        statement = f"SELECT * FROM ({parts}) AS messages ORDER BY seq LIMIT {_BATCH}"
        after = 0
        while True:
            batch = await reader.fetch(statement, chat.user_id, chat.chat_id, after)
            if batch:
                yield batch
                after = batch[-1][0]
            if len(batch) < _BATCH:
                break


def _select_range(part: SegmentRange) -> str:
    # The first segment has no index of its own, and needs none; for the others, the database sees that theirs will do.
    segment = f"segment = {part.segment}" + (" AND segment > 0" if part.segment else "")
    return (
        "SELECT * FROM (SELECT seq, tokens, input_tokens, output_tokens, status FROM messages "
        f"WHERE user_id = $1 AND chat_id = $2 AND {segment} AND seq > {part.after} AND seq <= {part.upto} AND seq > $3 "
        f"ORDER BY seq LIMIT {_BATCH}) AS segment{part.segment}"
    )


async def _copy(session: AsyncSession, chat: Chat, copy: Chat, batch: Sequence[Row]) -> None:
    """Appends copies of a batch of messages to the copy of their chat."""
    rows = []
    chats = {"user_id": chat.user_id, "chat_id": chat.chat_id, "copy": copy.chat_id}
    totals = [0, 0, 0]
    in_progress: list[tuple[int, int]] = []
    for original, tokens, input_tokens, output_tokens, status in batch:
        copy.last_seq += 1
        message_id = str(uuid7())
        own = {"seq": copy.last_seq, "parent_seq": copy.head_seq, "message_id": message_id}
        rows.append(chats | own | {"original": original})
        copy.head_seq, copy.head_id = copy.last_seq, message_id
        for index, added in enumerate(token_counts(tokens, input_tokens, output_tokens)):
            totals[index] += added
        if status == "in_progress":
            in_progress.append((original, copy.last_seq))
    await session.execute(_COPY_MESSAGES, rows)
    for statement in _COPY_WITH_MESSAGE:
        await session.execute(statement, rows)
    add_to_counters(copy, len(batch), totals)
    for original, seq in in_progress:
        chunks = select(col(Chunk.text)).where(
            col(Chunk.user_id) == chat.user_id, col(Chunk.chat_id) == chat.chat_id, col(Chunk.seq) == original
        )
        if content := "".join((await session.execute(chunks.order_by(col(Chunk.start)))).scalars()):
            # The text of a message in progress that is on disk stands in its chunks.
            copied = update(Message).where(in_chat(copy), col(Message.seq) == seq)
            await session.execute(copied.values(content=content))
