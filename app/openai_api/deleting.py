"""Deleting an item: its message, or of a message that gives several items what the others do not need."""

from collections.abc import Iterator
from typing import Any

import orjson
from sqlmodel.ext.asyncio.session import AsyncSession

from app.codecs import Codec, given, same
from app.codecs.said import said
from app.http.errors import NotFound, Unprocessable
from app.messages.edits import EditStore, message_as_json
from app.messages.queries import find
from app.messages.schemas import MessagePatch
from app.models import Chat
from app.openai_api.items import Json
from app.openai_api.store import responses

# Messages of more parts are not taken apart.
_MOST_PARTS = 32


async def delete_item(session: AsyncSession, chat: Chat, message_id: str, place: int) -> None:
    """Deletes the item at a place among those of a message, in a chat that this session has to itself.

    Raises NotFound, Conflict (409) while its message is in progress, and Unprocessable (422) where the message cannot
    be left without it.
    """
    message = await find(session, chat, message_id)
    stored: Json = orjson.loads(await message_as_json(session, chat, message.seq))
    items = given(responses(), stored, message.payload)
    if place >= len(items):
        raise NotFound
    if len(items) == 1:
        await EditStore().delete(session, chat, message_id)
        return
    change = _without(responses(), stored, [*items[:place], *items[place + 1 :]])
    if change is None:
        raise Unprocessable("This item is one with others of its message: delete them all, or edit the message.")
    await EditStore().edit(session, chat, message_id, MessagePatch.model_validate(change))


def _without(codec: Codec, message: Json, others: list[Json]) -> Json | None:
    """What to change of a message so that it gives just the others of its items; None where nothing does it."""
    changes = _changes(message)
    return next((change for change in changes if same(codec.write(said(message | change)), others)), None)


def _changes(message: Json) -> Iterator[Json]:
    """The message without one of its calls, without its content, without some parts of it."""
    calls, content = message.get("tool_calls"), message.get("content")
    for number in range(len(calls or ())):
        yield {"tool_calls": _left(calls, number, number + 1)}
    if calls:
        yield {"content": None}
    if isinstance(content, list) and len(content) <= _MOST_PARTS:
        for size in range(1, len(content)):
            for start in range(len(content) - size + 1):
                yield {"content": _left(content, start, start + size)}


def _left(values: Any, start: int, end: int) -> Any:
    return [*values[:start], *values[end:]] or None
