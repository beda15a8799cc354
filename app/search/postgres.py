"""Index queries on Postgres: rows are passed as arrays, so that one statement serves many users, or one by a value.

LATERAL with LIMIT makes one index look-up for each row, whatever the planner thinks of a table that was never analysed.
"""

from collections.abc import Sequence
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.timestamps import to_datetime
from app.models.plain_text import plain_text_sql
from app.search.bucket_allocation import BucketRow, allocate_buckets, max_numbers_needed
from app.search.for_users import ForUsers
from app.search.index_plan import IndexPlan, MessageRange, NewDocument, Progress, document_row
from app.search.queries import LONG_TEXT_CHARACTERS, SNIPPET_CHARACTERS, IndexQueries, select_current, to_progress

_PLAIN_TEXT = plain_text_sql("postgres", "content")
_TEXT = f"CASE WHEN coalesce(octet_length(content::text), 0) <= {LONG_TEXT_CHARACTERS} THEN {_PLAIN_TEXT} END AS text"
_READY = "status IS DISTINCT FROM 'in_progress'"
_CHAT_TEXT = "concat_ws(E'\\n', title, summary) AS text"
_ADD_PROGRESS = ForUsers(
    "INSERT INTO indexing (user_id, position, tokenizer) SELECT {user}, -1, 0 FROM {rows} ON CONFLICT DO NOTHING"
)
_PROGRESS = "SELECT user_id, position, tokenizer, rebuilt_chat, rebuilt_seq FROM indexing WHERE user_id"
_LOCK_PROGRESS = f"{_PROGRESS} = ANY($1::text[]) ORDER BY user_id FOR UPDATE"
_LOCK_PROGRESS_OF_ONE = f"{_PROGRESS} = $1 FOR UPDATE"
_NO_PROGRESS = Progress(-1, 0)
# The locks that a change of a chat takes: nobody deletes its documents meanwhile, in another order than here.
_LOCK_CHATS = """
SELECT 1 FROM chats c JOIN unnest($1::text[], $2::uuid[]) AS w(user_id, chat_id)
ON c.user_id = w.user_id AND c.chat_id = w.chat_id ORDER BY c.user_id, c.chat_id FOR NO KEY UPDATE OF c
"""
_LOCK_CHAT = "SELECT 1 FROM chats WHERE user_id = $1 AND chat_id = $2 FOR NO KEY UPDATE"
_DELETE = ForUsers(
    "DELETE FROM documents d USING {rows} "
    "WHERE d.user_id = {user} AND d.chat_id = w.chat_id AND d.seq BETWEEN w.first AND w.last "
    "RETURNING d.user_id, d.chat_id, d.seq, d.doc, d.bucket",
    chat_id="uuid",
    first="int",
    last="int",
)
_LAST_BUCKETS = ForUsers(
    "SELECT b.user_id, b.bucket, b.size, b.oldest, b.newest FROM {rows} "
    "CROSS JOIN LATERAL (SELECT * FROM buckets WHERE user_id = {user} ORDER BY bucket DESC LIMIT 1) AS b"
)
_NEXT_NUMBERS = "SELECT nextval('search_numbers') FROM generate_series(1, $1)"
_ADD_DOCUMENTS = ForUsers(
    "INSERT INTO documents (user_id, doc, bucket, chat_id, seq, role, created_at, words) "
    "SELECT {user}, w.doc, w.bucket, w.chat_id, w.seq, w.role, w.created_at, w.words FROM {rows} "
    "ON CONFLICT (user_id, chat_id, seq) DO NOTHING",
    doc="bigint",
    bucket="bigint",
    chat_id="uuid",
    seq="int",
    role="text",
    created_at="timestamptz",
    words="text",
)
_ADD_BUCKETS = ForUsers(
    "INSERT INTO buckets (user_id, bucket, size, oldest, newest) "
    "SELECT {user}, w.bucket, w.size, w.oldest, w.newest FROM {rows} ON CONFLICT (user_id, bucket) "
    "DO UPDATE SET size = excluded.size, oldest = excluded.oldest, newest = excluded.newest",
    bucket="bigint",
    size="int",
    oldest="timestamptz",
    newest="timestamptz",
)
_SET_PROGRESS = ForUsers(
    "UPDATE indexing i SET position = w.position, tokenizer = w.tokenizer, rebuilt_chat = w.rebuilt_chat, "
    "rebuilt_seq = w.rebuilt_seq FROM {rows} WHERE i.user_id = {user}",
    position="bigint",
    tokenizer="int",
    rebuilt_chat="uuid",
    rebuilt_seq="int",
)


