"""The store of messages: appends to the chats of one user, and reads them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import or_, select
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession
from uuid_utils import uuid7

from app.chats.lease import is_held, lease_conflict
from app.db.database import Database
from app.db.driver import Reader, SessionReader
from app.db.timestamps import now
from app.http.conditional import etags_of
from app.http.errors import Conflict, NotFound, PreconditionFailed, Problem, Unprocessable
from app.http.idempotency import IdempotentRequest, oldest_kept
from app.http.references import ChatRef
from app.messages.append.contract import (
    Append,
    Appended,
    AppendResult,
    KeyTaken,
    LeaseHeld,
    NoSuchChat,
    NoSuchParent,
    Outcome,
    StoredAppend,
    VersionMismatch,
)
from app.messages.append.new_message import NewMessage, new_messages_of, to_json
from app.messages.append.writer import Writer
from app.messages.branching.branch_reader import BranchReader
from app.messages.branching.tree import LINEAR, Tree
from app.messages.branching.tree_cache import TreeCache, load_tree, tree_of
from app.messages.cache import HistoryCache
from app.messages.history import HistoryReader
from app.messages.linear_history import PageSpec, RowWithParent
from app.messages.queries import in_chat
from app.messages.schemas import MessageIn
from app.messages.serialize import message_json
from app.models import Chat, Message
from app.models.message import MAX_SEQ

_LEASE = "SELECT lease_holder, lease_until FROM chats WHERE user_id = $1 AND {} = $2 AND deleted_at IS NULL"
_INSTRUCTIONS = "m.role IN ('system', 'developer')"
_RANGES_PER_STATEMENT = 100


class KeyConflict(Conflict):
    """Messages of the chat have keys that others were to get (409)."""

    def __init__(self, taken: KeyTaken) -> None:
        in_order = sorted(taken.messages.items(), key=lambda item: item[1][1])
        messages = [{"key": key, "message_id": message_id, "seq": seq} for key, (message_id, seq) in in_order]
        detail = f"The chat has a message with the key {messages[0]['key']} already."
        super().__init__(detail, extensions={**messages[0], "messages": messages})


@dataclass(slots=True)
class MessageStores:
    """What the stores of all users have in common. Called with a user's id, it returns that user's store."""

    db: Database
    writer: Writer
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

    def __init__(self, db: Database, user_id: str, writer: Writer, history: HistoryReader) -> None:
        self.user_id = user_id
        self.history = history
        self._db = db
        self._writer = writer

    async def append(
        self,
        ref: ChatRef,
        messages: Sequence[MessageIn],
        *,
        idempotency: IdempotentRequest | None = None,
        parent: str | None = None,
        lease_token: int | None = None,
        if_match: str | None = None,
    ) -> tuple[AppendResult, Sequence[NewMessage]]:
        """Appends messages together; a chat named by a key is created when it is not there.

        `parent` is the message they follow, by `message_id`, seq or `key:` and its key, "" for none and None for the
        head: where it is not the head they begin a branch. They are the head then. `lease_token` is that of the lease
        under which they are written, `if_match` the request's header.

        Returns what happened, and the new messages with what they will be read back as.
        Raises NotFound, Conflict (409) where the lease is another's, KeyConflict (409), PreconditionFailed (412) where
        the chat is at another version, Unprocessable (422) for no parent, Overloaded (503) and StorageFull (507).
        """
        new_messages = new_messages_of(messages)
        stored = None
        if idempotency is not None:
            body = to_json([message.remembered for message in new_messages])
            stored = StoredAppend(idempotency, body, oldest_kept())
        result = await self.append_new(
            ref, new_messages, stored=stored, parent=parent, lease_token=lease_token, if_match=if_match
        )
        return result, new_messages

    async def append_new(
        self,
        ref: ChatRef,
        new_messages: Sequence[NewMessage],
        *,
        stored: StoredAppend | None = None,
        parent: str | None = None,
        lease_token: int | None = None,
        if_match: str | None = None,
    ) -> AppendResult:
        """The same for new messages that are at hand, and for any way to know a request again."""
        append = Append(
            self.user_id,
            ref.chat_id,
            ref.key,
            str(uuid7()) if ref.key is not None else None,
            new_messages,
            now(),
            stored,
            parent,
            lease_token,
            etags_of(if_match),
        )
        return await self._result_of(ref, await self._writer.append(append))

    async def append_in(
        self, session: AsyncSession, chat: Chat, messages: Sequence[MessageIn], parent: str | None = None
    ) -> None:
        """Appends messages in the transaction of a session that has the chat to itself, as `append` does.

        Whether the lease and the version allow that, the caller has looked. Raises Unprocessable (422) for no parent.
        """
        if messages:
            await self.append_new_in(session, chat, new_messages_of(messages), parent)

    async def append_new_in(
        self, session: AsyncSession, chat: Chat, new_messages: Sequence[NewMessage], parent: str | None = None
    ) -> Appended:
        """The same for new messages that are at hand."""
        append = Append(
            self.user_id,
            chat.chat_id,
            None,
            None,
            new_messages,
            now(),
            parent=parent,
            # The lease is that of the caller.
            lease_token=chat.lease_token if is_held(chat) else None,
        )
        result = await self._result_of(ChatRef(chat.chat_id, None), await self._writer.append_in(session, append))
        await session.refresh(chat)
        assert isinstance(result, Appended)
        return result

    async def _result_of(self, ref: ChatRef, outcome: Outcome) -> AppendResult:
        """The result of an append. Raises a Problem where it was refused."""
        match outcome:
            case NoSuchChat():
                raise NotFound
            case NoSuchParent():
                raise Unprocessable("The parent is no message of this chat.")
            case VersionMismatch():
                raise PreconditionFailed
            case KeyTaken():
                raise KeyConflict(outcome)
            case LeaseHeld():
                raise await self._lease_refusal(ref)
        return outcome

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
