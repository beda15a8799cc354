"""A session of the OpenAI Agents SDK that is kept in Chatkeep: the runner remembers, on any number of machines.

Needs `chatkeep[openai-agents]`. The items that the runner saves are the messages of a chat, in `format=responses`.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from agents import RunContextWrapper, TResponseInputItem
from agents.memory.session_settings import SessionSettings, coerce_session_settings, resolve_session_limit

from chatkeep import AsyncChatkeep
from chatkeep.chat_items import OTHER, ChatItems, Item
from chatkeep.settling import settle

if TYPE_CHECKING:
    from agents.memory.session import _CompactionSnapshot

T = TypeVar("T")


class SessionItems(Protocol):
    """The items of one session, oldest first: what a `ChatkeepSession` stands on.

    It may also have a `snapshot`, as `chatkeep.chat_items.ChatItems` has it: then compaction can replace the end alone.
    """

    async def newest(self, limit: int | None) -> list[Item]:
        """The newest items, at most `limit`, in the order they were added; all with None. None are there: []."""

    async def append(self, items: Sequence[Item]) -> None:
        """Adds items together, next to each other, or none of them."""

    async def pop(self) -> Item | None:
        """Takes the newest item off, and gives it to nobody else. None where there is none."""

    async def clear(self) -> None:
        """Takes every item off."""

    async def replace(self, items: Sequence[Item]) -> bool:
        """Puts items in the place of all there are, in one step. False where it cannot, and did nothing."""


class ChatkeepSession:
    """A session of the Agents SDK (`agents.Session`) that is a chat of Chatkeep.

    It works in any number of event loops, threads, processes and machines at once. Adding items is atomic, up to 1,000
    of them, and two callers that pop never get the same item. A write that is cancelled waits for its outcome before it
    raises, as the SDK's own sessions do.

    Args:
        session_id: what the SDK calls the session.
        user_id: whose chat it is: an id, or a function that gives one from the run's context
            (`Runner.run(…, context=…)`). Unsaid: the client's own user.
        chat: which chat it is, a `chat_id` or `key:<key>`. Unsaid: `key:<session_id>`. One by key is created by the
            first write.
        client: what sends the requests; the session does not close it. Unsaid: one for CHATKEEP_URL and CHATKEEP_KEY,
            which the process's sessions share.
        items: what keeps the items instead of the service by HTTP, or a function that gives it for a user.
        turn: the token of the turn that it writes in, where one was taken (`client.turns.take`).
        session_settings: the SDK's, such as `SessionSettings(limit=50)`.
    """

    # What the SDK reads when it matches items: ids are kept as they are, so they count.
    _ignore_ids_for_matching = False

    def __init__(
        self,
        session_id: str,
        *,
        user_id: str | Callable[[Any], str] | None = None,
        chat: str | None = None,
        client: AsyncChatkeep | None = None,
        items: SessionItems | Callable[[str], SessionItems] | None = None,
        turn: int | None = None,
        session_settings: SessionSettings | dict[str, Any] | None = None,
    ) -> None:
        self.session_id = session_id
        self.session_settings: SessionSettings | None = coerce_session_settings(session_settings or SessionSettings())
        self._user_id = user_id
        self._chat = chat or f"key:{session_id}"
        self._items = items
        self._turn = turn
        self._client = client if client is not None or items is not None else _client_of_the_process()
        self._closed = False

    async def get_items(
        self, limit: int | None = None, *, wrapper: RunContextWrapper[Any] | None = None
    ) -> list[TResponseInputItem]:
        """The newest `limit` items, or those that `session_settings` say, in the order they were added."""
        limit = resolve_session_limit(limit, self.session_settings)
        found = await self._kept(wrapper).newest(limit)
        return [_from_kept(item) for item in found]

    async def add_items(
        self, items: list[TResponseInputItem], *, wrapper: RunContextWrapper[Any] | None = None
    ) -> None:
        """Adds items at the end, all or none of them (of more than 1,000, each 1,000)."""
        kept = self._kept(wrapper)
        if items:
            await _settled(kept.append([_to_keep(item) for item in items]))

    async def pop_item(self, *, wrapper: RunContextWrapper[Any] | None = None) -> TResponseInputItem | None:
        """Takes the newest item off; nobody else gets it. None where the session is empty."""
        item = await _settled(self._kept(wrapper).pop())
        return None if item is None else _from_kept(item)

    async def clear_session(self, *, wrapper: RunContextWrapper[Any] | None = None) -> None:
        """Takes every item off. The chat stays."""
        await _settled(self._kept(wrapper).clear())

    async def close(self) -> None:
        """Ends the session: it cannot be used then. Its chat stays, and so do the connections, which it shares."""
        self._closed = True

    async def _atomic_replace_items(self, items: list[TResponseInputItem]) -> bool:
        """What the SDK's compaction asks for (`OpenAIResponsesCompactionSession`): False sends it the longer way.

        A subclass that does something of its own with items has them go through that.
        """
        if self._has_methods_of_its_own():
            return False
        return await _settled(self._kept(None).replace([_to_keep(item) for item in items]))

    async def _get_compaction_snapshot(
        self, limit: int, *, prune_prefix: Callable[[TResponseInputItem], bool] | None = None
    ) -> "_CompactionSnapshot | None":
        """What the SDK's automatic compaction asks for: the newest items, and how to replace the end of a history.

        It is replaced in one step, and only if the chat is as it was read. None sends it the longer way.
        """
        # Only an SDK that has it asks for it.
        from agents.memory.session import _CompactionSnapshot

        kept = self._kept(None)
        read = getattr(kept, "snapshot", None)
        if read is None or self._has_methods_of_its_own():
            return None
        expired = None if prune_prefix is None else lambda item: prune_prefix(_from_kept(item))
        found = await read(limit, expired)
        if found is None:
            return None
        items, complete, replace = found

        async def replace_suffix(start: int, output: list[TResponseInputItem]) -> bool:
            replaced: bool = await _settled(replace(start, [_to_keep(item) for item in output]))
            return replaced

        return _CompactionSnapshot([_from_kept(item) for item in items], complete, replace_suffix)

    def _has_methods_of_its_own(self) -> bool:
        return any(getattr(type(self), name) is not getattr(ChatkeepSession, name) for name in _METHODS)

    def _kept(self, wrapper: RunContextWrapper[Any] | None) -> SessionItems:
        """The items of the user whom the session, or the run, is for."""
        if self._closed:
            raise RuntimeError(f"{type(self).__name__} is closed")
        user_id = self._user(wrapper)
        if callable(self._items):
            if user_id is None:
                raise ValueError("Items for a user are asked for, and no user_id is given.")
            return self._items(user_id)
        if self._items is not None:
            return self._items
        assert self._client is not None
        client = self._client if user_id is None else self._client.with_user(user_id)
        return ChatItems(client, self._chat, self._turn)

    def _user(self, wrapper: RunContextWrapper[Any] | None) -> str | None:
        if not callable(self._user_id):
            return self._user_id
        if wrapper is None:
            raise RuntimeError("The user of this session comes from a run's context: pass `wrapper`.")
        found: object = self._user_id(wrapper.context)
        if not isinstance(found, str) or not found:
            raise ValueError(f"The user of a session is a text, not {found!r}.")
        return found


_METHODS = ("get_items", "add_items", "pop_item", "clear_session")


def _client_of_the_process() -> AsyncChatkeep:
    return _client_for(os.environ.get("CHATKEEP_URL"), os.environ.get("CHATKEEP_KEY"), os.environ.get("CHATKEEP_USER"))


@cache
def _client_for(url: str | None, key: str | None, user_id: str | None) -> AsyncChatkeep:
    """One for each surrounding; in each event loop it has connections, which are closed with that."""
    return AsyncChatkeep(url, key, user_id=user_id)


async def _settled(work: Awaitable[T]) -> T:
    """What a write gives. Cancelled, it is waited for all the same: nobody is to guess whether it happened."""
    task = asyncio.ensure_future(work)
    cancelled = await settle(task)
    if cancelled is None:
        return task.result()
    if not task.cancelled():
        # Looked at, so that asyncio does not report as forgotten what nobody asks for any more.
        task.exception()
    raise cancelled


def _to_keep(item: TResponseInputItem) -> Item:
    """An item as it is stored."""
    return dict(item) if "type" in item or "role" in item else {"type": OTHER, "item": item}


def _from_kept(item: Item) -> TResponseInputItem:
    """A stored item as it was added."""
    return cast(TResponseInputItem, item["item"] if item.get("type") == OTHER else item)
