"""Whether the documents of the search are what messages and chats say: every one of them, with a reader that sees one
moment."""

from collections.abc import Sequence
from typing import NamedTuple

from app.db.driver import Reader, Row
from app.search.index_plan import CHAT_ITSELF
from app.search.tokenizer import TOKENIZER, split

# Messages read at once; long ones make it much.
AT_ONCE = 200

# In progress, a message is not found yet.
_MESSAGES = f"""
SELECT CAST(m.chat_id AS text), m.seq, m.role, CASE WHEN coalesce(m.status, '') = 'in_progress' THEN '' ELSE m.text END,
    d.role, d.words
FROM messages m LEFT JOIN documents d ON d.user_id = m.user_id AND d.chat_id = m.chat_id AND d.seq = m.seq
WHERE m.user_id = $1 AND (m.chat_id, m.seq) > ({{}}, $3) ORDER BY m.chat_id, m.seq LIMIT {AT_ONCE}
"""
_CHATS = f"""
SELECT CAST(c.chat_id AS text), {CHAT_ITSELF}, NULL, coalesce(c.title, '') || ' ' || coalesce(c.summary, ''),
    d.role, d.words
FROM chats c LEFT JOIN documents d ON d.user_id = c.user_id AND d.chat_id = c.chat_id AND d.seq = {CHAT_ITSELF}
WHERE c.user_id = $1 AND c.chat_id > {{}} ORDER BY c.chat_id LIMIT {AT_ONCE}
"""
_STRAYS = f"""
SELECT CAST(d.chat_id AS text), d.seq FROM documents d WHERE d.user_id = $1 AND d.seq > {CHAT_ITSELF} AND NOT EXISTS (
    SELECT 1 FROM messages m WHERE m.user_id = d.user_id AND m.chat_id = d.chat_id AND m.seq = d.seq
)
UNION ALL SELECT CAST(d.chat_id AS text), d.seq FROM documents d
WHERE d.user_id = $1 AND d.seq = {CHAT_ITSELF} AND NOT EXISTS (
    SELECT 1 FROM chats c WHERE c.user_id = d.user_id AND c.chat_id = d.chat_id
)
LIMIT $2
"""
_STANDING = """
SELECT f.position, i.position, i.tokenizer, CAST(i.rebuilt_chat AS text)
FROM feeds f LEFT JOIN indexing i ON i.user_id = f.user_id WHERE f.user_id = $1
"""
_FIRST = "00000000-0000-0000-0000-000000000000"


class Wrong(NamedTuple):
    """A message (a chat itself has the seq 0) whose document is `missing`, `other` than it should be or a `stray`."""

    chat_id: str
    seq: int
    how: str


class Documents:
    """Compares documents."""

    def __init__(self, reader: Reader, database_kind: str) -> None:
        self._reader = reader
        self._after = "CAST(CAST($2 AS text) AS uuid)" if database_kind == "postgres" else "$2"

    async def is_current(self, user_id: str) -> bool:
        """Whether a user's documents are all made: otherwise they cannot be compared yet."""
        row = await self._reader.fetch_one(_STANDING, user_id)
        return row is None or (row[1] is not None and row[1] >= row[0] and row[2] == TOKENIZER and row[3] is None)

    async def wrong(self, user_id: str, limit: int) -> list[Wrong]:
        """Those of a user that are wrong, at most so many."""
        found = [Wrong(row[0], row[1], "stray") for row in await self._reader.fetch(_STRAYS, user_id, limit)]
        after: tuple[str, int] = (_FIRST, 0)
        while len(found) < limit:
            rows = await self._reader.fetch(_MESSAGES.format(self._after), user_id, *after)
            found += _compared(rows)
            if len(rows) < AT_ONCE:
                break
            after = rows[-1][0], rows[-1][1]
        chat_id = _FIRST
        while len(found) < limit:
            rows = await self._reader.fetch(_CHATS.format(self._after), user_id, chat_id)
            found += _compared(rows)
            if len(rows) < AT_ONCE:
                break
            chat_id = rows[-1][0]
        return found[:limit]


def _compared(rows: Sequence[Row]) -> list[Wrong]:
    found = []
    for chat_id, seq, role, text, had_role, had in rows:
        words = split(text)
        if bool(words) != (had is not None):
            found.append(Wrong(chat_id, seq, "missing" if words else "stray"))
        elif words and (had != f" {' '.join(words)} " or had_role != role):
            found.append(Wrong(chat_id, seq, "other"))
    return found
