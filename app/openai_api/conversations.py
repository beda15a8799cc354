"""A chat as a conversation, and its metadata: the texts in it that OpenAI's API could hold."""

from datetime import datetime
from typing import Any

import orjson

from app.chats.serialize import FIELDS
from app.db.driver import Row
from app.models import Chat
from app.openai_api.ids import conversation_id
from app.openai_api.schemas import MAX_NAME, MAX_PAIRS, MAX_VALUE

_ID, _METADATA, _CREATED_AT = FIELDS.index("chat_id"), FIELDS.index("metadata"), FIELDS.index("created_at")


def conversation_of(chat: Chat) -> bytes:
    """A chat as a conversation, as JSON."""
    return _conversation(chat.chat_id, chat.created_at, chat.metadata_)


def conversation_of_row(row: Row) -> bytes:
    """The same of a row with the COLUMNS of a chat."""
    created_at = row[_CREATED_AT]
    moment = created_at if isinstance(created_at, datetime) else datetime.fromisoformat(created_at)
    return _conversation(row[_ID], moment, orjson.loads(row[_METADATA]))


def _conversation(chat_id: object, created_at: datetime, metadata: dict[str, Any]) -> bytes:
    return orjson.dumps(
        {
            "id": conversation_id(chat_id),
            "object": "conversation",
            "created_at": int(created_at.timestamp()),
            "metadata": pairs(metadata),
        }
    )


def pairs(metadata: dict[str, Any]) -> dict[str, str]:
    """What a conversation shows of a chat's metadata: the first texts that are not too long."""
    shown = [
        (name, value)
        for name, value in metadata.items()
        if isinstance(value, str) and len(name) <= MAX_NAME and len(value) <= MAX_VALUE
    ]
    return dict(shown[:MAX_PAIRS])
