"""PostgreSQL queries of the changes reader."""

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
POSITIONS = """
SELECT result.* FROM json_array_elements_text($1::json) AS requested CROSS JOIN LATERAL (
    SELECT user_id, position FROM feeds WHERE user_id = requested.value LIMIT 1
) AS result
"""
