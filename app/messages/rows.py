"""A message's row as JSON: the columns that are read, and how they are written. Hot: once for every message read."""

from typing import Any

import orjson

from app.chats.rows import moment
from app.db.driver import Row
from app.db.types import iso

_JSON = frozenset({"content", "tool_calls", "metadata"})
# Columns that most messages do not have, and that are left out where they are NULL.
EXTRAS = (
    "tool_calls",
    "tool_call_id",
    "name",
    "model",
    "tokens",
    "input_tokens",
    "output_tokens",
    "metadata",
)
_OPTIONAL = (*EXTRAS, "status")
FIELDS = ("message_id", "seq", "role", "type", "created_at", "content", "edited_at", *_OPTIONAL)
COLUMNS = ", ".join(FIELDS)
_WIDTH = len(FIELDS)
# The same for a session: there SQLAlchemy's Postgres dialect parses JSON before we can see its text.
SESSION_COLUMNS = ", ".join(f"CAST({name} AS TEXT) AS {name}" if name in _JSON else name for name in FIELDS)

_BARE = (None,) * (1 + len(_OPTIONAL))


def message_fields(row: Row, chat_id: str) -> dict[str, Any]:
    """A message to be written by `dumps`, from a row that begins with COLUMNS."""
    message_id, seq, role, kind, created_at, content = row[:6]
    if type(created_at) is not str and not created_at.microsecond:
        # orjson would leave the zeros out, and every moment is to be written alike.
        created_at = iso(created_at)
    if content is not None and row[6:_WIDTH] == _BARE:
        # Most messages.
        return {
            "message_id": str(message_id),
            "chat_id": chat_id,
            "seq": seq,
            "role": role,
            "type": kind,
            "content": orjson.Fragment(content),
            "created_at": created_at,
        }
    message: dict[str, Any] = {
        "message_id": str(message_id),
        "chat_id": chat_id,
        "seq": seq,
        "role": role,
        "type": kind,
    }
    if content is not None:
        message["content"] = orjson.Fragment(content)
    for name, value in zip(_OPTIONAL, row[7:_WIDTH], strict=True):
        if value is not None:
            message[name] = orjson.Fragment(value) if name in _JSON else value
    message["created_at"] = created_at
    if row[6] is not None:
        message["edited_at"] = moment(row[6])
    return message


def dumps(value: Any) -> bytes:
    """JSON of messages; moments end with `Z`. For the naive ones see `app.db.types.finite`."""
    return orjson.dumps(value, option=orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC)


def message_json(row: Row, chat_id: str) -> bytes:
    """The JSON of a message from a row that begins with COLUMNS."""
    return dumps(message_fields(row, chat_id))


def appended_json(public: dict[str, Any], chat_id: str, seq: int) -> bytes:
    """The JSON of a message that was just appended: the same text that reading it will give."""
    return orjson.dumps({"message_id": public["message_id"], "chat_id": chat_id, "seq": seq, **public})
