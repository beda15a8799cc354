"""Session items over the service's own stores, for agents that run inside its process.

It has the methods that `chatkeep.openai_agents.ChatkeepSession` asks of its `items`, and does what the same session
does over HTTP, by the same rules: what a request's body may hold, whose chat it is, whose turn.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
from sqlmodel.ext.asyncio.session import AsyncSession

from app.chats.lease import check_lease
from app.chats.store import ChatStore
from app.codecs import CODECS, Codec, encode_message
from app.db.database import Database
from app.db.driver import SessionReader
from app.http import strict_json
from app.http.errors import NotFound
from app.http.paging import MAX_LIMIT
from app.http.references import ChatRef
from app.messages.branching.branch_reader import BranchReader
from app.messages.branching.store import BranchStore
from app.messages.branching.tree import SegmentRange
from app.messages.branching.tree_cache import tree_of
from app.messages.edits import EditStore
from app.messages.items import decode_message
from app.messages.linear_history import PageSpec
from app.messages.schemas import DecodedMessage, HistoryQuery
from app.messages.serialize import items_of
from app.messages.store import MessageStores
from app.models import Chat

Item = dict[str, Any]
Expired = Callable[[Item], bool]
"""Says of an item whether nobody may read it any more."""
Replace = Callable[[int, Sequence[Item]], Awaitable[bool]]
"""Puts items in the place of those from a number on, counted from 0. False where that is not possible any more."""


class Services(Protocol):
    """What of the app's services it takes."""

    @property
    def db(self) -> Database:
        """The database."""

    @property
    def messages(self) -> MessageStores:
        """Gives the store of a user's messages."""


