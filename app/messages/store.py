"""The store of messages: appending to a chat, and reading it, always within one user's rows."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
from sqlalchemy import JSON, insert, or_, select
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession
from uuid_utils import uuid7

from app.chats.lease import refusal
from app.chats.serialize import etag
from app.codecs import CODECS
from app.db.database import Database
from app.db.driver import Reader, Row, SessionReader
from app.db.timestamps import now
from app.events.log import record
from app.http.errors import NotFound, Overloaded, Problem
from app.http.idempotency import IdempotentRequest
from app.http.paging import MAX_LIMIT
from app.http.references import ChatRef
from app.messages import history as linear
from app.messages.append.new_message import NewMessage, counts, new_message, totals
from app.messages.append.writer import Append, Appended, LeaseHeld, NeedsBranch, NoSuchChat, RepeatedAppend, Writer
from app.messages.branching.segments import BranchReader
from app.messages.branching.tree import END, LINEAR, Range, Tree
from app.messages.branching.tree_cache import TreeCache, load, tree_of
from app.messages.cache import HistoryCache, HistoryPage
from app.messages.history import Placed, Span, cursor_after
from app.messages.queries import count, named, of
from app.messages.schemas import HistoryQuery, MessageIn
from app.messages.serialize import (
    EXTRAS,
    JOIN_PARENT,
    PARENT_ID,
    columns,
    dumps,
    items_of,
    message_fields,
    message_json,
)
from app.models import Chat, Message

_VERSION = "SELECT chat_id, version FROM chats WHERE user_id = $1 AND {} = $2 AND deleted_at IS NULL"
_ONE = (
    f"SELECT {columns('m')}, {PARENT_ID}, CAST(m.chat_id AS TEXT), m.segment, c.version, c.tree_version FROM chats c "
    f"JOIN messages m ON m.user_id = c.user_id AND m.chat_id = c.chat_id {JOIN_PARENT} "
    "WHERE c.user_id = $1 AND c.{} = $2 AND c.deleted_at IS NULL AND m.{} = $3"
)
_INSTRUCTIONS = "m.role IN ('system', 'developer')"
# A tree that changes between two reads is read again; who changes it that often can wait.
_ATTEMPTS = 20
_LEASE = "SELECT lease_holder, lease_until FROM chats WHERE user_id = $1 AND {} = $2 AND deleted_at IS NULL"


@dataclass(frozen=True, slots=True)
class Found:
    """What a query found in a chat: messages of one version of it, and whether there are more."""

    chat_id: str
    version: int
    tree: Tree
    placed: Sequence[Placed]
    more: bool


@dataclass(frozen=True, slots=True)
class MessageStores:
    """What the stores of all users have in common; called with a user's id, it gives that user's store."""

    db: Database
    writer: Writer
    history: HistoryCache
    trees: TreeCache

    def __call__(self, user_id: str) -> "MessageStore":
        """The store of a user's messages."""
        return MessageStore(self.db, user_id, self.writer, self.history, self.trees)


