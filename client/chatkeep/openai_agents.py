"""Session of the OpenAI Agents SDK that is stored in Chatkeep, for runners on any number of machines.

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
from chatkeep.cancellation import wait_through_cancellation
from chatkeep.session_items import OPAQUE_TYPE, HttpSessionItems, Item

if TYPE_CHECKING:
    from agents.memory.session import _CompactionSnapshot

T = TypeVar("T")


class SessionItems(Protocol):
    """Storage of the items of one session, oldest first.

    It may also have a `snapshot`, as `chatkeep.session_items.HttpSessionItems` does: then compaction can replace the
    last items alone.
    """

    async def newest(self, limit: int | None) -> list[Item]:
        """The newest items, at most `limit`, in the order they were added; all with None."""

    async def append(self, items: Sequence[Item]) -> None:
        """Appends all items next to each other, or none of them."""

    async def pop(self) -> Item | None:
        """Removes and returns the newest item, which no other caller gets. None where there is none."""

    async def clear(self) -> None:
        """Removes every item."""

    async def replace(self, items: Sequence[Item]) -> bool:
        """Replaces all items in one step. False where it cannot, and did nothing."""


class ChatkeepSession:
    """A session of the Agents SDK (`agents.Session`) that is a chat of Chatkeep.

    It works in any number of event loops, threads, processes and machines at once. Adding items is atomic, up to 1,000
    of them, and two callers that pop never get the same item. A write that is cancelled waits for its outcome before it
    raises, as the SDK's own sessions do.

    Args:
        session_id: what the SDK calls the session.
        user_id: whose chat it is: an id, or a function that gives one from the run's context
            (`Runner.run(…, context=…)`). By default the client's own user.
        chat: which chat it is, a `chat_id` or `key:<key>`, by default `key:<session_id>`. One by key is created by the
            first write.
        client: the client that sends the requests, which the session does not close. By default one for CHATKEEP_URL
            and CHATKEEP_KEY that the process's sessions share.
        items: other storage than the service over HTTP, or a function that returns it for a user.
        turn: the token of the turn that it writes in, where one was taken (`client.turns.take`).
        session_settings: the SDK's, such as `SessionSettings(limit=50)`.
    """

    # Tells the SDK to compare ids when it matches items: they are stored as they are.
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
        self._client = client if client is not None or items is not None else _shared_client()
        self._closed = False

    async def get_items(
        self, limit: int | None = None, *, wrapper: RunContextWrapper[Any] | None = None
    ) -> list[TResponseInputItem]:
        """The newest `limit` items, or those that `session_settings` say, in the order they were added."""
        limit = resolve_session_limit(limit, self.session_settings)
        items = await self._storage(wrapper).newest(limit)
        return [_from_stored(item) for item in items]

    async def add_items(
        self, items: list[TResponseInputItem], *, wrapper: RunContextWrapper[Any] | None = None
    ) -> None:
        """Appends all items or none of them (of more than 1,000, each 1,000)."""
        storage = self._storage(wrapper)
        if items:
            await _uninterrupted(storage.append([_to_stored(item) for item in items]))

    async def pop_item(self, *, wrapper: RunContextWrapper[Any] | None = None) -> TResponseInputItem | None:
        """Removes and returns the newest item, which no other caller gets. None where the session is empty."""
        item = await _uninterrupted(self._storage(wrapper).pop())
        return None if item is None else _from_stored(item)

    async def clear_session(self, *, wrapper: RunContextWrapper[Any] | None = None) -> None:
        """Removes every item. The chat stays."""
        await _uninterrupted(self._storage(wrapper).clear())

    async def close(self) -> None:
        """Closes the session: it cannot be used then. Its chat and its shared connections stay."""
        self._closed = True

    async def _atomic_replace_items(self, items: list[TResponseInputItem]) -> bool:
        """Replaces all items for the SDK's compaction (`OpenAIResponsesCompactionSession`).

        False lets the SDK clear and add items instead: so a subclass that overrides those methods sees them.
        """
        if self._overrides_methods():
            return False
        return await _uninterrupted(self._storage(None).replace([_to_stored(item) for item in items]))

    async def _get_compaction_snapshot(
        self, limit: int, *, prune_prefix: Callable[[TResponseInputItem], bool] | None = None
    ) -> "_CompactionSnapshot | None":
        """Gives the SDK's automatic compaction the newest items, and a function that replaces the last of them.

        It does so in one step, and only if the chat is as it was read. None lets the SDK clear and add items instead.
        """
        # Imported here, since only an SDK that has this class calls this method.
        from agents.memory.session import _CompactionSnapshot

        read_snapshot = getattr(self._storage(None), "snapshot", None)
        if read_snapshot is None or self._overrides_methods():
            return None
        is_expired = None if prune_prefix is None else lambda item: prune_prefix(_from_stored(item))
        snapshot = await read_snapshot(limit, is_expired)
        if snapshot is None:
            return None
        items, complete, replace = snapshot

        async def replace_suffix(start: int, output: list[TResponseInputItem]) -> bool:
            replaced: bool = await _uninterrupted(replace(start, [_to_stored(item) for item in output]))
            return replaced

        return _CompactionSnapshot([_from_stored(item) for item in items], complete, replace_suffix)

    def _overrides_methods(self) -> bool:
        return any(getattr(type(self), name) is not getattr(ChatkeepSession, name) for name in _METHODS)

    def _storage(self, wrapper: RunContextWrapper[Any] | None) -> SessionItems:
        """The items of the user of the session or the run."""
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
        return HttpSessionItems(client, self._chat, self._turn)

    def _user(self, wrapper: RunContextWrapper[Any] | None) -> str | None:
        if not callable(self._user_id):
            return self._user_id
        if wrapper is None:
            raise RuntimeError("The user of this session comes from a run's context: pass `wrapper`.")
        user_id: object = self._user_id(wrapper.context)
        if not isinstance(user_id, str) or not user_id:
            raise ValueError(f"The user of a session is a text, not {user_id!r}.")
        return user_id


_METHODS = ("get_items", "add_items", "pop_item", "clear_session")


def _shared_client() -> AsyncChatkeep:
    return _client_for(os.environ.get("CHATKEEP_URL"), os.environ.get("CHATKEEP_KEY"), os.environ.get("CHATKEEP_USER"))


@cache
def _client_for(url: str | None, key: str | None, user_id: str | None) -> AsyncChatkeep:
    """A client for each environment. Its connections are closed with the event loop that uses them."""
    return AsyncChatkeep(url, key, user_id=user_id)


async def _uninterrupted(write: Awaitable[T]) -> T:
    """The result of a write. A cancellation is raised once the write is done, so that its outcome is known."""
    task = asyncio.ensure_future(write)
    cancelled = await wait_through_cancellation(task)
    if cancelled is None:
        return task.result()
    if not task.cancelled():
        # Retrieved, so that asyncio does not warn about it.
        task.exception()
    raise cancelled


def _to_stored(item: TResponseInputItem) -> Item:
    """The stored form of an item."""
    return dict(item) if "type" in item or "role" in item else {"type": OPAQUE_TYPE, "item": item}


def _from_stored(item: Item) -> TResponseInputItem:
    """The item of a stored form."""
    return cast(TResponseInputItem, item["item"] if item.get("type") == OPAQUE_TYPE else item)
