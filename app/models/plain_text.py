"""Plain text of a message's content, for search and streams: in Python, and as SQL of both kinds of database.

It is not stored: most contents are a text, which would stand in the row twice.
"""

from typing import Any

_SQLITE = """CASE json_type({0}) WHEN 'text' THEN {0} ->> '$' WHEN 'array' THEN coalesce((
    SELECT group_concat(part.value ->> '$.text', char(10)) FROM json_each({0}) AS part
    WHERE CASE WHEN part.type = 'object' THEN json_type(part.value, '$.text') END = 'text'
), '') ELSE '' END"""
_POSTGRES = """CASE json_typeof({0}) WHEN 'string' THEN {0} #>> '{{}}' WHEN 'array' THEN coalesce((
    SELECT string_agg(part.value ->> 'text', chr(10) ORDER BY part.number)
    FROM json_array_elements({0}) WITH ORDINALITY AS part (value, number)
    WHERE json_typeof(part.value -> 'text') = 'string'
), '') ELSE '' END"""


def plain_text(content: Any) -> str:
    """The text of a content: the content itself, or the texts of its parts, one on each line."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = (part.get("text") for part in content if isinstance(part, dict))
    return "\n".join(text for text in texts if isinstance(text, str))


def plain_text_sql(database_kind: str, column: str) -> str:
    """SQL for the plain text of a column of contents, on this kind of database; "" where that is NULL."""
    return (_SQLITE if database_kind == "sqlite" else _POSTGRES).format(column)
