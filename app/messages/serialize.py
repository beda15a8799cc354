"""Serializes messages: the columns that are read, and the JSON of their rows. Hot: once for every message read."""

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from app.codecs import Codec, encode_message, stored_item
from app.codecs.values import Json
from app.db.driver import Row
from app.db.timestamps import to_iso
from app.models.message import REVISED_FIELDS
from app.models.registry import owned_table

_JSON = owned_table("messages").json_columns
# Columns that most messages do not have, and that are left out where they are NULL.
EXTRAS = ("key", *(name for name in REVISED_FIELDS if name not in ("role", "type", "content", "status")))
_OPTIONAL = (*EXTRAS, "status")
FIELDS = ("message_id", "seq", "role", "type", "created_at", "content", "edited_at", *_OPTIONAL, "payload")
_PAYLOAD = FIELDS.index("payload")
_EDITED_AT = FIELDS.index("edited_at")
_NO_OPTIONAL = (None,) * (1 + len(_OPTIONAL))


def columns(table: str, *, in_session: bool = False) -> str:
    """The FIELDS of a table or alias, for a SELECT on the driver.

    A UUID would become an object in asyncpg and a text again in us: the database gives the text itself. In a session
    SQLAlchemy's Postgres dialect parses JSON before we can see its text, so there it is cast as well.
    """
    cast = _JSON | {"message_id"} if in_session else {"message_id"}
    return ", ".join(
        f"CAST({table}.{name} AS TEXT) AS {name}" if name in cast else f"{table}.{name} AS {name}" for name in FIELDS
    )


# For messages that are not read next to the one they follow.
JOIN_PARENT = "LEFT JOIN messages p ON p.user_id = $1 AND p.chat_id = m.chat_id AND p.seq = m.parent_seq"
PARENT_ID = "CAST(p.message_id AS TEXT) AS parent_id"
SELECT_WITH_PARENT = f"SELECT {columns('m')}, {PARENT_ID} FROM messages m {JOIN_PARENT}"
SELECT_WITH_PARENT_IN_SESSION = f"SELECT {columns('m', in_session=True)}, {PARENT_ID} FROM messages m {JOIN_PARENT}"


def message_fields(
    row: Row,
    chat_id: str,
    parent_id: Any,
    siblings: Sequence[str] | None = None,
    json: Callable[[str], Any] = orjson.Fragment,
) -> dict[str, Any]:
    """The fields of a message for `dumps`, from a row that begins with FIELDS, the id of its parent and its siblings.

    `json` reads the JSON texts of columns; by default they are written as they are.
    """
    message_id, seq, role, type_, created_at, content = row[:6]
    if type(created_at) is not str and not created_at.microsecond:
        # orjson would leave the zeros out, and every timestamp is to be written alike.
        created_at = to_iso(created_at)
    message: dict[str, Any] = {
        "message_id": str(message_id),
        "chat_id": chat_id,
        "seq": seq,
        "parent_id": None if parent_id is None else str(parent_id),
        "role": role,
        "type": type_,
    }
    if siblings is not None:
        message["siblings"] = siblings
    if content is not None:
        message["content"] = json(content)
    message["created_at"] = created_at
    if row[6:_PAYLOAD] != _NO_OPTIONAL:
        # Few messages have any of these.
        for name, value in zip(_OPTIONAL, row[7:_PAYLOAD], strict=True):
            if value is not None:
                message[name] = json(value) if name in _JSON else value
        if row[6] is not None:
            message["edited_at"] = to_iso(row[6])
    return message


def dumps(value: Any) -> bytes:
    """JSON of messages; timestamps end with `Z`. For naive ones see `app.db.timestamps`."""
    return orjson.dumps(value, option=orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC)


def message_json(row: Row, chat_id: str, parent_id: Any, siblings: Sequence[str] | None = None) -> bytes:
    """The JSON of a message; takes what `message_fields` takes."""
    return dumps(message_fields(row, chat_id, parent_id, siblings))


def items_of(row: Row, chat_id: str, parent_id: Any, codec: Codec) -> list[Json]:
    """A message as items of a codec; takes what `message_fields` takes."""
    payload = None if row[_PAYLOAD] is None else orjson.loads(row[_PAYLOAD])
    if row[_EDITED_AT] is None and (item := stored_item(codec, payload)) is not None:
        # As `encode_message` would: most messages are read by those who wrote them.
        return [item]
    message = message_fields(row, chat_id, parent_id, json=orjson.loads)
    if type(message["created_at"]) is not str:
        message["created_at"] = to_iso(message["created_at"])
    return encode_message(codec, message, payload)


def appended_json(
    public: dict[str, Any], chat_id: str, seq: int, parent_id: str | None, siblings: Sequence[str] | None = None
) -> bytes:
    """The JSON of a message that was just appended: the same text that reading it will give."""
    message = {"message_id": public["message_id"], "chat_id": chat_id, "seq": seq, "parent_id": parent_id}
    if siblings is not None:
        message |= {"role": public["role"], "type": public["type"], "siblings": siblings}
    return orjson.dumps({**message, **public})
