"""History reader: pages of the messages of a chat, and single messages, as JSON."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from app.chats.serialize import etag
from app.codecs import CODECS
from app.db.database import Database
from app.db.driver import Row, SessionReader
from app.http.errors import NotFound, Overloaded
from app.http.paging import MAX_LIMIT
from app.http.references import ChatRef
from app.messages.branching.branch_reader import BranchReader
from app.messages.branching.tree import LINEAR, SegmentRange, Tree
from app.messages.branching.tree_cache import TreeCache, load_tree
from app.messages.cache import HistoryCache, HistoryPage
from app.messages.linear_history import PageSpec, RowWithParent, cursor_after, page_spec, page_statement
from app.messages.queries import parse_message_ref
from app.messages.schemas import HistoryQuery
from app.messages.serialize import JOIN_PARENT, PARENT_ID, columns, dumps, items_of, message_fields, message_json

_VERSION = "SELECT chat_id, version FROM chats WHERE user_id = $1 AND {} = $2 AND deleted_at IS NULL"
_MESSAGE = (
    f"SELECT {columns('m')}, {PARENT_ID}, CAST(m.chat_id AS TEXT), m.segment, c.version, c.tree_version FROM chats c "
    f"JOIN messages m ON m.user_id = $1 AND m.chat_id = c.chat_id {JOIN_PARENT} "
    "WHERE c.user_id = $1 AND c.{} = $2 AND c.deleted_at IS NULL AND m.{} = $3"
)
# A tree that changes between two reads is read again; who changes it that often can wait.
_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class FetchedPage:
    """The messages that a query found in a chat, all of one version of it, and whether there are more."""

    chat_id: str
    version: int
    tree: Tree
    messages: Sequence[RowWithParent]
    has_more: bool


class HistoryReader:
    """Reads the messages of one user's chats on the driver."""

    def __init__(self, db: Database, user_id: str, cache: HistoryCache, trees: TreeCache) -> None:
        self._db = db
        self._user_id = user_id
        self.cache = cache
        self._trees = trees

    async def page(self, ref: ChatRef, query: HistoryQuery, query_text: bytes) -> HistoryPage:
        """A page of a chat's messages. It is cached under `query_text`, the query as it was written.

        A cached page is answered after one read by primary key says that the chat is still at its version.
        Raises NotFound and InvalidCursor (400).
        """
        name = ref.name
        key = (self._user_id, name, query_text)
        chat_id = ref.chat_id
        page = self.cache.get(key)
        if page is not None or chat_id is None:
            chat_id, version = await self.version(ref)
            if page is not None and page.etag == etag(chat_id, version):
                return page
        page = self._serialize(name, query, await self.fetch(chat_id, name, query))
        self.cache.put(key, page)
        return page

    async def pages_backwards(self, ref: ChatRef) -> AsyncIterator[list[dict[str, Any]]]:
        """The active branch's messages as they are answered, newest first, a page at a time. Raises NotFound."""
        chat_id, _ = await self.version(ref)
        before: int | None = None
        while True:
            query = HistoryQuery(order="desc", limit=MAX_LIMIT, before_seq=before)
            page = self._serialize(chat_id, query, await self.fetch(chat_id, chat_id, query))
            items: list[dict[str, Any]] = orjson.loads(page.body)["items"]
            if items:
                yield items
                before = items[-1]["seq"]
            if page.next_cursor is None:
                return

    async def message(self, ref: ChatRef, message: str) -> bytes:
        """A message as JSON, by `message_id` or `seq`. Raises NotFound."""
        row = await self.message_row(ref, message)
        parent_id, chat_id, _, _, tree_version = row[-5:]
        tree = await self._tree(chat_id, tree_version) if tree_version else LINEAR
        return message_json(row, chat_id, parent_id, tree.siblings.get(row[1]))

    async def message_row(self, ref: ChatRef, message: str) -> Row:
        """A message's FIELDS, the id of the one it follows, its chat, its segment, the chat's version and its tree's.

        Raises NotFound.
        """
        column, value = parse_message_ref(message)
        by, chat = ref.column
        row = await self._db.driver.fetch_one(_MESSAGE.format(by, column), self._user_id, chat, value)
        if row is None:
            raise NotFound
        return row

    async def version(self, ref: ChatRef) -> tuple[str, int]:
        """A chat's id and version. Raises NotFound."""
        by, chat = ref.column
        row = await self._db.driver.fetch_one(_VERSION.format(by), self._user_id, chat)
        if row is None:
            raise NotFound
        return str(row[0]), row[1]

    async def fetch(self, chat_id: str, name: str, query: HistoryQuery) -> FetchedPage:
        """What a query finds in a chat, which cursors call `name`. Raises NotFound and InvalidCursor (400)."""
        if query.head is None and (query.tree or self._trees.get(self._user_id, chat_id) is None):
            statement = page_statement(self._user_id, name, query)
            rows = await self._db.driver.fetch(statement.sql, self._user_id, chat_id, *statement.arguments)
            if rows:
                version, tree_version = statement.versions(rows)
                tree = await self._tree(chat_id, tree_version) if tree_version else LINEAR
                return FetchedPage(chat_id, version, tree, *statement.page(rows))
        return await self._fetch_branch(chat_id, name, query)

    async def _fetch_branch(self, chat_id: str, name: str, query: HistoryQuery) -> FetchedPage:
        """The messages of a branch, of the active one or that of `query.head`."""
        for _ in range(_ATTEMPTS):
            tree = await self._tree(chat_id)
            reader = BranchReader(self._db.driver, self._user_id, chat_id)
            branch = await self._branch(reader, tree, query.head)
            messages, has_more = await self._branch_page(name, query, reader, branch)
            if reader.tree_versions == {tree.version}:
                # What was read by several statements is at least of the version that the first of them saw.
                return FetchedPage(chat_id, min(reader.versions), tree, messages, has_more)
            await self._tree(chat_id, max(reader.tree_versions))
        raise Overloaded

    async def _branch(self, reader: BranchReader, tree: Tree, head: str | None) -> Sequence[SegmentRange]:
        if head is None:
            return tree.active_branch
        row = await self.message_row(ChatRef(reader.chat_id, None), head)
        reader.note_versions(row[-2], row[-1])
        return tree.branch(row[-3], row[1])

    async def _branch_page(
        self, name: str, query: HistoryQuery, reader: BranchReader, branch: Sequence[SegmentRange]
    ) -> tuple[list[RowWithParent], bool]:
        """The messages of a page, and whether there are more."""
        if query.around_seq is not None:
            half = query.limit // 2
            before: list[RowWithParent] = []
            if half:
                before = await reader.read(branch, PageSpec(None, query.around_seq, None, "desc", half + 1))
            after = PageSpec(query.around_seq - 1, None, None, "asc", query.limit - half)
            return [*before[:half][::-1], *await reader.read(branch, after)], False
        if query.last is not None:
            # One more, which the first of them follows.
            messages = await reader.read(branch, PageSpec(None, None, query.role, "desc", query.last + 1))
            return messages[: query.last][::-1], False
        spec = page_spec(self._user_id, name, query)
        if query.max_turns is not None and query.cursor is None:
            turns = await reader.read(branch, PageSpec(None, None, "user", "desc", query.max_turns))
            if len(turns) == query.max_turns:
                spec = PageSpec(turns[-1][0][1] - 1, None, None, "asc", spec.limit)
        messages = await reader.read(branch, replace(spec, limit=spec.limit + 1))
        return messages[: spec.limit], len(messages) > spec.limit

    async def _tree(self, chat_id: str, version: int | None = None) -> Tree:
        """The chat's tree at this version or a later one; with None the one that was read last. Raises NotFound."""
        tree = self._trees.get(self._user_id, chat_id)
        if tree is None or (version is not None and tree.version < version):
            async with self._db.snapshot() as session:
                tree = await load_tree(SessionReader(session), self._user_id, chat_id)
            if tree is None:
                raise NotFound
            if tree.version:
                self._trees.put(self._user_id, chat_id, tree)
        return tree

    def _serialize(self, name: str, query: HistoryQuery, page: FetchedPage) -> HistoryPage:
        chat_id, messages, siblings = page.chat_id, page.messages, page.tree.siblings
        next_cursor = cursor_after(self._user_id, name, query, messages[-1][0][1]) if page.has_more else None
        if query.format is not None:
            codec, step = CODECS[query.format], -1 if query.order == "desc" else 1
            items = [item for row, parent in messages for item in items_of(row, chat_id, parent, codec)[::step]]
            if codec.join is not None:
                items = codec.join(items[::step])[::step]
        elif siblings:
            items = [message_fields(row, chat_id, parent, siblings.get(row[1])) for row, parent in messages]
        else:
            items = [message_fields(row, chat_id, parent) for row, parent in messages]
        body = dumps({"items": items, "next_cursor": next_cursor})
        return HistoryPage(etag(chat_id, page.version), body, next_cursor)
