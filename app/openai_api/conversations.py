"""Serializes a chat as an OpenAI conversation. Of its metadata it shows the texts that OpenAI's API can hold."""

from datetime import datetime
from typing import Any

import orjson

from app.chats.serialize import FIELDS
from app.db.driver import Row
from app.db.timestamps import to_datetime
from app.models import Chat
from app.openai_api.ids import conversation_id
from app.openai_api.schemas import MAX_NAME, MAX_PAIRS, MAX_VALUE

_ID, _METADATA, _CREATED_AT = FIELDS.index("chat_id"), FIELDS.index("metadata"), FIELDS.index("created_at")


def conversation_of(chat: Chat) -> bytes:
    """The JSON of a chat as a conversation."""
    return _conversation(chat.chat_id, chat.created_at, chat.metadata_)


def conversation_of_row(row: Row) -> bytes:
    """The same from a row with the COLUMNS of a chat."""
    return _conversation(row[_ID], to_datetime(row[_CREATED_AT]), orjson.loads(row[_METADATA]))


def _conversation(chat_id: object, created_at: datetime, metadata: dict[str, Any]) -> bytes:
    return orjson.dumps(
        {
            "id": conversation_id(chat_id),
            "object": "conversation",
            "created_at": int(created_at.timestamp()),
            "metadata": shared_metadata(metadata),
        }
    )


def shared_metadata(metadata: dict[str, Any]) -> dict[str, str]:
    """The part of a chat's metadata that its conversation has: the first MAX_PAIRS texts that are not too long."""
    to_openai_item = [
        (name, value)
        for name, value in metadata.items()
        if isinstance(value, str) and len(name) <= MAX_NAME and len(value) <= MAX_VALUE
    ]
    return dict(to_openai_item[:MAX_PAIRS])
