"""The store of forks: a branch of a chat, copied into a new chat of one line."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from sqlalchemy import Integer, bindparam, select, text, update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession
from uuid_utils import uuid7

from app.chats.schemas import ChatDetails
from app.chats.store import ChatStore
from app.db.driver import Row, SessionReader
from app.db.types import Id
from app.events.counter_deltas import of_all_messages, of_chat
from app.events.log import record
from app.http.errors import NotFound, Unprocessable
from app.messages.append.new_message import counted
from app.messages.branching.tree import Range, Tree
from app.messages.branching.tree_cache import tree_of
from app.messages.queries import count, find, of
from app.models import Chat, Chunk, Message, metadata

# What a copy has of its own: where it is, its name, and whether it is still being written.
_OWN = ("user_id", "chat_id", "seq", "message_id", "parent_seq", "segment", "status")
_KEPT = [column.name for column in metadata.tables["messages"].columns if column.name not in _OWN]
_COPY = text(
    f"INSERT INTO messages ({', '.join((*_OWN, *_KEPT))}) "
    "SELECT user_id, :copy, :seq, :message_id, :parent_seq, 0, "
    f"CASE WHEN status = 'in_progress' THEN 'incomplete' ELSE status END, {', '.join(_KEPT)} "
    "FROM messages WHERE user_id = :user_id AND chat_id = :chat_id AND seq = :copied"
).bindparams(
    *(bindparam(name, type_=Id()) for name in ("copy", "message_id", "chat_id")),
    *(bindparam(name, type_=Integer()) for name in ("seq", "parent_seq", "copied")),
)
_BATCH = 1000
_RANGES = 32


class ForkStore:
    """Copies of one user's chats."""

    def __init__(self, chats: ChatStore) -> None:
        self._chats = chats

    async def fork(self, session: AsyncSession, chat: Chat, at: str | None, details: ChatDetails) -> Chat:
        """Copies the branch that ends at the message `at`, or at the head, into a new chat, and gives that.

        The copies have ids of their own, and seqs from 1 on; what was changed before is not copied, nor what people
        think of them. An answer that is still being written is copied as far as it is on disk, as incomplete. Of the
        chat's details the copy has those that `details` does not name, but for its key, its pin and its end.

        The session has the chat to itself. Raises Unprocessable (422) and Conflict (409) when the key is taken.
        """
        tree = await tree_of(SessionReader(session), chat)
        ranges, last = await _branch(session, chat, tree, at)
        inherited = {
            "title": chat.title,
            "summary": chat.summary,
            "platform": chat.platform,
            "tags": list(chat.tags),
            "metadata": chat.metadata_,
        }
        given = inherited | {name: getattr(details, name) for name in details.model_fields_set}
        copy = await self._chats.add(session, str(uuid7()), ChatDetails.model_construct(**given))
        copy.forked_from, copy.forked_at = chat.chat_id, last
        async for batch in _messages(session, chat, ranges):
            await _copy(session, chat, copy, batch)
        await session.flush()
        entries: list[list[Any]] = [["chat.created", copy.chat_id]]
        counts = [of_chat(copy, 1, 1, 0), *await of_all_messages(session, copy, 1)]
        if copy.message_count:
            entries.append(["appended", copy.chat_id, 1, copy.message_count])
        await record(session, copy.user_id, *entries, counts=counts)
        return copy


async def _branch(session: AsyncSession, chat: Chat, tree: Tree, at: str | None) -> tuple[Sequence[Range], str | None]:
    """The ranges of the branch that ends at a message, and the id of that."""
    if at is None:
        return tree.branch(tree.active), chat.head_id
    try:
        message = await find(session, chat, at)
    except NotFound:
        raise Unprocessable("`at` is no message of this chat.") from None
    return tree.branch(message.segment, message.seq), message.message_id


async def _messages(session: AsyncSession, chat: Chat, ranges: Sequence[Range]) -> AsyncIterator[Sequence[Row]]:
    """The seq, tokens, input tokens, output tokens and status of a branch's messages, in order, a batch at a time."""
    reader = SessionReader(session)
    for start in range(0, len(ranges), _RANGES):
        some = ranges[start : start + _RANGES]
        lines = " UNION ALL ".join(_of_range(one) for one in some)
        statement = f"SELECT * FROM ({lines}) AS messages ORDER BY seq LIMIT {_BATCH}"
        after = 0
        while True:
            batch = await reader.fetch(statement, chat.user_id, chat.chat_id, after)
            if batch:
                yield batch
                after = batch[-1][0]
            if len(batch) < _BATCH:
                break


def _of_range(one: Range) -> str:
    # The first line has no index of its own, and needs none; for the others, the database sees that theirs will do.
    line = f"segment = {one.segment}" + (" AND segment > 0" if one.segment else "")
    return (
        "SELECT * FROM (SELECT seq, tokens, input_tokens, output_tokens, status FROM messages "
        f"WHERE user_id = $1 AND chat_id = $2 AND {line} AND seq > {one.after} AND seq <= {one.upto} AND seq > $3 "
        f"ORDER BY seq LIMIT {_BATCH}) AS segment{one.segment}"
    )


async def _copy(session: AsyncSession, chat: Chat, copy: Chat, batch: Sequence[Row]) -> None:
    """Appends copies of a batch of messages to the copy of their chat."""
    owner = {"user_id": chat.user_id, "chat_id": chat.chat_id, "copy": copy.chat_id}
    rows = []
    sums = [0, 0, 0]
    growing: list[tuple[int, int]] = []
    for copied, tokens, input_tokens, output_tokens, status in batch:
        copy.last_seq += 1
        message_id = str(uuid7())
        place = {"seq": copy.last_seq, "parent_seq": copy.head_seq, "message_id": message_id}
        rows.append({**owner, **place, "copied": copied})
        copy.head_seq, copy.head_id = copy.last_seq, message_id
        for number, added in enumerate(counted(tokens, input_tokens, output_tokens)):
            sums[number] += added
        if status == "in_progress":
            growing.append((copied, copy.last_seq))
    await session.execute(_COPY, rows)
    count(copy, len(batch), (sums[0], sums[1], sums[2]))
    for copied, seq in growing:
        pieces = select(col(Chunk.text)).where(
            col(Chunk.user_id) == chat.user_id, col(Chunk.chat_id) == chat.chat_id, col(Chunk.seq) == copied
        )
        if said := "".join((await session.execute(pieces.order_by(col(Chunk.start)))).scalars()):
            # What is on disk of an answer stands in its pieces until it ends.
            await session.execute(
                update(Message).where(of(copy), col(Message.seq) == seq).values(content=said, text=said)
            )
