"""The queries of the changes reader that only SQLite runs in this form."""

from app.chats.serialize import COLUMNS
from app.messages.serialize import JOIN_PARENT, PARENT_ID, columns

# CROSS JOIN: SQLite keeps that order, and looks into the primary key for each.
MESSAGES = f"""
SELECT {columns("m")}, {PARENT_ID}, m.chat_id FROM json_each($2) AS wanted
CROSS JOIN messages m ON m.user_id = $1 AND m.chat_id = wanted.value ->> 0 AND m.seq = wanted.value ->> 1
{JOIN_PARENT}
"""
CHATS = f"SELECT {COLUMNS} FROM chats WHERE user_id = $1 AND chat_id IN (SELECT value FROM json_each($2))"
POSITIONS = "SELECT user_id, position FROM feeds WHERE user_id IN (SELECT value FROM json_each($1))"
