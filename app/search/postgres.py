"""Index queries on Postgres: rows are passed as arrays, so that one statement serves many users.

LATERAL with LIMIT makes one index look-up for each row, whatever the planner thinks of a table that was never analysed.
"""

from collections.abc import Sequence
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.timestamps import to_datetime
from app.models.plain_text import plain_text_sql
from app.search.bucket_allocation import BucketRow, allocate_buckets, max_numbers_needed
from app.search.index_plan import IndexPlan, MessageRange, NewDocument, Progress, document_row
from app.search.queries import LONG_TEXT_CHARACTERS, SNIPPET_CHARACTERS, IndexQueries, select_current, to_progress

_PLAIN_TEXT = plain_text_sql("postgres", "content")
_TEXT = f"CASE WHEN coalesce(octet_length(content::text), 0) <= {LONG_TEXT_CHARACTERS} THEN {_PLAIN_TEXT} END AS text"
_READY = "status IS DISTINCT FROM 'in_progress'"
_CHAT_TEXT = "concat_ws(E'\\n', title, summary) AS text"
_ADD_PROGRESS = """
INSERT INTO indexing (user_id, position, tokenizer) SELECT w.user_id, -1, 0 FROM unnest($1::text[]) AS w(user_id)
ON CONFLICT DO NOTHING
"""
_LOCK_PROGRESS = """
SELECT user_id, position, tokenizer, rebuilt_chat, rebuilt_seq FROM indexing WHERE user_id = ANY($1::text[])
ORDER BY user_id FOR UPDATE
"""
_NO_PROGRESS = Progress(-1, 0)
# The locks that a change of a chat takes: nobody deletes its documents meanwhile, in another order than here.
_LOCK_CHATS = """
SELECT 1 FROM chats c JOIN unnest($1::text[], $2::uuid[]) AS w(user_id, chat_id)
ON c.user_id = w.user_id AND c.chat_id = w.chat_id ORDER BY c.user_id, c.chat_id FOR NO KEY UPDATE OF c
"""
_DELETE = """
DELETE FROM documents d USING unnest($1::text[], $2::uuid[], $3::int[], $4::int[]) AS w(user_id, chat_id, first, last)
WHERE d.user_id = w.user_id AND d.chat_id = w.chat_id AND d.seq BETWEEN w.first AND w.last
RETURNING d.user_id, d.chat_id, d.seq, d.doc, d.bucket
"""
_LAST_BUCKETS = """
SELECT w.user_id, b.bucket, b.size, b.oldest, b.newest FROM unnest($1::text[]) AS w(user_id)
CROSS JOIN LATERAL (SELECT * FROM buckets WHERE user_id = w.user_id ORDER BY bucket DESC LIMIT 1) AS b
"""
_NEXT_NUMBERS = "SELECT nextval('search_numbers') FROM generate_series(1, $1)"
_ADD_DOCUMENTS = """
INSERT INTO documents (user_id, doc, bucket, chat_id, seq, role, created_at, words)
SELECT * FROM unnest(
    $1::text[], $2::bigint[], $3::bigint[], $4::uuid[], $5::int[], $6::text[], $7::timestamptz[], $8::text[]
) ON CONFLICT (user_id, chat_id, seq) DO NOTHING
"""
_ADD_BUCKETS = """
INSERT INTO buckets (user_id, bucket, size, oldest, newest)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::int[], $4::timestamptz[], $5::timestamptz[])
ON CONFLICT (user_id, bucket) DO UPDATE SET size = excluded.size, oldest = excluded.oldest, newest = excluded.newest
"""
_SET_PROGRESS = """
UPDATE indexing i SET
    position = w.position, tokenizer = w.tokenizer, rebuilt_chat = w.rebuilt_chat, rebuilt_seq = w.rebuilt_seq
FROM unnest($1::text[], $2::bigint[], $3::int[], $4::uuid[], $5::int[])
    AS w(user_id, position, tokenizer, rebuilt_chat, rebuilt_seq)
WHERE i.user_id = w.user_id
"""


