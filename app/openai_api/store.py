"""The store of items: reads the messages of a chat's active branch as items of the Responses API."""

from collections.abc import Iterator, Sequence
from typing import Any

import orjson
from sqlmodel.ext.asyncio.session import AsyncSession

from app.chats.serialize import etag
from app.codecs import CODECS, Codec, same_json
from app.db.driver import Row, SessionReader
from app.db.timestamps import now, to_datetime
from app.http.errors import NotFound, Unprocessable
from app.http.references import ChatRef
from app.messages.append.new_message import NewMessage
from app.messages.branching.branch_reader import BranchReader
from app.messages.branching.tree_cache import tree_of
from app.messages.cache import HistoryPage
from app.messages.history import FetchedPage
from app.messages.linear_history import PageSpec
from app.messages.schemas import HistoryQuery
from app.messages.serialize import FIELDS, items_of, message_json
from app.messages.store import MessageStore
from app.models import Chat
from app.openai_api.ids import message_of
from app.openai_api.items import Json, to_openai_item
from app.openai_api.retries import RECOGNISED_FOR
from app.openai_api.schemas import ItemQuery

_STATUS, _PAYLOAD, _CREATED_AT = (FIELDS.index(name) for name in ("status", "payload", "created_at"))
# A message that was sent as an item keeps that item in its payload, which begins so.
_SENT_AS_ITEM = '{"format":"responses"'
_UNKNOWN_AFTER = [{"loc": ["query", "after"], "msg": "there is no such item in this conversation", "type": "missing"}]


def responses() -> Codec:
    """The codec that items are written in."""
    return CODECS["responses"]


def list_json(items: Sequence[Json], has_more: bool) -> bytes:
    """Items as a list of OpenAI's."""
    first, last = (items[0]["id"], items[-1]["id"]) if items else ("", "")
    return orjson.dumps({"object": "list", "data": items, "first_id": first, "last_id": last, "has_more": has_more})


class ItemStore:
    """The items of one user's conversations, over the store of that user's messages."""

    def __init__(self, messages: MessageStore) -> None:
        self._messages = messages

    async def page(self, ref: ChatRef, query: ItemQuery, query_text: bytes) -> bytes:
        """A page of items as JSON (OpenAI's list object). It is cached under `query_text`, as pages of messages are.

        Raises NotFound, and Unprocessable (422) where there is no item to begin after.
        """
        cache_key = (self._messages.user_id, ref.name, "items", query_text)
        page = self._messages.history.cache.get(cache_key)
        if page is None or page.etag != etag(*await self._messages.history.version(ref)):
            page = await self._read_items(ref, query)
            self._messages.history.cache.put(cache_key, page)
        return page.body

    async def _read_items(self, ref: ChatRef, query: ItemQuery) -> HistoryPage:
        ascending, chat_id = query.order == "asc", ref.name
        after = await self._position(ref, query.after) if query.after is not None else None
        # The page may begin in the middle of a message, so that message is read again.
        since = None if after is None else after[0] - 1 if ascending else after[0] + 1
        items: list[Json] = []
        version: int | None = None
        while True:
            history_query = HistoryQuery(order=query.order, limit=query.limit + 1)
            setattr(history_query, "after_seq" if ascending else "before_seq", since)
            messages = await self._messages.history.fetch(chat_id, chat_id, history_query)
            # The page is cached under the version of the first read. Later reads may be newer, never older.
            version = messages.version if version is None else version
            for seq, index, item in _items_of(messages, ascending):
                if after is None or ((seq, index) > after if ascending else (seq, index) < after):
                    items.append(item)
            if len(items) > query.limit or not messages.has_more:
                has_more = len(items) > query.limit
                return HistoryPage(etag(chat_id, version), list_json(items[: query.limit], has_more), None)
            since = messages.messages[-1][0][1]

    async def _position(self, ref: ChatRef, item: str) -> tuple[int, int]:
        try:
            row, index, _ = await self._item(ref, item)
        except NotFound:
            # A conversation that is not there is a 404.
            await self._messages.history.version(ref)
            raise Unprocessable(errors=_UNKNOWN_AFTER) from None
        return row[1], index

    async def item(self, ref: ChatRef, item: str) -> bytes:
        """An item as JSON, by its id. Raises NotFound."""
        return orjson.dumps((await self._item(ref, item))[2])

    async def _item(self, ref: ChatRef, item: str) -> tuple[Row, int, Json]:
        message_id, index = message_of(item)
        row = await self._messages.history.message_row(ref, message_id)
        items = _items(row, row[-4], row[-5])
        if index >= len(items):
            raise NotFound
        return row, index, items[index]

    async def tail(self, session: AsyncSession, chat: Chat, new_messages: Sequence[NewMessage]) -> Sequence[str] | None:
        """The ids of the last messages of a chat's active branch, if these say what `new_messages` say.

        None where they do not, or were written longer ago than a client retries.
        """
        reader = SessionReader(session)
        branch = BranchReader(reader, self._messages.user_id, chat.chat_id, in_session=True)
        span = PageSpec(None, None, None, "desc", len(new_messages))
        placed = await branch.read((await tree_of(reader, chat)).active_branch, span)
        if len(placed) < len(new_messages):
            return None
        rows = [row for row, _ in reversed(placed)]
        same_messages = all(_is_same_message(row, message) for row, message in zip(rows, new_messages, strict=True))
        return [str(row[0]) for row in rows] if same_messages else None


def _items_of(messages: FetchedPage, ascending: bool) -> Iterator[tuple[int, int, Json]]:
    """The items of messages, each with its message's seq and its index there."""
    for row, parent_id in messages.messages:
        numbered = list(enumerate(_items(row, messages.chat_id, parent_id)))
        yield from ((row[1], index, item) for index, item in (numbered if ascending else reversed(numbered)))


def _items(row: Row, chat_id: str, parent_id: Any) -> list[Json]:
    """The items of a message, in the form in which they are answered."""
    was_sent = (row[_PAYLOAD] or "").startswith(_SENT_AS_ITEM)
    return [
        to_openai_item(item, str(row[0]), index, row[_STATUS], was_sent=was_sent)
        for index, item in enumerate(items_of(row, chat_id, parent_id, responses()))
    ]


def _is_same_message(row: Row, new_message: NewMessage) -> bool:
    """Whether a message was stored a short time ago and says what a new one says."""
    if to_datetime(row[_CREATED_AT]) < now() - RECOGNISED_FOR:
        return False
    payload = None if row[_PAYLOAD] is None else orjson.loads(row[_PAYLOAD])
    message = orjson.loads(message_json(row, "", None))
    identity = ("message_id", "chat_id", "seq", "parent_id", "created_at")
    return same_json(
        [payload, {name: value for name, value in message.items() if name not in identity}],
        [new_message.payload, {name: value for name, value in new_message.public.items() if name not in identity}],
    )
