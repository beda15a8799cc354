"""The messages of a chat as the items that an agent's session consists of, by HTTP.

A session appends, takes off, clears, and replaces what there is or the end of it, which is what compaction does.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from chatkeep.async_client import AsyncChatkeep
from chatkeep.errors import ChatkeepError, NotFound, PreconditionFailed
from chatkeep.models.messages import Message
from chatkeep.models.model import Page

Item = dict[str, Any]
Expired = Callable[[Item], bool]
"""Says of an item whether nobody may read it any more."""
Replace = Callable[[int, Sequence[Item]], Awaitable[bool]]
"""Puts items in the place of those from a number on, counted from 0. False where that is not possible any more."""
Snapshot = tuple[list[Item], bool, Replace]
"""The newest items in their order, whether those are all, and how to replace the end of them."""

FORMAT: Final = "responses"
# What one request may hold: of messages to append, and of a page.
MAX_BATCH: Final = 1000
MAX_PAGE: Final = 200
# The type of what a wrapping session saves that is no item of the Responses API, such as an encrypted one.
OTHER: Final = "agents_session_item"
# A chat that changes between the pages of one read is read again, so often.
_ATTEMPTS: Final = 3


class ChatItems:
    """The messages of a chat of the service, by HTTP.

    Args:
        client: what sends the requests.
        chat: a `chat_id` or `key:<key>`; one by key is created by the first append.
        turn: the token of the turn that writes belong to, where one was taken.
    """

    def __init__(self, client: AsyncChatkeep, chat: str, turn: int | None = None) -> None:
        self._client = client
        self._chat = chat
        self._turn = turn

    async def newest(self, limit: int | None) -> list[Item]:
        """The newest items, at most `limit`, in the order they were added; all with None. None are there: []."""
        if limit is not None and limit <= 0:
            return []
        # From the end backwards where not all are asked for: a long chat costs what its end costs.
        size = MAX_PAGE if limit is None else min(limit, MAX_PAGE)
        found: list[Item] = []
        cursor: str | None = None
        try:
            while limit is None or len(found) < limit:
                page = await self._client.messages.page(
                    self._chat,
                    format=FORMAT,
                    order="asc" if limit is None else "desc",
                    limit=size,
                    cursor=cursor,
                )
                found += page.items
                cursor = page.next_cursor
                if cursor is None:
                    break
        except NotFound:
            return []
        return found if limit is None else found[:limit][::-1]

    async def append(self, items: Sequence[Item]) -> None:
        """Adds items, up to 1,000 in one step; more in steps of 1,000, one after the other."""
        for start in range(0, len(items), MAX_BATCH):
            batch = list(items[start : start + MAX_BATCH])
            await self._client.messages.append(self._chat, batch, format=FORMAT, turn=self._turn)

    async def pop(self) -> Item | None:
        """Takes the newest item off, and gives it to nobody else. None where there is none."""
        with suppress(NotFound):
            while (items := await self._client.messages.pop(self._chat, format=FORMAT, turn=self._turn)) is not None:
                if items:
                    # Another library's message may be several items: those before the last go back.
                    await self.append(items[:-1])
                    return items[-1]
        return None

    async def clear(self) -> None:
        """Takes every item off."""
        with suppress(NotFound):
            await self._client.messages.clear(self._chat, turn=self._turn)

    async def replace(self, items: Sequence[Item]) -> bool:
        """They begin a branch at the root, which is the active one then: what was there stays readable as a branch."""
        if not 0 < len(items) <= MAX_BATCH:
            return False
        await self._client.messages.append(self._chat, list(items), format=FORMAT, parent=None, turn=self._turn)
        return True

    async def snapshot(self, limit: int, expired: Expired | None = None) -> Snapshot | None:
        """The newest items as they are at one version of the chat, at most `limit`, and how to replace their end.

        The end is replaced in one step, and only at that version: its replacement begins a branch there. Expired items
        that the chat begins with are deleted then. None where the chat changed whenever it was read.
        """
        for _ in range(_ATTEMPTS):
            pages: list[Page[Item]] = []
            items: list[Item] = []
            size = min(limit, MAX_PAGE)
            try:
                while len(items) < limit and (not pages or pages[-1].next_cursor is not None):
                    cursor = pages[-1].next_cursor if pages else None
                    page = await self._client.messages.page(
                        self._chat, format=FORMAT, order="desc", limit=size, cursor=cursor
                    )
                    pages.append(page)
                    items += page.items
            except NotFound:
                return [], True, _nothing_to_replace
            if pages and len({page.etag for page in pages}) == 1 and (etag := pages[0].etag) is not None:
                newest = items[:limit][::-1]
                complete = pages[-1].next_cursor is None and len(items) <= limit
                counts = [len(page.items) for page in pages]
                end = _End(self._client, self._chat, self._turn, etag, size, counts, len(newest), expired)
                return newest, complete, end.replace
        return None


async def _nothing_to_replace(start: int, output: Sequence[Item]) -> bool:
    return False


class _Changed(Exception):
    """The chat is not any more what was read."""


@dataclass(frozen=True, slots=True)
class _End:
    """The end of a chat as it was read.

    `etag` is its version; each page had `size` messages, which are as many items as `counts` says, and the newest
    `total` of those are what was asked for.
    """

    client: AsyncChatkeep
    chat: str
    turn: int | None
    etag: str
    size: int
    counts: Sequence[int]
    total: int
    expired: Expired | None

    async def replace(self, start: int, output: Sequence[Item]) -> bool:
        """Puts items in the place of those from `start` on, counted from 0, of what was asked for.

        False where the chat changed, where a message would be split, and where they are more than a request holds.
        """
        number = self.total - start
        if number <= 0 or len(output) > MAX_BATCH:
            return False
        try:
            first = await self._first(number)
            if first is None:
                return False
            await self._put(first, list(output))
        except (NotFound, PreconditionFailed, _Changed):
            return False
        if self.expired is not None and first.parent_id is not None:
            # Nobody misses them: what cannot be deleted now is there for the next time.
            with suppress(ChatkeepError):
                await self._prune(first, self.expired)
        return True

    async def _put(self, first: Message, output: list[Item]) -> None:
        parent, messages = first.parent_id, self.client.messages
        if output:
            await messages.append(self.chat, output, format=FORMAT, parent=parent, turn=self.turn, if_match=self.etag)
        else:
            await self.client.chats.patch(self.chat, head=parent, turn=self.turn, if_match=self.etag)

    async def _first(self, number: int) -> Message | None:
        """The message with which the last `number` items begin; None where they begin inside of one."""
        cursor: str | None = None
        for count in self.counts:
            page = await self.client.messages.page(self.chat, order="desc", limit=self.size, cursor=cursor)
            self._check(page)
            if number <= count:
                length = len(page.items) if number == count else await self._length(page.items, number)
                return None if length is None else page.items[length - 1]
            number -= count
            cursor = page.next_cursor
        return None

    async def _length(self, messages: Sequence[Message], number: int) -> int | None:
        """How many of a page's newest messages, which are not all, are `number` items. None where no number of them."""
        # Most messages are one item. What more messages are is more items, or as many.
        low, high = 1, len(messages) - 1
        length = min(number, high)
        while low <= high:
            page = await self.client.messages.page(
                self.chat,
                format=FORMAT,
                order="desc",
                limit=self.size,
                after_seq=messages[length].seq,
                before_seq=messages[0].seq + 1,
            )
            self._check(page)
            if len(page.items) == number:
                return length
            if len(page.items) < number:
                low = length + 1
            else:
                high = length - 1
            length = (low + high) // 2
        return None

    def _check(self, page: Page[Any]) -> None:
        if page.etag != self.etag:
            raise _Changed

    async def _prune(self, first: Message, expired: Expired) -> None:
        """Deletes the expired items that the chat begins with, up to the message `first`."""
        while True:
            window: Any = {"limit": MAX_PAGE, "before_seq": first.seq}
            messages = await self.client.messages.page(self.chat, **window)
            items = await self.client.messages.page(self.chat, format=FORMAT, **window)
            if messages.etag != items.etag:
                return
            deleted = 0
            # What expires is kept as one message each: up to the first other one, they stand beside each other.
            for message, item in zip(messages.items, items.items, strict=False):
                if message.type != OTHER or not expired(item):
                    return
                with suppress(NotFound):
                    await self.client.messages.delete(message.chat_id, message.message_id, turn=self.turn)
                deleted += 1
            if messages.next_cursor is None or deleted < len(messages.items):
                return
