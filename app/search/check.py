"""Index check: whether each message and chat has the document of its words, read in one snapshot of the database."""

from collections.abc import Sequence
from typing import NamedTuple

from app.db.driver import Reader, Row
from app.db.types import NIL_UUID
from app.models.plain_text import plain_text_sql
from app.search.index_plan import CHAT_SEQ
from app.search.tokenizer import TOKENIZER_VERSION, tokenize

# Messages read at once; they may be long.
PAGE_SIZE = 200

# A message in progress is not indexed yet.
_MESSAGES = f"""
SELECT CAST(m.chat_id AS text), m.seq, m.role,
    CASE WHEN coalesce(m.status, '') = 'in_progress' THEN '' ELSE {{text}} END, d.role, d.words
FROM messages m LEFT JOIN documents d ON d.user_id = m.user_id AND d.chat_id = m.chat_id AND d.seq = m.seq
WHERE m.user_id = $1 AND (m.chat_id, m.seq) > ({{}}, $3) ORDER BY m.chat_id, m.seq LIMIT {PAGE_SIZE}
"""
_CHATS = f"""
SELECT CAST(c.chat_id AS text), {CHAT_SEQ}, NULL, coalesce(c.title, '') || ' ' || coalesce(c.summary, ''),
    d.role, d.words
FROM chats c LEFT JOIN documents d ON d.user_id = c.user_id AND d.chat_id = c.chat_id AND d.seq = {CHAT_SEQ}
WHERE c.user_id = $1 AND c.chat_id > {{}} ORDER BY c.chat_id LIMIT {PAGE_SIZE}
"""
_STRAYS = f"""
SELECT CAST(d.chat_id AS text), d.seq FROM documents d WHERE d.user_id = $1 AND d.seq > {CHAT_SEQ} AND NOT EXISTS (
    SELECT 1 FROM messages m WHERE m.user_id = d.user_id AND m.chat_id = d.chat_id AND m.seq = d.seq
)
UNION ALL SELECT CAST(d.chat_id AS text), d.seq FROM documents d
WHERE d.user_id = $1 AND d.seq = {CHAT_SEQ} AND NOT EXISTS (
    SELECT 1 FROM chats c WHERE c.user_id = d.user_id AND c.chat_id = d.chat_id
)
LIMIT $2
"""
_STATE = """
SELECT f.position, i.position, i.tokenizer, CAST(i.rebuilt_chat AS text)
FROM feeds f LEFT JOIN indexing i ON i.user_id = f.user_id WHERE f.user_id = $1
"""


class DocumentMismatch(NamedTuple):
    """A message, or with the seq 0 a chat, whose document is `missing`, `other` than it should be, or a `stray`."""

    chat_id: str
    seq: int
    how: str


class IndexCheck:
    """Compares documents with the messages and chats that they are made of."""

    def __init__(self, reader: Reader, database_kind: str) -> None:
        self._reader = reader
        self._text = plain_text_sql(database_kind, "m.content")
        self._after = "CAST(CAST($2 AS text) AS uuid)" if database_kind == "postgres" else "$2"

    async def is_current(self, user_id: str) -> bool:
        """Whether a user's index is up to date: otherwise there is nothing to compare yet."""
        row = await self._reader.fetch_one(_STATE, user_id)
        if row is None:
            return True
        feed_position, position, tokenizer, rebuilt_chat = row
        is_complete = tokenizer == TOKENIZER_VERSION and rebuilt_chat is None
        return position is not None and position >= feed_position and is_complete

    async def mismatches(self, user_id: str, limit: int) -> list[DocumentMismatch]:
        """A user's documents that are wrong, at most `limit`."""
        strays = await self._reader.fetch(_STRAYS, user_id, limit)
        mismatches = [DocumentMismatch(row[0], row[1], "stray") for row in strays]
        after: tuple[str, int] = (NIL_UUID, 0)
        while len(mismatches) < limit:
            rows = await self._reader.fetch(_MESSAGES.format(self._after, text=self._text), user_id, *after)
            mismatches += _compare(rows)
            if len(rows) < PAGE_SIZE:
                break
            after = rows[-1][0], rows[-1][1]
        chat_id = NIL_UUID
        while len(mismatches) < limit:
            rows = await self._reader.fetch(_CHATS.format(self._after), user_id, chat_id)
            mismatches += _compare(rows)
            if len(rows) < PAGE_SIZE:
                break
            chat_id = rows[-1][0]
        return mismatches[:limit]


def _compare(rows: Sequence[Row]) -> list[DocumentMismatch]:
    mismatches = []
    for chat_id, seq, role, text, indexed_role, indexed_words in rows:
        words = tokenize(text)
        if bool(words) != (indexed_words is not None):
            mismatches.append(DocumentMismatch(chat_id, seq, "missing" if words else "stray"))
        elif words and (indexed_words != f" {' '.join(words)} " or indexed_role != role):
            mismatches.append(DocumentMismatch(chat_id, seq, "other"))
    return mismatches
