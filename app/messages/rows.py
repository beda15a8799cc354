"""A message's row as JSON: the columns that are read, and how they are written. Hot: once for every message read."""

from typing import Any

import orjson

from app.chats.rows import moment
from app.db.driver import Row

_JSON = frozenset({"content", "tool_calls", "metadata"})
# What every message has comes first; the rest is left out where it is NULL.
_OPTIONAL = (
    "tool_calls",
    "tool_call_id",
    "name",
    "model",
    "tokens",
    "input_tokens",
    "output_tokens",
    "status",
    "metadata",
)
FIELDS = ("message_id", "seq", "role", "type", "created_at", "content", "edited_at", *_OPTIONAL)
COLUMNS = ", ".join(FIELDS)
# The same for a session: there SQLAlchemy's Postgres dialect parses JSON before we can see its text.
SESSION_COLUMNS = ", ".join(f"CAST({name} AS TEXT) AS {name}" if name in _JSON else name for name in FIELDS)

_BARE = (None,) * (1 + len(_OPTIONAL))


def message_json(row: Row, chat_id: str) -> bytes:
    """The JSON of a message from a row with COLUMNS."""
    message_id, seq, role, kind, created_at, content, edited_at, *optional = row
    created_at = moment(created_at)
    if kind == "message" and content is not None and tuple(row[6:]) == _BARE:
        # Most messages. Nothing in here needs escaping, and the content is JSON already.
        return (
            f'{{"message_id":"{message_id}","chat_id":"{chat_id}","seq":{seq},"role":"{role}","type":"message",'
            f'"content":{content},"created_at":"{created_at}"}}'
        ).encode()
    message: dict[str, Any] = {
        "message_id": str(message_id),
        "chat_id": chat_id,
        "seq": seq,
        "role": role,
        "type": kind,
    }
    if content is not None:
        message["content"] = orjson.Fragment(content)
    for name, value in zip(_OPTIONAL, optional, strict=True):
        if value is not None:
            message[name] = orjson.Fragment(value) if name in _JSON else value
    message["created_at"] = created_at
    if edited_at is not None:
        message["edited_at"] = moment(edited_at)
    return orjson.dumps(message)


def appended_json(public: dict[str, Any], chat_id: str, seq: int) -> bytes:
    """The JSON of a message that was just appended: the same text that reading it will give."""
    return orjson.dumps({"message_id": public["message_id"], "chat_id": chat_id, "seq": seq, **public})