class PostgresIndexQueries(IndexQueries):
    """Index queries on Postgres."""

    states_sql = """
SELECT w.user_id, f.position, f.pruned, i.position, i.tokenizer, i.rebuilt_chat, i.rebuilt_seq
FROM unnest($1::text[]) AS w(user_id)
LEFT JOIN LATERAL (SELECT position, pruned FROM feeds WHERE user_id = w.user_id LIMIT 1) AS f ON TRUE
LEFT JOIN LATERAL (SELECT * FROM indexing WHERE user_id = w.user_id LIMIT 1) AS i ON TRUE
WHERE f.position IS NOT NULL OR i.position IS NOT NULL OR EXISTS (SELECT 1 FROM chats WHERE user_id = w.user_id)
"""
    changes_sql = """
SELECT w.user_id, c.position, c.events FROM unnest($1::text[], $2::bigint[]) AS w(user_id, after)
CROSS JOIN LATERAL (
    SELECT position, events FROM changes WHERE user_id = w.user_id AND position > w.after ORDER BY position LIMIT $3
) AS c LIMIT $3
"""
    chats_sql = f"""
SELECT w.ordinality - 1, 0, NULL, c.created_at, c.text
FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY AS w(user_id, chat_id)
CROSS JOIN LATERAL (
    SELECT created_at, {_CHAT_TEXT} FROM chats WHERE user_id = w.user_id AND chat_id = w.chat_id LIMIT 1
) AS c
"""
    messages_sql = f"""
SELECT w.ordinality - 1, m.seq, m.role, m.created_at, m.text
FROM unnest($1::text[], $2::uuid[], $3::int[], $4::int[]) WITH ORDINALITY AS w(user_id, chat_id, first, last)
CROSS JOIN LATERAL (
    SELECT seq, role, created_at, {_TEXT} FROM messages
    WHERE user_id = w.user_id AND chat_id = w.chat_id AND seq BETWEEN w.first AND w.last AND {_READY}
    ORDER BY seq LIMIT w.last - w.first + 1
) AS m
"""
    page_sql = f"""
SELECT * FROM (
    (SELECT chat_id, 0 AS seq, NULL AS role, created_at, {_CHAT_TEXT} FROM chats
    WHERE user_id = $1 AND chat_id > $2 ORDER BY chat_id LIMIT $4)
    UNION ALL
    (SELECT chat_id, seq, role, created_at, CASE WHEN {_READY} THEN {_TEXT.removesuffix(" AS text")} ELSE '' END
    FROM messages WHERE user_id = $1 AND (chat_id, seq) > ($2, $3) ORDER BY chat_id, seq LIMIT $4)
) AS page ORDER BY chat_id, seq LIMIT $4
"""
    text_sql = f"SELECT {_PLAIN_TEXT} FROM messages WHERE user_id = $1 AND chat_id = $2 AND seq = $3 AND {_READY}"
    hits_sql = f"""
SELECT w.ordinality - 1, c.title, c.summary, c.created_at, m.message_id, m.role, m.created_at, m.text
FROM unnest($2::uuid[], $3::int[]) WITH ORDINALITY AS w(chat_id, seq)
CROSS JOIN LATERAL (
    SELECT title, summary, created_at FROM chats WHERE user_id = $1 AND chat_id = w.chat_id LIMIT 1
) AS c
LEFT JOIN LATERAL (
    SELECT message_id, role, created_at, left({_PLAIN_TEXT}, {SNIPPET_CHARACTERS}) AS text FROM messages
    WHERE user_id = $1 AND chat_id = w.chat_id AND seq = w.seq LIMIT 1
) AS m ON TRUE
WHERE w.seq = 0 OR m.message_id IS NOT NULL
"""

    def encode_list(self, values: Sequence[Any]) -> list[Any]:
        return list(values)

    def encode_rows(self, rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
        return _columns(rows, width)

    async def apply(self, plans: Sequence[IndexPlan], documents: Sequence[NewDocument]) -> set[str]:
        async with self._db.write() as session:
            plans, documents, ranges = select_current(plans, documents, await _lock(session, plans))
            if ranges:
                await _delete(session, ranges, documents)
            if documents:
                await _add(session, documents)
            if plans:
                await _write(session, _SET_PROGRESS, *_columns([(plan.user_id, *plan.after) for plan in plans], 5))
        return {plan.user_id for plan in plans}


async def _lock(session: AsyncSession, plans: Sequence[IndexPlan]) -> dict[str, Progress | None]:
    """The users' progress now. Nobody else changes it until the session ends."""
    if new := sorted(plan.user_id for plan in plans if plan.before is None):
        await _write(session, _ADD_PROGRESS, new)
    rows = await _write(session, _LOCK_PROGRESS, sorted(plan.user_id for plan in plans))
    states = {row[0]: to_progress(row[1:]) for row in rows}
    return {user_id: None if state == _NO_PROGRESS else state for user_id, state in states.items()}


async def _delete(session: AsyncSession, ranges: Sequence[MessageRange], documents: Sequence[NewDocument]) -> None:
    """Deletes documents; those that are stored again keep their number and bucket."""
    await _write(session, _LOCK_CHATS, *_columns(sorted({messages[:2] for messages in ranges}), 2))
    rows = await _write(session, _DELETE, *_columns(ranges, 4))
    deleted = {(row[0], str(row[1]), row[2]): (row[3], row[4]) for row in rows}
    for document in documents:
        key = (document.user_id, document.chat_id, document.seq)
        document.doc, document.bucket = deleted.get(key, (0, 0))


async def _add(session: AsyncSession, documents: Sequence[NewDocument]) -> None:
    """Stores documents that do not exist yet, and the buckets that they are in."""
    rows = await _write(session, _LAST_BUCKETS, sorted({document.user_id for document in documents}))
    last_buckets = {row[0]: BucketRow(row[0], row[1], row[2], to_datetime(row[3]), to_datetime(row[4])) for row in rows}
    numbers = iter([row[0] for row in await _write(session, _NEXT_NUMBERS, max_numbers_needed(documents))])
    buckets = allocate_buckets(documents, last_buckets, lambda: next(numbers))
    await _write(session, _ADD_DOCUMENTS, *_columns(list(map(document_row, documents)), 8))
    await _write(session, _ADD_BUCKETS, *_columns(buckets, 5))


def _columns(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    return [[row[column] for row in rows] for column in range(width)]


async def _write(session: AsyncSession, statement: str, *arguments: Any) -> Sequence[Any]:
    result = await (await session.connection()).exec_driver_sql(statement, arguments)
    return result.all() if result.returns_rows else ()
