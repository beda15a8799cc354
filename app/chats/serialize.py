"""Serializes chats: the columns that are read, the JSON of their rows, and the responses with it."""

from typing import Any

import orjson
from starlette.responses import Response

from app.chats.schemas import DETAIL_COLUMNS
from app.db.driver import Row
from app.db.timestamps import to_iso
from app.http.idempotency import StoredResponse
from app.models import Chat
from app.models.registry import owned_table

FIELDS = (
    "chat_id",
    "user_id",
    *(name for name in DETAIL_COLUMNS if name != "expires_at"),
    *"message_count input_tokens output_tokens total_tokens last_seq version head_id forked_from forked_at".split(),
    *"source created_at updated_at last_activity_at archived_at deleted_at expires_at".split(),
)
COLUMNS = ", ".join(FIELDS)
_TABLE = owned_table("chats")
_VERSION = FIELDS.index("version")
_IDS = _TABLE.id_columns.intersection(FIELDS)
_TIMESTAMPS = _TABLE.timestamp_columns.intersection(FIELDS)
_JSON = _TABLE.json_columns.intersection(FIELDS)


def chat_json(row: Row) -> bytes:
    """The JSON of a chat from a row with COLUMNS."""
    chat = dict(zip(FIELDS, row, strict=True))
    chat["is_pinned"] = bool(chat["is_pinned"])
    for name in _JSON:
        chat[name] = orjson.Fragment(chat[name])
    if type(chat["chat_id"]) is not str or type(chat["created_at"]) is not str:
        # As Postgres gives them, and a Chat.
        for name in _IDS:
            if chat[name] is not None:
                chat[name] = str(chat[name])
        for name in _TIMESTAMPS:
            if chat[name] is not None and not chat[name].microsecond:
                # orjson would leave the zeros out, and every timestamp is to be written alike.
                chat[name] = to_iso(chat[name])
    chat["is_archived"] = chat["archived_at"] is not None
    chat["is_active"] = chat["deleted_at"] is None
    return orjson.dumps(chat, option=orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC)


def row_of(chat: Chat) -> Row:
    """The row with COLUMNS of a chat that is at hand as an object."""
    fields = {name: getattr(chat, "metadata_" if name == "metadata" else name) for name in FIELDS}
    return [orjson.dumps(value) if name in _JSON else value for name, value in fields.items()]


def etag(chat_id: Any, version: int) -> str:
    """The ETag of a chat at a version. The id's end keeps chats apart that had the same key one after the other."""
    return f'"{version}-{str(chat_id)[-12:]}"'


def etag_of(row: Row) -> str:
    """The ETag of a row with COLUMNS."""
    return etag(row[0], row[_VERSION])


def chat_response(row: Any, status: int = 200) -> Response:
    """A chat as a response, with its ETag."""
    headers = {"ETag": etag_of(row), "Cache-Control": "private, no-cache"}
    return Response(chat_json(row), status, headers, "application/json")


def chat_created(chat: Chat, root_path: str) -> StoredResponse:
    """The response to a request that created a chat."""
    row = row_of(chat)
    headers = {"ETag": etag_of(row), "Location": f"{root_path}/chats/{chat.chat_id}"}
    return StoredResponse(201, chat_json(row), headers, chat.chat_id)
