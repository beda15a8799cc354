"""Records: the stream that every export writes and every import reads; their types, fields and order.

A stream begins with `header()` and ends with `end()`. Between them stand the chats, by (user_id, chat_id): each as its
`chat`, its `message`s by seq, its `revision`s by (seq, revision), and its `feedback` by (seq, caller). A record is a
dict: `record` is its type, and its other fields come in the order given here.

A field that is null is left out; but a message's `content` is left out only where it has none, and is null where it
is the JSON null. Of a chat `tags`, `metadata` and `is_pinned` are left out too where they are empty or false.
Timestamps are texts as `app.db.timestamps.to_iso` writes them.
"""

from datetime import datetime
from typing import Any, Literal

import orjson

from app.chats.schemas import ChatDetails
from app.db.timestamps import to_iso
from app.messages import edits
from app.messages.serialize import EXTRAS

Record = dict[str, Any]
RecordType = Literal["chatkeep", "chat", "message", "revision", "feedback", "end"]

VERSION = 1

_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC

CHAT_FIELDS = (
    "chat_id",
    "user_id",  # only in exports over all users
    *(name for name in ChatDetails.model_fields if name != "expires_at"),
    *"source forked_from forked_at message_count last_seq head_seq version".split(),
    *"created_at updated_at last_activity_at deleted_at expires_at".split(),
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
REVISION_FIELDS = ("seq", "revision", *edits.REVISION_FIELDS, "replaced_at")
FEEDBACK_FIELDS = ("seq", "caller", "rating", "reason", "text", "created_at", "updated_at")

# Fields that hold any JSON. Databases keep them as text.
JSON_FIELDS = frozenset({"tags", "metadata", "content", "tool_calls", "payload"})
TIMESTAMP_FIELDS = frozenset(
    "created_at updated_at last_activity_at deleted_at expires_at edited_at replaced_at".split()
)


def header() -> Record:
    """The first record of a stream."""
    return {"record": "chatkeep", "version": VERSION}


def end(chats: int, messages: int) -> Record:
    """The last record of a stream: without it, the stream is broken."""
    return {"record": "end", "chats": chats, "messages": messages}


def json_timestamp(value: str | datetime) -> str | datetime:
    """A timestamp for `dumps`: quicker than text, since orjson writes a datetime alike where it has a fraction."""
    return value if isinstance(value, str) or value.microsecond else to_iso(value)


def dumps(value: Any) -> bytes:
    """The JSON of a record. A naive datetime is the first or the last there is, see `app.db.timestamps`."""
    return orjson.dumps(value, None, _OPTIONS)