class MessageStore:
    """The messages of one user's chats. Methods that take a session and a chat work in its transaction."""

    def __init__(self, db: Database, user_id: str, writer: Writer, cache: HistoryCache, trees: TreeCache) -> None:
        self._db = db
        self.user_id = user_id
        self._writer = writer
        self.cache = cache
        self._trees = trees

    async def append(
        self,
        ref: ChatRef,
        messages: Sequence[MessageIn],
        idempotency: IdempotentRequest | None,
        parent: str | None,
        lease_token: int | None,
    ) -> tuple[Appended | RepeatedAppend | NeedsBranch, Sequence[NewMessage]]:
        """Appends messages together at the head; a chat named by a key is created when it is not there.

        `parent` is the message they follow, by `message_id` or seq, "" for none and None for whatever the head is; when
        it is not the head, nothing was stored, and `BranchStore.append` is for that. `lease_token` is that of the lease
        under which they are written.

        Gives what happened, and the drafts with what the messages will be read back as.
        Raises NotFound, Conflict (409) when it is not their turn, Overloaded (503) and StorageFull (507).
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
            raise await self._held(ref)
        return outcome, new_messages

    async def _held(self, ref: ChatRef) -> Problem:
        """What is answered to an append that is not in its turn."""
        by, chat = ref.column
        row = await self._db.driver.fetch_one(_LEASE.format(by), self.user_id, chat)
        return refusal(*row) if row else NotFound()

    async def history(self, ref: ChatRef, query: HistoryQuery, asked: bytes) -> HistoryPage:
        """A page of a chat's messages. `asked` is the query as text, under which the page is remembered.

        What is remembered is answered after one read by primary key says that the chat is still at its version.
        Raises NotFound and InvalidCursor (400).
        """
        name = ref.name
        remembered_as = (self.user_id, name, asked)
        chat_id = ref.chat_id
        page = self.cache.get(remembered_as)
        if page is not None or chat_id is None:
            chat_id, version = await self.version(ref)
            if page is not None and page.etag == etag(chat_id, version):
                return page
        page = self._written(name, query, await self.read(chat_id, name, query))
        self.cache.put(remembered_as, page)
        return page

    async def read(self, chat_id: str, name: str, query: HistoryQuery) -> Found:
        """What a query finds in a chat, which cursors call `name`. Raises NotFound and InvalidCursor (400)."""
        if query.head is None and (query.tree or self._trees.get(self.user_id, chat_id) is None):
            window = linear.history(self.user_id, name, query)
            rows = await self._db.driver.fetch(window.statement, self.user_id, chat_id, *window.arguments)
            if rows:
                version, number = window.version(rows)
                tree = await self._tree(chat_id, number) if number else LINEAR
                return Found(chat_id, version, tree, *window.page(rows))
        return await self._along(chat_id, name, query)

    def _written(self, name: str, query: HistoryQuery, found: Found) -> HistoryPage:
        chat_id, placed, tree = found.chat_id, found.placed, found.tree
        next_cursor = cursor_after(self.user_id, name, query, placed[-1][0][1]) if found.more else None
        if query.format is not None:
            codec, step = CODECS[query.format], -1 if query.order == "desc" else 1
            items = [one for row, parent in placed for one in items_of(row, chat_id, parent, codec)[::step]]
            if codec.join is not None:
                items = codec.join(items[::step])[::step]
        elif tree.siblings:
            items = [message_fields(row, chat_id, parent, tree.siblings.get(row[1])) for row, parent in placed]
        else:
            items = [message_fields(row, chat_id, parent) for row, parent in placed]
        body = dumps({"items": items, "next_cursor": next_cursor})
        return HistoryPage(etag(chat_id, found.version), body, next_cursor)

    async def _along(self, chat_id: str, name: str, query: HistoryQuery) -> Found:
        """The messages of a branch, of the active one or that of `query.head`."""
        for _ in range(_ATTEMPTS):
            tree = await self._tree(chat_id)
            branch = BranchReader(self._db.driver, self.user_id, chat_id)
            placed, more = await self._window(name, query, branch, await self._ranges(branch, tree, query.head))
            if branch.numbers == {tree.number}:
                # What was read by several statements is at least of the version that the first of them saw.
                return Found(chat_id, min(branch.versions), tree, placed, more)
            await self._tree(chat_id, max(branch.numbers))
        raise Overloaded

    async def _window(
        self, name: str, query: HistoryQuery, branch: BranchReader, ranges: Sequence[Range]
    ) -> tuple[list[Placed], bool]:
        """The messages of a page, and whether there are more."""
        if query.around_seq is not None:
            half = query.limit // 2
            before: list[Placed] = []
            if half:
                before = await branch.read(ranges, Span(None, query.around_seq, None, "desc", half + 1))
            after = Span(query.around_seq - 1, None, None, "asc", query.limit - half)
            return [*before[:half][::-1], *await branch.read(ranges, after)], False
        if query.last is not None:
            # One more, which the first of them follows.
            placed = await branch.read(ranges, Span(None, None, query.role, "desc", query.last + 1))
            return placed[: query.last][::-1], False
        wanted = linear.span(self.user_id, name, query)
        if query.max_turns is not None and query.cursor is None:
            turns = await branch.read(ranges, Span(None, None, "user", "desc", query.max_turns))
            if len(turns) == query.max_turns:
                wanted = Span(turns[-1][0][1] - 1, None, None, "asc", wanted.limit)
        placed = await branch.read(ranges, replace(wanted, limit=wanted.limit + 1))
        return placed[: wanted.limit], len(placed) > wanted.limit

    async def _ranges(self, branch: BranchReader, tree: Tree, head: str | None) -> Sequence[Range]:
        if head is None:
            return tree.active_branch
        row = await self.row(ChatRef(branch.chat_id, None), head)
        branch.saw(row[-2], row[-1])
        return tree.branch(row[-3], row[1])

    async def _tree(self, chat_id: str, number: int | None = None) -> Tree:
        """The chat's tree with this number or a later one; with None the one that was read last. Raises NotFound."""
        tree = self._trees.get(self.user_id, chat_id)
        if tree is None or (number is not None and tree.number < number):
            async with self._db.snapshot() as session:
                tree = await load(SessionReader(session), self.user_id, chat_id)
            if tree is None:
                raise NotFound
            if tree.number:
                self._trees.put(self.user_id, chat_id, tree)
        return tree

    async def version(self, ref: ChatRef) -> tuple[str, int]:
        """A chat's id, and the version it is at. Raises NotFound."""
        by, chat = ref.column
        row = await self._db.driver.fetch_one(_VERSION.format(by), self.user_id, chat)
        if row is None:
            raise NotFound
        return str(row[0]), row[1]

    async def get(self, ref: ChatRef, message: str) -> bytes:
        """A message as JSON, by `message_id` or `seq`. Raises NotFound."""
        row = await self.row(ref, message)
        parent, chat_id, _, _, number = row[-5:]
        tree = await self._tree(chat_id, number) if number else LINEAR
        return message_json(row, chat_id, parent, tree.siblings.get(row[1]))

    async def row(self, ref: ChatRef, message: str) -> Row:
        """The row of a message, by `message_id` or `seq`, with what `_ONE` selects. Raises NotFound."""
        column, value = named(message)
        by, chat = ref.column
        row = await self._db.driver.fetch_one(_ONE.format(by, column), self.user_id, chat, value)
        if row is None:
            raise NotFound
        return row

    async def backwards(self, ref: ChatRef) -> AsyncIterator[list[dict[str, Any]]]:
        """The active branch's messages as they are answered, newest first, a page at a time. Raises NotFound."""
        chat_id, _ = await self.version(ref)
        before: int | None = None
        while True:
            query = HistoryQuery(order="desc", limit=MAX_LIMIT, before_seq=before)
            page = self._written(chat_id, query, await self.read(chat_id, chat_id, query))
            items: list[dict[str, Any]] = orjson.loads(page.body)["items"]
            if items:
                yield items
                before = items[-1]["seq"]
            if page.next_cursor is None:
                return

    async def system_messages(self, ref: ChatRef) -> list[dict[str, Any]]:
        """The system and developer messages of the active branch as they are answered, in order. Raises NotFound."""
        chat_id, _ = await self.version(ref)
        async with self._db.snapshot() as session:
            reader = SessionReader(session)
            tree = await load(reader, self.user_id, chat_id) or LINEAR
            placed = await self._branch(reader, chat_id, tree, _INSTRUCTIONS)
        return [orjson.loads(message_json(row, chat_id, parent)) for row, parent in placed]

    async def branch_json(self, session: AsyncSession, chat: Chat) -> list[bytes]:
        """Every message of a chat's active branch as JSON, in order."""
        reader = SessionReader(session)
        tree = await tree_of(reader, chat)
        placed = await self._branch(reader, chat.chat_id, tree)
        return [message_json(row, chat.chat_id, parent, tree.siblings.get(row[1])) for row, parent in placed]

    async def _branch(self, reader: Reader, chat_id: str, tree: Tree, condition: str | None = None) -> list[Placed]:
        branch = BranchReader(reader, self.user_id, chat_id, in_session=True)
        return await branch.read(tree.active_branch, Span(None, None, None, "asc", END - 1, condition))

    async def active(self, session: AsyncSession, chat: Chat) -> list[Message]:
        """The messages of a chat's active branch, in order."""
        tree = await tree_of(SessionReader(session), chat)
        found: list[Message] = []
        ranges = tree.active_branch
        for start in range(0, len(ranges), 100):
            on = (
                (col(Message.segment) == one.segment) & (col(Message.seq) > one.after) & (col(Message.seq) <= one.upto)
                for one in ranges[start : start + 100]
            )
            found += (
                await session.execute(select(Message).where(of(chat), or_(*on)).order_by(col(Message.seq)))
            ).scalars()
        return found

    async def insert(self, session: AsyncSession, chat: Chat, messages: Sequence[MessageIn]) -> None:
        """Adds messages at the head of a chat that this session has to itself."""
        at = now()
        await self.insert_new_messages(session, chat, [new_message(message, at) for message in messages])

    async def insert_new_messages(
        self, session: AsyncSession, chat: Chat, new_messages: Sequence[NewMessage], status: str | None = None
    ) -> None:
        """Adds drafts at the head of a chat that this session has to itself, and records it."""
        if not new_messages:
            return
        if chat.tree_version and chat.head_seq != chat.last_seq:
            # Others may follow the head already: then these have siblings.
            chat.tree_version += 1
        first_seq = chat.last_seq + 1
        rows = []
        for one in new_messages:
            chat.last_seq += 1
            place = {"seq": chat.last_seq, "parent_seq": chat.head_seq, "segment": chat.segment, "status": status}
            rows.append(_values(one) | place)
            chat.head_seq, chat.head_id = chat.last_seq, one.message_id
        owner = {"user_id": chat.user_id, "chat_id": chat.chat_id}
        await session.flush()
        await session.execute(insert(Message), [owner | row for row in rows])
        count(chat, len(new_messages), totals(new_messages))
        await session.flush()
        added = ["messages", chat.platform, counts(new_messages)]
        await record(session, chat.user_id, ["appended", chat.chat_id, first_seq, len(new_messages)], counts=[added])


def _values(one: NewMessage) -> dict[str, Any]:
    """A draft as column values for SQLAlchemy; for one `insert` each has the same names."""
    said = one.public
    content = said.get("content")
    return {
        "message_id": one.message_id,
        "role": one.role,
        "type": one.type,
        "content": JSON.NULL if content is None and "content" in said else content,
        "text": one.text,
        "payload": one.payload,
        "created_at": one.created_at,
    } | {"metadata_" if name == "metadata" else name: one.extras.get(name) for name in EXTRAS}
