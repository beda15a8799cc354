"""The store of messages: appends to the chats of one user, and reads them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import JSON, insert, or_, select
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession
from uuid_utils import uuid7

from app.chats.lease import lease_conflict
from app.db.database import Database
from app.db.driver import Reader, SessionReader
from app.db.timestamps import now
from app.events.log import append_events
from app.http.errors import NotFound, Problem
from app.http.idempotency import IdempotentRequest
from app.http.references import ChatRef
from app.messages.append.new_message import NewMessage, counter_deltas, new_message, sum_tokens
from app.messages.append.writer import Append, AppendResult, AppendWriter, LeaseHeld, NoSuchChat
from app.messages.branching.branch_reader import BranchReader
from app.messages.branching.tree import LINEAR, MAX_SEQ, Tree
from app.messages.branching.tree_cache import TreeCache, load_tree, tree_of
from app.messages.cache import HistoryCache
from app.messages.history import HistoryReader
from app.messages.linear_history import PageSpec, RowWithParent
from app.messages.queries import add_to_counters, in_chat
from app.messages.schemas import MessageIn
from app.messages.serialize import EXTRAS, message_json
from app.models import Chat, Message

_LEASE = "SELECT lease_holder, lease_until FROM chats WHERE user_id = $1 AND {} = $2 AND deleted_at IS NULL"
_INSTRUCTIONS = "m.role IN ('system', 'developer')"
_RANGES_PER_STATEMENT = 100


@dataclass(slots=True)
class MessageStores:
    """What the stores of all users have in common. Called with a user's id, it returns that user's store."""

    db: Database
    writer: AppendWriter
    cache: HistoryCache
    trees: TreeCache

    def __call__(self, user_id: str) -> "MessageStore":
        """The store of a user's messages."""
        return MessageStore(self.db, user_id, self.writer, HistoryReader(self.db, user_id, self.cache, self.trees))


class MessageStore:
    """The messages of one user's chats. Methods that take a session and a chat work in its transaction.

    Attributes:
        history: reads pages of messages, and single messages.
    """

    def __init__(self, db: Database, user_id: str, writer: AppendWriter, history: HistoryReader) -> None:
        self.user_id = user_id
        self.history = history
        self._db = db
        self._writer = writer

    async def append(
        self,
        ref: ChatRef,
        messages: Sequence[MessageIn],
        idempotency: IdempotentRequest | None,
        parent: str | None,
        lease_token: int | None,
    ) -> tuple[AppendResult, Sequence[NewMessage]]:
        """Appends messages together at the head; a chat named by a key is created when it is not there.

        `parent` is the message they follow, by `message_id` or seq, "" for none and None for whatever the head is; when
        it is not the head, nothing was stored, and `BranchStore.append` is for that. `lease_token` is that of the lease
        under which they are written.

        Returns what happened, and the new messages with what they will be read back as.
        Raises NotFound, Conflict (409) where the lease is another's, Overloaded (503) and StorageFull (507).
        """
        at = now()
        new_messages = [new_message(message, at) for message in messages]
        new_chat_id = str(uuid7()) if ref.key is not None else None
        outcome = await self._writer.append(
            Append(self.user_id, ref.chat_id, ref.key, new_chat_id, new_messages, idempotency, at, parent, lease_token)
        )
        if isinstance(outcome, NoSuchChat):
            raise NotFound
        if isinstance(outcome, LeaseHeld):
            raise await self._lease_refusal(ref)
        return outcome, new_messages

    async def _lease_refusal(self, ref: ChatRef) -> Problem:
        by, chat = ref.column
        row = await self._db.driver.fetch_one(_LEASE.format(by), self.user_id, chat)
        return lease_conflict(*row) if row else NotFound()

    async def instructions(self, ref: ChatRef) -> list[dict[str, Any]]:
        """The system and developer messages of the active branch as they are answered, in order. Raises NotFound."""
        chat_id, _ = await self.history.version(ref)
        async with self._db.snapshot() as session:
            reader = SessionReader(session)
            tree = await load_tree(reader, self.user_id, chat_id) or LINEAR
            messages = await self._read_branch(reader, chat_id, tree, _INSTRUCTIONS)
        return [orjson.loads(message_json(row, chat_id, parent)) for row, parent in messages]

    async def branch_json(self, session: AsyncSession, chat: Chat) -> list[bytes]:
        """Every message of a chat's active branch as JSON, in order."""
        reader = SessionReader(session)
        tree = await tree_of(reader, chat)
        messages = await self._read_branch(reader, chat.chat_id, tree)
        return [message_json(row, chat.chat_id, parent, tree.siblings.get(row[1])) for row, parent in messages]

    async def _read_branch(
        self, reader: Reader, chat_id: str, tree: Tree, condition: str | None = None
    ) -> list[RowWithParent]:
        branch = BranchReader(reader, self.user_id, chat_id, in_session=True)
        return await branch.read(tree.active_branch, PageSpec(None, None, None, "asc", MAX_SEQ - 1, condition))

    async def active_branch(self, session: AsyncSession, chat: Chat) -> list[Message]:
        """The messages of a chat's active branch, in order."""
        branch = (await tree_of(SessionReader(session), chat)).active_branch
        messages: list[Message] = []
        for start in range(0, len(branch), _RANGES_PER_STATEMENT):
            ranges = (
                (col(Message.segment) == part.segment)
                & (col(Message.seq) > part.after)
                & (col(Message.seq) <= part.upto)
                for part in branch[start : start + _RANGES_PER_STATEMENT]
            )
            statement = select(Message).where(in_chat(chat), or_(*ranges)).order_by(col(Message.seq))
            messages += (await session.execute(statement)).scalars()
        return messages

    async def insert(self, session: AsyncSession, chat: Chat, messages: Sequence[MessageIn]) -> None:
        """Adds messages at the head of a chat that this session has to itself."""
        at = now()
        await self.insert_new_messages(session, chat, [new_message(message, at) for message in messages])

    async def insert_new_messages(
        self, session: AsyncSession, chat: Chat, new_messages: Sequence[NewMessage], status: str | None = None
    ) -> None:
        """Adds new messages at the head of a chat that this session has to itself, and records it."""
        if not new_messages:
            return
        if chat.tree_version and chat.head_seq != chat.last_seq:
            # Others may follow the head already: then these have siblings.
            chat.tree_version += 1
        first_seq = chat.last_seq + 1
        rows = []
        for message in new_messages:
            chat.last_seq += 1
            key = {"user_id": chat.user_id, "chat_id": chat.chat_id, "seq": chat.last_seq}
            position = {"parent_seq": chat.head_seq, "segment": chat.segment}
            rows.append(key | position | _columns(message) | {"status": status})
            chat.head_seq, chat.head_id = chat.last_seq, message.message_id
        await session.flush()
        await session.execute(insert(Message), rows)
        add_to_counters(chat, len(new_messages), sum_tokens(new_messages))
        await session.flush()
        entry = ["appended", chat.chat_id, first_seq, len(new_messages)]
        deltas = ["messages", chat.platform, counter_deltas(new_messages)]
        await append_events(session, chat.user_id, entry, deltas=[deltas])


def _columns(message: NewMessage) -> dict[str, Any]:
    """A new message as column values for SQLAlchemy; for one `insert` each has the same names."""
    content = message.public.get("content")
    return {
        "message_id": message.message_id,
        "role": message.role,
        "type": message.type,
        "content": JSON.NULL if content is None and "content" in message.public else content,
        "text": message.text,
        "payload": message.payload,
        "created_at": message.created_at,
    } | {"metadata_" if name == "metadata" else name: message.extras.get(name) for name in EXTRAS}