class StoredItems:
    """The items of one session: the messages of a chat in a codec, oldest first.

    Args:
        services: the app's, `request.app.state.services`; used in the app's event loop.
        user_id: whose chat it is. Nobody else's is ever read or written.
        chat: a `chat_id` or `key:<key>`; one by key is created by the first append.
        codec: in which the items are, `responses` or another that `format` knows.
    """

    def __init__(self, services: Services, user_id: str, chat: str, codec: str = "responses") -> None:
        self._db = services.db
        self._ref = ChatRef.parse(chat)
        self._codec = CODECS[codec]
        self._chats = ChatStore(services.db, user_id)
        self._messages = services.messages(user_id)

    async def newest(self, limit: int | None) -> list[Item]:
        """The newest items, at most `limit`, in the order they were added; all with None. [] where there is no chat."""
        if limit is not None and limit <= 0:
            return []
        # From the end backwards where not all are asked for: a long chat costs what its end costs.
        fields: dict[str, Any] = {"format": self._codec.name, "order": "asc", "limit": MAX_LIMIT}
        if limit is not None:
            fields |= {"order": "desc", "limit": min(limit, MAX_LIMIT)}
        items: list[Item] = []
        cursor: str | None = None
        try:
            while limit is None or len(items) < limit:
                query = HistoryQuery.model_validate(fields | {"cursor": cursor})
                page = await self._messages.history.page(self._ref, query, f"runs {query.model_dump_json()}".encode())
                items += orjson.loads(page.body)["items"]
                cursor = page.next_cursor
                if cursor is None:
                    break
        except NotFound:
            return []
        return items if limit is None else items[:limit][::-1]

    async def append(self, items: Sequence[Item]) -> None:
        """Adds items together, next to each other, or none of them, however many they are.

        Raises RequestValidationError for what is no item of the codec, Unprocessable (422) for what JSON does not
        carry safely, Conflict (409) while somebody holds the chat's turn, NotFound for a `chat_id` that is not there.
        """
        if not items:
            return
        await self._messages.append(self._ref, self._read(items))

    async def pop(self) -> Item | None:
        """Takes the newest item off, and gives it to nobody else; None where there is none. Raises Conflict (409)."""
        async with self._db.write() as session:
            if (chat := await self._find(session)) is None:
                return None
            check_lease(chat, None)
            while (popped := await EditStore().pop(session, chat)) is not None:
                body, payload = popped
                items = encode_message(self._codec, orjson.loads(body), payload)
                if items:
                    # Another library's message may be several items: those before the last go back.
                    await self._messages.append_in(session, chat, self._read(items[:-1]))
                    return items[-1]
        return None

    async def clear(self) -> None:
        """Takes every item off; the chat stays. Raises Conflict (409)."""
        async with self._db.write() as session:
            if (chat := await self._find(session)) is None:
                return
            check_lease(chat, None)
            await EditStore().clear(session, chat)

    async def replace(self, items: Sequence[Item]) -> bool:
        """Puts items in the place of all there are: a branch from the root, which is the active one then.

        What was there stays readable as a branch. False where there is nothing to put. Raises what `append` raises.
        """
        messages = self._read(items)
        if not messages:
            return False
        await self._messages.append(self._ref, messages, parent="")
        return True

    async def snapshot(self, limit: int, expired: Expired | None = None) -> tuple[list[Item], bool, Replace]:
        """The newest items, at most `limit`, whether those are all, and how to replace the end of them.

        That happens in one step, and only while the chat is at the version that was read: the replacement begins a
        branch there. Expired items that the chat begins with are deleted with it. It raises what `append` raises.
        """
        async with self._db.snapshot() as session:
            if (chat := await self._find(session, lock=False)) is None:
                return [], True, _nothing_to_replace
            branch = await self._branch(session, chat)
            stored: list[_StoredMessage] = []
            size = min(limit + 1, MAX_LIMIT)
            more = True
            while more and sum(len(message.items) for message in stored) <= limit:
                page = await branch.read(None, stored[-1].seq if stored else None, "desc", size)
                stored += page
                more = len(page) == size
        items = [item for message in reversed(stored) for item in message.items]
        newest = items[max(0, len(items) - limit) :]

        async def replace(start: int, output: Sequence[Item]) -> bool:
            first = _first(stored, len(newest) - start)
            return first is not None and await self._replace_from(first, chat, output, expired)

        return newest, len(items) <= limit, replace

    async def _find(self, session: AsyncSession, lock: bool = True) -> Chat | None:
        try:
            return await self._chats.find(session, self._ref, lock=lock)
        except NotFound:
            return None

    async def _replace_from(
        self, first: "_StoredMessage", seen: Chat, output: Sequence[Item], expired: Expired | None
    ) -> bool:
        messages = self._read(output)
        parent = first.parent_id or ""
        async with self._db.write() as session:
            chat = await self._find(session)
            if chat is None or (chat.chat_id, chat.version) != (seen.chat_id, seen.version):
                return False
            check_lease(chat, None)
            expired_ids = [] if expired is None else await self._expired(session, chat, first.seq, expired)
            if messages:
                await self._messages.append_in(session, chat, messages, parent)
            else:
                await BranchStore().switch(session, chat, parent)
            for message_id in expired_ids:
                await EditStore().delete(session, chat, message_id)
        return True

    async def _expired(self, session: AsyncSession, chat: Chat, before: int, expired: Expired) -> list[str]:
        """The messages before a seq with which the chat begins and all of whose items are expired."""
        branch = await self._branch(session, chat)
        message_ids: list[str] = []
        after: int | None = None
        while page := await branch.read(after, before, "asc"):
            for message in page:
                if not message.items or not all(expired(item) for item in message.items):
                    return message_ids
                message_ids.append(message.message_id)
                after = message.seq
        return message_ids

    async def _branch(self, session: AsyncSession, chat: Chat) -> "_Branch":
        reader = SessionReader(session)
        tree = await tree_of(reader, chat)
        branch_reader = BranchReader(reader, chat.user_id, chat.chat_id, in_session=True)
        return _Branch(branch_reader, tree.active_branch, self._codec)

    def _read(self, items: Sequence[Item]) -> list[DecodedMessage]:
        # As a request's body is read: what another process could not send is not stored by this one either.
        value = json.loads(json.dumps(list(items)))
        strict_json.check(value)
        return [decode_message(self._codec, item, ("items", number)) for number, item in enumerate(value)]


@dataclass(frozen=True, slots=True)
class _StoredMessage:
    """A stored message, and its items."""

    message_id: str
    seq: int
    parent_id: str | None
    items: list[Item]


@dataclass(frozen=True, slots=True)
class _Branch:
    """The active branch of a chat, for one session."""

    reader: BranchReader
    ranges: Sequence[SegmentRange]
    codec: Codec

    async def read(
        self, after: int | None, before: int | None, order: str, limit: int = MAX_LIMIT
    ) -> list[_StoredMessage]:
        """At most `limit` of its messages between two seqs, in that order."""
        placed = await self.reader.read(self.ranges, PageSpec(after, before, None, order, limit))
        return [
            _StoredMessage(
                str(row[0]), row[1], parent and str(parent), items_of(row, self.reader.chat_id, parent, self.codec)
            )
            for row, parent in placed
        ]


async def _nothing_to_replace(start: int, output: Sequence[Item]) -> bool:
    return False


def _first(stored: Sequence[_StoredMessage], number: int) -> _StoredMessage | None:
    """The message with which the last `number` items begin, of messages that begin with the newest.

    None where there are none, and where they begin inside of a message.
    """
    if number <= 0:
        return None
    for message in stored:
        number -= len(message.items)
        if number <= 0:
            return message if number == 0 else None
    return None
