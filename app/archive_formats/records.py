"""Records: the stream that every export writes and every import reads; their types, fields and order.

A stream begins with `header()` and ends with `end()`. Between them stand the chats, by (user_id, chat_id): each as its
`chat`, its `message`s by seq, and then what else belongs to it (see `OWNED`): its `revision`s by (seq, revision), its
`feedback` by (seq, caller). A record is a dict: `record` is its type, and its other fields come in the order given
here.

A field that is null is left out; but a message's `content` is left out only where it has none, and is null where it
is the JSON null. Of a chat `tags`, `metadata` and `is_pinned` are left out too where they are empty or false.
Timestamps are texts as `app.db.timestamps.to_iso` writes them.
"""

from datetime import datetime
from typing import Any

import orjson

from app.chats.schemas import DETAIL_COLUMNS
from app.db.timestamps import to_iso
from app.messages.serialize import EXTRAS
from app.models.registry import OwnedTable, archived_tables, owned_table

Record = dict[str, Any]

VERSION = 1
HEADER, END = "chatkeep", "end"

_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC

CHAT_FIELDS = (
    "chat_id",
    "user_id",  # only in exports over all users
    *(name for name in DETAIL_COLUMNS if name != "expires_at"),
    *"source forked_from forked_at message_count last_seq head_seq version".split(),
    *"created_at updated_at last_activity_at archived_at deleted_at expires_at".split(),
)
MESSAGE_FIELDS = (
    "message_id",
    "seq",
    "parent_seq",  # not in a root
    "role",
    "type",
    "content",
    *EXTRAS,
    "payload",
    "status",  # never `in_progress`: such a message is `incomplete`, with the text that is on disk
    "created_at",
    "edited_at",
)
OWNED: dict[str, OwnedTable] = {table.record: table for table in archived_tables() if table.record is not None}
"""The tables of the records beside chats and messages, by the type of those, in the order of a chat's records."""

_TABLES = (owned_table("chats"), owned_table("messages"), *OWNED.values())
# Fields that hold any JSON. Databases keep them as text.
JSON_FIELDS = frozenset().union(*(table.json_columns for table in _TABLES))
TIMESTAMP_FIELDS = frozenset().union(*(table.timestamp_columns for table in _TABLES))


def header() -> Record:
    """The first record of a stream."""
    return {"record": HEADER, "version": VERSION}


def end(chats: int, messages: int) -> Record:
    """The last record of a stream: without it, the stream is broken."""
    return {"record": END, "chats": chats, "messages": messages}


def json_timestamp(value: str | datetime) -> str | datetime:
    """A timestamp for `dumps`: quicker than text, since orjson writes a datetime alike where it has a fraction."""
    return value if isinstance(value, str) or value.microsecond else to_iso(value)


def dumps(value: Any) -> bytes:
    """The JSON of a record. A naive datetime is the first or the last there is, see `app.db.timestamps`."""
    return orjson.dumps(value, None, _OPTIONS)
