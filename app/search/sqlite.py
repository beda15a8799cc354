"""Index queries on SQLite: rows are passed as JSON, and triggers keep the FTS5 table up with `documents`.

CROSS JOIN: SQLite keeps that order, and makes an index look-up for each row of the left side.
"""

from collections.abc import Sequence
from functools import partial
from sqlite3 import Connection
from typing import Any

import orjson

from app.db import sqlite
from app.db.database import Database
from app.models.plain_text import plain_text_sql
from app.search.bucket_allocation import BucketRow, allocate_buckets, max_numbers_needed
from app.search.index_plan import IndexPlan, MessageRange, NewDocument, Progress, document_row
from app.search.queries import LONG_TEXT_CHARACTERS, SNIPPET_CHARACTERS, IndexQueries, select_current

_PLAIN_TEXT = plain_text_sql("sqlite", "messages.content")
_TEXT = f"CASE WHEN coalesce(length(messages.content), 0) <= {LONG_TEXT_CHARACTERS} THEN {_PLAIN_TEXT} END"
_READY = "status IS NOT 'in_progress'"
_CHAT_TEXT = "trim(coalesce(title, '') || char(10) || coalesce(summary, ''), char(10))"
_GET_PROGRESS = """
SELECT user_id, position, tokenizer, rebuilt_chat, rebuilt_seq FROM indexing
WHERE user_id IN (SELECT value FROM json_each(?))
"""
_DELETE = """
DELETE FROM documents WHERE (user_id, doc) IN (
    SELECT d.user_id, d.doc FROM json_each(?) w CROSS JOIN documents d ON d.user_id = w.value ->> 0
    AND d.chat_id = w.value ->> 1 AND d.seq BETWEEN w.value ->> 2 AND w.value ->> 3
) RETURNING user_id, chat_id, seq, doc, bucket
"""
_LAST_BUCKETS = """
SELECT b.user_id, b.bucket, b.size, b.oldest, b.newest FROM json_each(?) w CROSS JOIN buckets b
ON b.user_id = w.value AND b.bucket = (SELECT max(bucket) FROM buckets WHERE user_id = w.value)
"""
_NEXT_NUMBERS = "UPDATE search_numbers SET last = last + ? RETURNING last"
_ADD_DOCUMENT = """
INSERT INTO documents (user_id, doc, bucket, chat_id, seq, role, created_at, words) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING
"""
_ADD_BUCKET = "INSERT OR REPLACE INTO buckets (user_id, bucket, size, oldest, newest) VALUES (?, ?, ?, ?, ?)"
_SET_PROGRESS = """
INSERT OR REPLACE INTO indexing (user_id, position, tokenizer, rebuilt_chat, rebuilt_seq) VALUES (?, ?, ?, ?, ?)
"""