class PostgresIndexQueries(IndexQueries):
    """Index queries on Postgres."""

    states_sql = ForUsers(
        "SELECT {user}, f.position, f.pruned, i.position, i.tokenizer, i.rebuilt_chat, i.rebuilt_seq FROM {rows} "
        "LEFT JOIN LATERAL (SELECT position, pruned FROM feeds WHERE user_id = {user} LIMIT 1) AS f ON TRUE "
        "LEFT JOIN LATERAL (SELECT * FROM indexing WHERE user_id = {user} LIMIT 1) AS i ON TRUE "
        "WHERE f.position IS NOT NULL OR i.position IS NOT NULL "
        "OR EXISTS (SELECT 1 FROM chats WHERE user_id = {user})"
    )
    changes_sql = ForUsers(
        "SELECT {user}, c.position, c.events FROM {rows} CROSS JOIN LATERAL (SELECT position, events FROM changes "
        "WHERE user_id = {user} AND position > w.after ORDER BY position LIMIT $3) AS c LIMIT $3",
        after="bigint",
    )
    chats_sql = ForUsers(
        "SELECT w.ordinality - 1, 0, NULL, c.created_at, c.text FROM {rows} CROSS JOIN LATERAL ("
        f"SELECT created_at, {_CHAT_TEXT} FROM chats WHERE user_id = {{user}} AND chat_id = w.chat_id LIMIT 1) AS c",
        chat_id="uuid",
    )
    messages_sql = ForUsers(
        "SELECT w.ordinality - 1, m.seq, m.role, m.created_at, m.text FROM {rows} CROSS JOIN LATERAL ("
        f"SELECT seq, role, created_at, {_TEXT.replace('{', '{{').replace('}', '}}')} FROM messages "
        f"WHERE user_id = {{user}} AND chat_id = w.chat_id AND seq BETWEEN w.first AND w.last AND {_READY} "
        "ORDER BY seq LIMIT w.last - w.first + 1) AS m",
        chat_id="uuid",
        first="int",
        last="int",
    )
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

    def call(self, statement: Any, rows: Sequence[Sequence[Any]], width: int) -> Sequence[Any]:
        return _call(statement, rows, width)

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
                await _write(session, _SET_PROGRESS, [(plan.user_id, *plan.after) for plan in plans], 5)
        return {plan.user_id for plan in plans}


async def _lock(session: AsyncSession, plans: Sequence[IndexPlan]) -> dict[str, Progress | None]:
    """The users' progress now. Nobody else changes it until the session ends."""
    if new := sorted(plan.user_id for plan in plans if plan.before is None):
        await _write(session, _ADD_PROGRESS, [(user_id,) for user_id in new], 1)
    users = sorted(plan.user_id for plan in plans)
    if len(users) == 1:
        rows = await _fetch(session, _LOCK_PROGRESS_OF_ONE, users[0])
    else:
        rows = await _fetch(session, _LOCK_PROGRESS, users)
    states = {row[0]: to_progress(row[1:]) for row in rows}
    return {user_id: None if state == _NO_PROGRESS else state for user_id, state in states.items()}


async def _delete(session: AsyncSession, ranges: Sequence[MessageRange], documents: Sequence[NewDocument]) -> None:
    """Deletes documents; those that are stored again keep their number and bucket."""
    chats = sorted({messages[:2] for messages in ranges})
    if len({user_id for user_id, _ in chats}) == 1:
        # Citus locks no rows by a join.
        for user_id, chat_id in chats:
            await _fetch(session, _LOCK_CHAT, user_id, chat_id)
    else:
        await _fetch(session, _LOCK_CHATS, *_columns(chats, 2))
    rows = await _write(session, _DELETE, ranges, 4)
    deleted = {(row[0], str(row[1]), row[2]): (row[3], row[4]) for row in rows}
    for document in documents:
        key = (document.user_id, document.chat_id, document.seq)
        document.doc, document.bucket = deleted.get(key, (0, 0))


async def _add(session: AsyncSession, documents: Sequence[NewDocument]) -> None:
    """Stores documents that do not exist yet, and the buckets that they are in."""
    users = sorted({document.user_id for document in documents})
    rows = await _write(session, _LAST_BUCKETS, [(user_id,) for user_id in users], 1)
    last_buckets = {row[0]: BucketRow(row[0], row[1], row[2], to_datetime(row[3]), to_datetime(row[4])) for row in rows}
    numbers = iter([row[0] for row in await _fetch(session, _NEXT_NUMBERS, max_numbers_needed(documents))])
    buckets = allocate_buckets(documents, last_buckets, lambda: next(numbers))
    await _write(session, _ADD_DOCUMENTS, list(map(document_row, documents)), 8)
    if buckets:
        await _write(session, _ADD_BUCKETS, buckets, 5)


def _call(statement: ForUsers, rows: Sequence[Sequence[Any]], width: int) -> Sequence[Any]:
    """A statement for rows, and its arguments."""
    columns = _columns(rows, width)
    if all(user_id == rows[0][0] for user_id in columns[0]):
        return statement.of_one, rows[0][0], *columns[1:]
    return statement.of_many, *columns


def _columns(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    return [[row[column] for row in rows] for column in range(width)]


async def _write(
    session: AsyncSession, statement: ForUsers, rows: Sequence[Sequence[Any]], width: int
) -> Sequence[Any]:
    return await _fetch(session, *_call(statement, rows, width))


async def _fetch(session: AsyncSession, statement: str, *arguments: Any) -> Sequence[Any]:
    result = await (await session.connection()).exec_driver_sql(statement, arguments)
    return result.all() if result.returns_rows else ()
