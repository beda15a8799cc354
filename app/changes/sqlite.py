"""SQLite queries of the changes reader."""

from collections.abc import Iterable

import orjson

from app.chats.serialize import COLUMNS
from app.messages.serialize import JOIN_PARENT, PARENT_ID, columns

# SQLite keeps the order of a CROSS JOIN, and so looks each message up by its primary key.
MESSAGES = f"""
SELECT {columns("m")}, {PARENT_ID}, m.chat_id FROM json_each($2) AS requested
CROSS JOIN messages m ON m.user_id = $1 AND m.chat_id = requested.value ->> 0 AND m.seq = requested.value ->> 1
{JOIN_PARENT}
"""
CHATS = f"SELECT {COLUMNS} FROM chats WHERE user_id = $1 AND chat_id IN (SELECT value FROM json_each($2))"
POSITIONS = "SELECT user_id, position FROM feeds WHERE user_id IN (SELECT value FROM json_each($1))"


def encode_users(user_ids: Iterable[str]) -> str:
    """The argument of POSITIONS."""
    return orjson.dumps(list(user_ids)).decode()
