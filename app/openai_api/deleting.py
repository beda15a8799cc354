"""Deletes an item: the whole message, or the part of a message of several items that only this item comes from."""

from collections.abc import Iterator
from typing import Any

import orjson
from sqlmodel.ext.asyncio.session import AsyncSession

from app.codecs import Codec, encode_message, same_json
from app.codecs.canonical import canonical_message
from app.http.errors import NotFound, Unprocessable
from app.messages.edits import EditStore, message_as_json
from app.messages.queries import find_message
from app.messages.schemas import MessagePatch
from app.models import Chat
from app.openai_api.items import Json
from app.openai_api.store import responses

# Messages of more parts are not taken apart.
_MAX_PARTS = 32


async def delete_item(session: AsyncSession, chat: Chat, message_id: str, index: int) -> None:
    """Deletes the item at an index of a message, in a chat that this session has locked.

    Raises NotFound, Conflict (409) while its message is in progress, and Unprocessable (422) where the message cannot
    be left without it.
    """
    message = await find_message(session, chat, message_id)
    stored: Json = orjson.loads(await message_as_json(session, chat, message.seq))
    items = encode_message(responses(), stored, message.payload)
    if index >= len(items):
        raise NotFound
    if len(items) == 1:
        await EditStore().delete(session, chat, message_id)
        return
    change = _change_to(responses(), stored, [*items[:index], *items[index + 1 :]])
    if change is None:
        raise Unprocessable("This item is one with others of its message: delete them all, or edit the message.")
    await EditStore().edit(session, chat, message_id, MessagePatch.model_validate(change))


def _change_to(codec: Codec, message: Json, remaining: list[Json]) -> Json | None:
    """The change of a message after which it has just the remaining items; None where there is none."""
    for change in _changes(message):
        if same_json(codec.encode(canonical_message(message | change)), remaining):
            return change
    return None


def _changes(message: Json) -> Iterator[Json]:
    """The changes to try: without one of the calls, without the content, without some of its parts."""
    calls, content = message.get("tool_calls"), message.get("content")
    for number in range(len(calls or ())):
        yield {"tool_calls": _without(calls, number, number + 1)}
    if calls:
        yield {"content": None}
    if isinstance(content, list) and len(content) <= _MAX_PARTS:
        for size in range(1, len(content)):
            for start in range(len(content) - size + 1):
                yield {"content": _without(content, start, start + size)}


def _without(values: Any, start: int, end: int) -> Any:
    return [*values[:start], *values[end:]] or None
