"""PostgreSQL queries of the changes reader."""

from collections.abc import Iterable

from app.chats.serialize import COLUMNS
from app.messages.serialize import SELECT_WITH_PARENT

# LATERAL and LIMIT make it one primary key lookup each, whatever the planner believes of a table never analysed.
MESSAGES = f"""
SELECT result.*, requested.chat_id FROM (
    SELECT (value ->> 0)::uuid AS chat_id, (value ->> 1)::int AS seq FROM json_array_elements($2::json)
) AS requested CROSS JOIN LATERAL (
    {SELECT_WITH_PARENT} WHERE m.user_id = $1 AND m.chat_id = requested.chat_id AND m.seq = requested.seq LIMIT 1
) AS result
"""
CHATS = f"""
SELECT result.* FROM (
    SELECT value::uuid AS id FROM json_array_elements_text($2::json)
) AS requested CROSS JOIN LATERAL (
    SELECT {COLUMNS} FROM chats WHERE user_id = $1 AND chat_id = requested.id LIMIT 1
) AS result
"""
# Of many users, as Citus takes it: it begins with a table.
POSITIONS = "SELECT user_id, position FROM feeds WHERE user_id = ANY ($1::text[])"


def encode_users(user_ids: Iterable[str]) -> list[str]:
    """The argument of POSITIONS."""
    return list(user_ids)
