"""Session items over HTTP: the messages of a chat as the items of an agent's session.

A session appends, pops and clears items; compaction replaces all of them, or the last ones.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from chatkeep._async.client import AsyncChatkeep
from chatkeep.errors import ChatkeepError, NotFound, PreconditionFailed
from chatkeep.models.messages import Message
from chatkeep.models.model import Page

Item = dict[str, Any]
IsExpired = Callable[[Item], bool]
"""Whether an item may not be read any more."""
Replace = Callable[[int, Sequence[Item]], Awaitable[bool]]
"""Replaces the items from an index on, counted from 0. False where that is not possible any more."""
Snapshot = tuple[list[Item], bool, Replace]
"""The newest items in their order, whether those are all, and a function that replaces the last of them."""

FORMAT: Final = "responses"
# The limits of one request: messages to append, and messages of a page.
MAX_BATCH: Final = 1000
MAX_PAGE: Final = 200
# The type of an item that is not one of the Responses API, such as what an encrypting session saves.
OPAQUE_TYPE: Final = "agents_session_item"
# How often a chat is read again that changed between the pages of one read.
_MAX_READS: Final = 3


class HttpSessionItems:
    """The items of a session over HTTP: the messages of a chat.

    Args:
        client: the client that sends the requests.
        chat: a `chat_id` or `key:<key>`; one by key is created by the first append.
        turn: the token of the turn that writes belong to, where one was taken.
    """

    def __init__(self, client: AsyncChatkeep, chat: str, turn: int | None = None) -> None:
        self._client = client
        self._chat = chat
        self._turn = turn

    async def newest(self, limit: int | None) -> list[Item]:
        """The newest items, at most `limit`, in the order they were added; all with None."""
        if limit is not None and limit <= 0:
            return []
        # From the end backwards unless all are asked for, so that a long chat costs no more than its end.
        size = MAX_PAGE if limit is None else min(limit, MAX_PAGE)
        items: list[Item] = []
        cursor: str | None = None
        try:
            while limit is None or len(items) < limit:
                page = await self._client.messages.page(
                    self._chat,
                    format=FORMAT,
                    order="asc" if limit is None else "desc",
                    limit=size,
                    cursor=cursor,
                )
                items += page.items
                cursor = page.next_cursor
                if cursor is None:
                    break
        except NotFound:
            return []
        return items if limit is None else items[:limit][::-1]

    async def append(self, items: Sequence[Item]) -> None:
        """Adds items, up to 1,000 in one step; more in steps of 1,000, one after the other."""
        for start in range(0, len(items), MAX_BATCH):
            batch = list(items[start : start + MAX_BATCH])
            await self._client.messages.append(self._chat, batch, format=FORMAT, turn=self._turn)

    async def pop(self) -> Item | None:
        """Removes and returns the newest item, which no other caller gets. None where there is none."""
        with suppress(NotFound):
            while (items := await self._client.messages.pop(self._chat, format=FORMAT, turn=self._turn)) is not None:
                if items:
                    # A message of another library may be several items: those before the last are put back.
                    await self.append(items[:-1])
                    return items[-1]
        return None

    async def clear(self) -> None:
        """Removes every item."""
        with suppress(NotFound):
            await self._client.messages.clear(self._chat, turn=self._turn)

    async def replace(self, items: Sequence[Item]) -> bool:
        """Replaces all items: these begin a new active branch at the root, and the old branch stays readable."""
        if not 0 < len(items) <= MAX_BATCH:
            return False
        await self._client.messages.append(self._chat, list(items), format=FORMAT, parent=None, turn=self._turn)
        return True

    async def snapshot(self, limit: int, is_expired: IsExpired | None = None) -> Snapshot | None:
        """The newest items at one version of the chat, at most `limit`, and a function that replaces the last of them.

        It does so in one step, and only at that version: the replacement begins a branch there. Then it deletes the
        expired items that the chat begins with. None where the chat changed whenever it was read.
        """
        for _ in range(_MAX_READS):
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
                return [], True, _replace_nothing
            if pages and len({page.etag for page in pages}) == 1 and (etag := pages[0].etag) is not None:
                newest = items[:limit][::-1]
                complete = pages[-1].next_cursor is None and len(items) <= limit
                counts = [len(page.items) for page in pages]
                tail = _Tail(self._client, self._chat, self._turn, etag, size, counts, len(newest), is_expired)
                return newest, complete, tail.replace
        return None


async def _replace_nothing(start: int, output: Sequence[Item]) -> bool:
    return False


class _ChatChanged(Exception):
    """The chat has changed since it was read."""


@dataclass(frozen=True, slots=True)
class _Tail:
    """The last items of a chat as they were read.

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
    is_expired: IsExpired | None

    async def replace(self, start: int, output: Sequence[Item]) -> bool:
        """Replaces the items from `start` on, counted from 0, of those that were asked for.

        False where the chat changed, where a message would be split, and where the items exceed one request.
        """
        number = self.total - start
        if number <= 0 or len(output) > MAX_BATCH:
            return False
        try:
            first = await self._first_message(number)
            if first is None:
                return False
            await self._write_branch(first, list(output))
        except (NotFound, PreconditionFailed, _ChatChanged):
            return False
        if self.is_expired is not None and first.parent_id is not None:
            # Pruning is optional: what cannot be deleted now is deleted the next time.
            with suppress(ChatkeepError):
                await self._prune(first, self.is_expired)
        return True

    async def _write_branch(self, first: Message, output: list[Item]) -> None:
        parent, messages = first.parent_id, self.client.messages
        if output:
            await messages.append(self.chat, output, format=FORMAT, parent=parent, turn=self.turn, if_match=self.etag)
        else:
            await self.client.chats.patch(self.chat, head=parent, turn=self.turn, if_match=self.etag)

    async def _first_message(self, number: int) -> Message | None:
        """The message that the last `number` items begin with; None where they begin inside of one."""
        cursor: str | None = None
        for count in self.counts:
            page = await self.client.messages.page(self.chat, order="desc", limit=self.size, cursor=cursor)
            self._check_unchanged(page)
            if number <= count:
                length = len(page.items) if number == count else await self._message_count(page.items, number)
                return None if length is None else page.items[length - 1]
            number -= count
            cursor = page.next_cursor
        return None

    async def _message_count(self, messages: Sequence[Message], number: int) -> int | None:
        """How many of a page's newest messages, which are not all, are `number` items. None where no count fits."""
        # A binary search, since more messages are never fewer items. Most messages are one item, so it begins there.
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
            self._check_unchanged(page)
            if len(page.items) == number:
                return length
            if len(page.items) < number:
                low = length + 1
            else:
                high = length - 1
            length = (low + high) // 2
        return None

    def _check_unchanged(self, page: Page[Any]) -> None:
        if page.etag != self.etag:
            raise _ChatChanged

    async def _prune(self, first: Message, is_expired: IsExpired) -> None:
        """Deletes the expired items that the chat begins with, up to the message `first`."""
        while True:
            window: Any = {"limit": MAX_PAGE, "before_seq": first.seq}
            messages = await self.client.messages.page(self.chat, **window)
            items = await self.client.messages.page(self.chat, format=FORMAT, **window)
            if messages.etag != items.etag:
                return
            deleted = 0
            # Items that can expire are one message each, so messages and items match up to the first other one.
            for message, item in zip(messages.items, items.items, strict=False):
                if message.type != OPAQUE_TYPE or not is_expired(item):
                    return
                with suppress(NotFound):
                    await self.client.messages.delete(message.chat_id, message.message_id, turn=self.turn)
                deleted += 1
            if messages.next_cursor is None or deleted < len(messages.items):
                return
