"""Message history of Pydantic AI that is stored in Chatkeep. Needs `chatkeep[pydantic-ai]`.

    history = await load(client, "key:ann")
    result = await agent.run("And a soft one?", message_history=history)
    await save(client, "key:ann", result.new_messages())

Each `ModelMessage` is a message of the chat, in `format=pydantic_ai`, and comes back as from Pydantic AI's own JSON.
"""

from collections.abc import Sequence
from typing import Any

from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter

from chatkeep import AsyncChatkeep, Chatkeep, NotFound

FORMAT = "pydantic_ai"
MAX_PAGE = 200
TURNS_PAGE = 50


async def load(client: AsyncChatkeep, chat: str, *, max_turns: int | None = None) -> list[ModelMessage]:
    """The messages of a chat, oldest first; none where there is no such chat.

    Args:
        client: a client of the chat's user.
        chat: a `chat_id`, or `key:<key>`.
        max_turns: only the last so many turns of the user, with all that answers them: calls keep their results.
    """
    newest = _NewestMessages(max_turns)
    try:
        async for item in client.messages.list(chat, format=FORMAT, order="desc", limit=newest.page_size):
            if newest.add(item):
                break
    except NotFound:
        return []
    return newest.messages()


async def save(client: AsyncChatkeep, chat: str, messages: Sequence[ModelMessage]) -> None:
    """Adds messages to a chat, such as a run's `new_messages()`: all of them, next to each other, or none.

    One by key is created by the first write. At most 1,000 messages.
    """
    if messages:
        await client.messages.append(chat, _to_items(messages), format=FORMAT)


def load_sync(client: Chatkeep, chat: str, *, max_turns: int | None = None) -> list[ModelMessage]:
    """`load` for the sync client."""
    newest = _NewestMessages(max_turns)
    try:
        for item in client.messages.list(chat, format=FORMAT, order="desc", limit=newest.page_size):
            if newest.add(item):
                break
    except NotFound:
        return []
    return newest.messages()


def save_sync(client: Chatkeep, chat: str, messages: Sequence[ModelMessage]) -> None:
    """`save` for the sync client."""
    if messages:
        client.messages.append(chat, _to_items(messages), format=FORMAT)


class _NewestMessages:
    """The newest messages, read from the end backwards until they are so many turns of the user."""

    def __init__(self, turns: int | None) -> None:
        if turns is not None and turns < 1:
            raise ValueError("max_turns is at least 1")
        self._turns = turns
        self._items: list[dict[str, Any]] = []
        self.page_size = MAX_PAGE if turns is None else TURNS_PAGE

    def add(self, item: dict[str, Any]) -> bool:
        """Adds the message before the others. Returns whether it is the last one to be read."""
        self._items.append(item)
        # Tool results are a request as well, but no turn of the user.
        if self._turns is not None and any(part.get("part_kind") == "user-prompt" for part in item["parts"]):
            self._turns -= 1
        return self._turns == 0

    def messages(self) -> list[ModelMessage]:
        """The messages, oldest first."""
        return ModelMessagesTypeAdapter.validate_python(self._items[::-1])


def _to_items(messages: Sequence[ModelMessage]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = ModelMessagesTypeAdapter.dump_python(list(messages), mode="json")
    return items
