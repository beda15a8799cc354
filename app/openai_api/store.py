"""The store of items: the messages of a chat's active branch, each as the items of the Responses API that it gives."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlmodel.ext.asyncio.session import AsyncSession

from app.chats.serialize import etag
from app.codecs import CODECS, Codec, same
from app.db.driver import Row, SessionReader
from app.db.types import now
from app.http.errors import NotFound, Unprocessable
from app.http.references import ChatRef
from app.messages.append.new_message import NewMessage
from app.messages.branching.segments import BranchReader
from app.messages.branching.tree_cache import tree_of
from app.messages.cache import HistoryPage
from app.messages.history import Span
from app.messages.schemas import HistoryQuery
from app.messages.serialize import FIELDS, items_of, message_json
from app.messages.store import Found, MessageStore
from app.models import Chat
from app.openai_api.ids import message_of
from app.openai_api.items import Json, shown
from app.openai_api.retries import KNOWN_FOR
from app.openai_api.schemas import ItemQuery

_STATUS, _PAYLOAD, _CREATED_AT = (FIELDS.index(name) for name in ("status", "payload", "created_at"))
# How the payload of a message begins that came as an item.
_CAME = '{"format":"responses"'
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

    async def page(self, ref: ChatRef, query: ItemQuery, asked: bytes) -> bytes:
        """A list of items as JSON. `asked` is the query as text, under which it is remembered as pages of messages are.

        Raises NotFound, and Unprocessable (422) where there is no item to begin after.
        """
        remembered_as = (self._messages.user_id, ref.name, "items", asked)
        page = self._messages.cache.get(remembered_as)
        if page is None or page.etag != etag(*await self._messages.version(ref)):
            page = await self._read_items(ref, query)
            self._messages.cache.put(remembered_as, page)
        return page.body

    async def _read_items(self, ref: ChatRef, query: ItemQuery) -> HistoryPage:
        ascending, chat_id = query.order == "asc", ref.name
        after = await self._position(ref, query.after) if query.after is not None else None
        # Together with the message in the midst of which the page may begin.
        since = None if after is None else after[0] - 1 if ascending else after[0] + 1
        found: list[Json] = []
        version: int | None = None
        while True:
            wanted = HistoryQuery(order=query.order, limit=query.limit + 1)
            setattr(wanted, "after_seq" if ascending else "before_seq", since)
            rows = await self._messages.read(chat_id, chat_id, wanted)
            # Of several reads the first says what the page is at least of: what is newer is read again.
            version = rows.version if version is None else version
            for seq, place, one in _items_of(rows, ascending):
                if after is None or ((seq, place) > after if ascending else (seq, place) < after):
                    found.append(one)
            if len(found) > query.limit or not rows.more:
                has_more = len(found) > query.limit
                return HistoryPage(etag(chat_id, version), list_json(found[: query.limit], has_more), None)
            since = rows.placed[-1][0][1]

    async def _position(self, ref: ChatRef, item: str) -> tuple[int, int]:
        try:
            row, place, _ = await self._item(ref, item)
        except NotFound:
            # Unless there is no such conversation.
            await self._messages.version(ref)
            raise Unprocessable(errors=_UNKNOWN_AFTER) from None
        return row[1], place

    async def item(self, ref: ChatRef, item: str) -> bytes:
        """An item as JSON, by its id. Raises NotFound."""
        _, _, found = await self._item(ref, item)
        return orjson.dumps(found)

    async def _item(self, ref: ChatRef, item: str) -> tuple[Row, int, Json]:
        message_id, place = message_of(item)
        row = await self._messages.row(ref, message_id)
        for number, one in _items(row, row[-4], row[-5]):
            if number == place:
                return row, place, one
        raise NotFound

    async def tail(self, session: AsyncSession, chat: Chat, new_messages: Sequence[NewMessage]) -> Sequence[str] | None:
        """The ids of the last messages of a chat's active branch, if they are just what drafts would become.

        None where they are not, or were written too long ago.
        """
        reader = SessionReader(session)
        branch = BranchReader(reader, self._messages.user_id, chat.chat_id, in_session=True)
        span = Span(None, None, None, "desc", len(new_messages))
        placed = await branch.read((await tree_of(reader, chat)).active_branch, span)
        if len(placed) < len(new_messages):
            return None
        rows = [row for row, _ in reversed(placed)]
        alike = all(_is(row, one) for row, one in zip(rows, new_messages, strict=True))
        return [str(row[0]) for row in rows] if alike else None


def _items_of(found: Found, ascending: bool) -> Iterator[tuple[int, int, Json]]:
    """The items of messages, each with its message's seq and its place there."""
    for row, parent in found.placed:
        some = _items(row, found.chat_id, parent)
        yield from ((row[1], place, one) for place, one in (some if ascending else reversed(some)))


def _items(row: Row, chat_id: str, parent_id: Any) -> list[tuple[int, Json]]:
    """The items that a message gives, as they are answered, each with its place."""
    items, came = items_of(row, chat_id, parent_id, responses()), (row[_PAYLOAD] or "").startswith(_CAME)
    return [(place, shown(one, str(row[0]), place, row[_STATUS], came=came)) for place, one in enumerate(items)]


def _is(row: Row, one: NewMessage) -> bool:
    """Whether a message that was just stored is what a draft would become."""
    created_at = row[_CREATED_AT]
    written_at = created_at if isinstance(created_at, datetime) else datetime.fromisoformat(created_at)
    if written_at < now() - KNOWN_FOR:
        return False
    payload = None if row[_PAYLOAD] is None else orjson.loads(row[_PAYLOAD])
    message = orjson.loads(message_json(row, "", None))
    its_own = ("message_id", "chat_id", "seq", "parent_id", "created_at")
    return same(
        [payload, {name: value for name, value in message.items() if name not in its_own}],
        [one.payload, {name: value for name, value in one.public.items() if name not in its_own}],
    )
