"""Chat message history of LangChain that is stored in Chatkeep. Needs `chatkeep[langchain]`.

The messages are those of a chat, in `format=langchain`. For `RunnableWithMessageHistory`, make the clients once, and a
history for each session: `lambda session_id: ChatkeepHistory(f"key:{session_id}", client, async_client)`.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import BaseMessage, messages_from_dict

from chatkeep import AsyncChatkeep, Chatkeep, NotFound
from chatkeep.calls.messages import Window

FORMAT = "langchain"
MAX_BATCH = 1000
MAX_PAGE = 200


class ChatkeepHistory(BaseChatMessageHistory):
    """The messages of a chat, as LangChain's. It holds nothing itself: each call asks the service.

    Args:
        chat: a `chat_id`, or `key:<key>`, such as a session's id; by key, it is created by the first write.
        client: for the sync methods. Histories share it, and none closes it.
        async_client: the same for the async methods. Without one, they use `client` in a thread. One
            of the two is needed.
        max_turns: reads only the last so many turns of the user, 1 to 1,000, with all that answers them.
    """

    def __init__(
        self,
        chat: str,
        client: Chatkeep | None = None,
        async_client: AsyncChatkeep | None = None,
        *,
        max_turns: int | None = None,
    ) -> None:
        super().__init__()
        if client is None and async_client is None:
            raise TypeError("A history needs a Chatkeep, an AsyncChatkeep, or both.")
        self._chat = chat
        self._client = client
        self._async_client = async_client
        self._max_turns = max_turns

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]
        """The messages, oldest first."""
        try:
            return _to_messages(list(self._sync_client().messages.list(self._chat, format=FORMAT, **self._window())))
        except NotFound:
            return []

    async def aget_messages(self) -> list[BaseMessage]:
        """The messages, oldest first."""
        if self._async_client is None:
            return await super().aget_messages()
        items = self._async_client.messages.list(self._chat, format=FORMAT, **self._window())
        try:
            return _to_messages([item async for item in items])
        except NotFound:
            return []

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Adds messages at the end, in one request: all of them, next to each other, or none. At most 1,000."""
        if messages:
            self._sync_client().messages.append(self._chat, _to_items(messages), format=FORMAT)

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Adds messages at the end, in one request: all of them, next to each other, or none. At most 1,000."""
        if self._async_client is None:
            await super().aadd_messages(messages)
        elif messages:
            await self._async_client.messages.append(self._chat, _to_items(messages), format=FORMAT)

    def clear(self) -> None:
        """Deletes the messages. The chat stays."""
        with suppress(NotFound):
            self._sync_client().messages.clear(self._chat)

    async def aclear(self) -> None:
        """Deletes the messages. The chat stays."""
        if self._async_client is None:
            await super().aclear()
        else:
            with suppress(NotFound):
                await self._async_client.messages.clear(self._chat)

    def _sync_client(self) -> Chatkeep:
        if self._client is None:
            raise TypeError("This history has an AsyncChatkeep only: await its methods, or give it a Chatkeep too.")
        return self._client

    def _window(self) -> Window:
        return {"limit": MAX_PAGE, "max_turns": self._max_turns}


def _to_items(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    if len(messages) > MAX_BATCH:
        raise ValueError(f"At most {MAX_BATCH} messages are added together.")
    # As `message_to_dict` does it, but with JSON values.
    return [{"type": message.type, "data": message.model_dump(mode="json")} for message in messages]


def _to_messages(items: list[dict[str, Any]]) -> list[BaseMessage]:
    return messages_from_dict(items)