class SqliteIndexQueries(IndexQueries):
    """Index queries on SQLite. A transaction is one call on a thread of its own: appends wait as long as it takes."""

    states_sql = """
SELECT w.value, f.position, f.pruned, i.position, i.tokenizer, i.rebuilt_chat, i.rebuilt_seq
FROM json_each($1) w LEFT JOIN feeds f ON f.user_id = w.value LEFT JOIN indexing i ON i.user_id = w.value
WHERE f.position IS NOT NULL OR i.position IS NOT NULL OR EXISTS (SELECT 1 FROM chats WHERE user_id = w.value)
"""
    changes_sql = """
SELECT c.user_id, c.position, c.events FROM json_each($1) w
CROSS JOIN changes c ON c.user_id = w.value ->> 0 AND c.position > w.value ->> 1
ORDER BY w.key, c.position LIMIT $2
"""
    chats_sql = f"""
SELECT w.key, 0, NULL, c.created_at, {_CHAT_TEXT} FROM json_each($1) w
CROSS JOIN chats c ON c.user_id = w.value ->> 0 AND c.chat_id = w.value ->> 1
"""
    messages_sql = f"""
SELECT w.key, seq, role, messages.created_at, {_TEXT} FROM json_each($1) w
CROSS JOIN messages ON user_id = w.value ->> 0 AND chat_id = w.value ->> 1
    AND seq BETWEEN w.value ->> 2 AND w.value ->> 3
WHERE {_READY}
"""
    page_sql = f"""
SELECT * FROM (
    SELECT * FROM (
        SELECT chat_id, 0 AS seq, NULL AS role, created_at, {_CHAT_TEXT} AS text FROM chats
        WHERE user_id = $1 AND chat_id > $2 ORDER BY chat_id LIMIT $4
    )
    UNION ALL
    SELECT * FROM (
        SELECT chat_id, seq, role, created_at, CASE WHEN {_READY} THEN {_TEXT} ELSE '' END FROM messages
        WHERE user_id = $1 AND (chat_id, seq) > ($2, $3) ORDER BY chat_id, seq LIMIT $4
    )
) ORDER BY chat_id, seq LIMIT $4
"""
    text_sql = f"SELECT {_PLAIN_TEXT} FROM messages WHERE user_id = $1 AND chat_id = $2 AND seq = $3 AND {_READY}"
    hits_sql = f"""
SELECT w.key, c.title, c.summary, c.created_at, m.message_id, m.role, m.created_at,
    substr({plain_text_sql("sqlite", "m.content")}, 1, {SNIPPET_CHARACTERS})
FROM json_each($2) w CROSS JOIN chats c ON c.user_id = $1 AND c.chat_id = w.value ->> 0
LEFT JOIN messages m ON m.user_id = $1 AND m.chat_id = w.value ->> 0 AND m.seq = w.value ->> 1
WHERE w.value ->> 1 = 0 OR m.message_id IS NOT NULL
"""

    def __init__(self, db: Database) -> None:
        super().__init__(db)
        self._thread = sqlite.WriteThread(sqlite.path(db.url), "indexing")

    def call(self, statement: Any, rows: Sequence[Sequence[Any]], width: int) -> Sequence[Any]:
        return statement, _json([row[0] for row in rows] if width == 1 else rows)

    def encode_rows(self, rows: Sequence[Sequence[Any]], width: int) -> tuple[str]:
        return (_json(rows),)

    async def apply(self, plans: Sequence[IndexPlan], documents: Sequence[NewDocument]) -> set[str]:
        async with self._db.write_lock:
            return await self._thread.transaction(partial(_apply, plans, documents))

    async def close(self) -> None:
        await self._thread.close()


def _apply(plans: Sequence[IndexPlan], documents: Sequence[NewDocument], connection: Connection) -> set[str]:
    rows = connection.execute(_GET_PROGRESS, (_json([plan.user_id for plan in plans]),))
    progress: dict[str, Progress | None] = {row[0]: Progress(*row[1:]) for row in rows}
    plans, documents, ranges = select_current(plans, documents, progress)
    if ranges:
        _delete(connection, ranges, documents)
    if documents:
        _add(connection, documents)
    connection.executemany(_SET_PROGRESS, [(plan.user_id, *plan.after) for plan in plans])
    return {plan.user_id for plan in plans}


def _delete(connection: Connection, ranges: Sequence[MessageRange], documents: Sequence[NewDocument]) -> None:
    """Deletes documents; those that are stored again keep their number and bucket."""
    rows = connection.execute(_DELETE, (_json(ranges),)).fetchall()
    deleted = {(row[0], row[1], row[2]): (row[3], row[4]) for row in rows}
    for document in documents:
        key = (document.user_id, document.chat_id, document.seq)
        document.doc, document.bucket = deleted.get(key, (0, 0))


def _add(connection: Connection, documents: Sequence[NewDocument]) -> None:
    """Stores documents that do not exist yet, and the buckets that they are in."""
    rows = connection.execute(_LAST_BUCKETS, (_json(sorted({document.user_id for document in documents})),))
    last_buckets = {row[0]: BucketRow(*row) for row in rows}
    count = max_numbers_needed(documents)
    ((last,),) = connection.execute(_NEXT_NUMBERS, (count,)).fetchall()
    numbers = iter(range(last - count + 1, last + 1))
    buckets = allocate_buckets(documents, last_buckets, lambda: next(numbers))
    connection.executemany(_ADD_DOCUMENT, map(document_row, documents))
    connection.executemany(_ADD_BUCKET, buckets)


def _json(values: Sequence[Any]) -> str:
    # orjson takes no subclasses of tuple.
    return orjson.dumps([tuple(value) if isinstance(value, tuple) else value for value in values]).decode()
