"""The queries of the changes reader that only PostgreSQL runs in this form."""

from app.chats.serialize import COLUMNS
from app.messages.serialize import SELECT_WITH_PARENT

# LATERAL and LIMIT: one look into the primary key for each, whatever the planner believes of a table it never analysed.
MESSAGES = f"""
SELECT found.*, wanted.chat_id FROM (
    SELECT (value ->> 0)::uuid AS chat_id, (value ->> 1)::int AS seq FROM json_array_elements($2::json)
) AS wanted CROSS JOIN LATERAL (
    {SELECT_WITH_PARENT} WHERE m.user_id = $1 AND m.chat_id = wanted.chat_id AND m.seq = wanted.seq LIMIT 1
) AS found
"""
CHATS = f"""
SELECT found.* FROM (SELECT value::uuid AS id FROM json_array_elements_text($2::json)) AS wanted CROSS JOIN LATERAL (
    SELECT {COLUMNS} FROM chats WHERE user_id = $1 AND chat_id = wanted.id LIMIT 1
) AS found
"""
POSITIONS = """
SELECT found.* FROM json_array_elements_text($1::json) AS wanted CROSS JOIN LATERAL (
    SELECT user_id, position FROM feeds WHERE user_id = wanted.value LIMIT 1
) AS found
"""
