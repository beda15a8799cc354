"""The records that every export is made of and every import makes: their names, their members, their order.

A stream begins with `header()` and ends with `end()`. Between them stand the chats, by (user_id, chat_id): each as its
`chat`, its `message`s by seq, its `revision`s by (seq, revision), and its `feedback` by (seq, caller). A record is a
dict whose member `record` says what it is, with its other members in the order given here.

A member that is null is left out; but a message's `content` is left out only where it has none, and is null where it
is the JSON null. Of a chat `tags`, `metadata` and `is_pinned` are left out too where there are none and where it is not
pinned. Timestamps are texts as `app.db.timestamps.to_iso` writes them.
"""

from datetime import datetime
from typing import Any, Literal

import orjson

from app.db.timestamps import to_iso
from app.messages.edits import REVISION_FIELDS

Record = dict[str, Any]
Kind = Literal["chatkeep", "chat", "message", "revision", "feedback", "end"]

VERSION = 1

_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC

CHAT = (
    "chat_id",
    "user_id",  # only in exports over all users
    "key",
    "title",
    "summary",
    "platform",
    "tags",
    "is_pinned",
    "metadata",
    "source",
    "forked_from",
    "forked_at",
    "message_count",
    "last_seq",
    "head_seq",
    "version",
    "created_at",
    "updated_at",
    "last_activity_at",
    "deleted_at",
    "expires_at",
)
MESSAGE = (
    "message_id",
    "seq",
    "parent_seq",  # not in a root
    "role",
    "type",
    "content",
    "tool_calls",
    "tool_call_id",
    "name",
    "model",
    "tokens",
    "input_tokens",
    "output_tokens",
    "metadata",
    "payload",
    "status",  # never `in_progress`: such a message is `incomplete`, with the text that is on disk
    "created_at",
    "edited_at",
)
REVISION = ("seq", "revision", *REVISION_FIELDS, "replaced_at")
FEEDBACK = ("seq", "caller", "rating", "reason", "text", "created_at", "updated_at")

# Members that hold any JSON, and are kept as JSON text.
JSON = frozenset({"tags", "metadata", "content", "tool_calls", "payload"})
MOMENTS = frozenset(
    {
        "created_at",
        "updated_at",
        "last_activity_at",
        "deleted_at",
        "expires_at",
        "edited_at",
        "replaced_at",
    }
)


def header() -> Record:
    """The first record of a stream."""
    return {"record": "chatkeep", "version": VERSION}


def end(chats: int, messages: int) -> Record:
    """The last record of a stream: without it, the stream is broken."""
    return {"record": "end", "chats": chats, "messages": messages}


def writable(value: str | datetime) -> str | datetime:
    """A timestamp from a driver for `dumps`, quicker than `to_iso`: orjson writes the same, but for final zeros."""
    return value if isinstance(value, str) or value.microsecond else to_iso(value)


def dumps(value: Any) -> bytes:
    """JSON of what is `writable`. A naive timestamp is the first or the last there is, see `app.db.timestamps`."""
    return orjson.dumps(value, None, _OPTIONS)
