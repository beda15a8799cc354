"""The index on Postgres: rows go in and out as arrays, a few statements for all users at once.

LATERAL and LIMIT: one look into an index for each, whatever the planner believes of a table it never analysed.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlmodel.ext.asyncio.session import AsyncSession

from app.chats.postgres import PostgresJson
from app.db.database import Database
from app.db.driver import Row
from app.db.timestamps import to_datetime
from app.search.bucket_allocation import Filled, enough_numbers, fill
from app.search.index_plan import Draft, Progress, Source, Span, Standing, Step
from app.search.queries import LONG_CHARACTERS, SHOWN_CHARACTERS, Changes, gone
from app.search.query import Phrase, Query
from app.search.ranking import LOOKED_AT_CHARACTERS

_STANDINGS = """
SELECT w.user_id, f.position, f.pruned, i.position, i.tokenizer, i.rebuilt_chat, i.rebuilt_seq
FROM unnest($1::text[]) AS w(user_id)
LEFT JOIN LATERAL (SELECT position, pruned FROM feeds WHERE user_id = w.user_id LIMIT 1) AS f ON TRUE
LEFT JOIN LATERAL (SELECT * FROM indexing WHERE user_id = w.user_id LIMIT 1) AS i ON TRUE
WHERE f.position IS NOT NULL OR i.position IS NOT NULL OR EXISTS (SELECT 1 FROM chats WHERE user_id = w.user_id)
"""
_BEHIND = """
SELECT f.user_id FROM feeds f LEFT JOIN indexing i ON i.user_id = f.user_id
WHERE i.user_id IS NULL OR i.position < f.position OR i.tokenizer <> $1 OR i.rebuilt_chat IS NOT NULL LIMIT $2
"""
_CHANGES = """
SELECT w.user_id, c.position, c.entries FROM unnest($1::text[], $2::bigint[]) AS w(user_id, after)
CROSS JOIN LATERAL (
    SELECT position, entries FROM changes WHERE user_id = w.user_id AND position > w.after ORDER BY position LIMIT $3
) AS c LIMIT $3
"""
# octet_length() knows how long a text is without reading it.
_TEXT = f"CASE WHEN octet_length(text) <= {LONG_CHARACTERS} THEN text END AS text"
_READY = "status IS DISTINCT FROM 'in_progress'"
_ITSELF = "concat_ws(E'\\n', title, summary) AS text"
_MESSAGES = f"""
SELECT w.place, m.seq, m.role, m.created_at, m.text
FROM unnest($1::text[], $2::uuid[], $3::int[], $4::int[]) WITH ORDINALITY AS w(user_id, chat_id, first, last, place)
CROSS JOIN LATERAL (
    SELECT seq, role, created_at, {_TEXT} FROM messages
    WHERE user_id = w.user_id AND chat_id = w.chat_id AND seq BETWEEN w.first AND w.last AND {_READY}
    ORDER BY seq LIMIT w.last - w.first + 1
) AS m
"""
_CHATS = f"""
SELECT w.place, 0, NULL, c.created_at, c.text
FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY AS w(user_id, chat_id, place)
CROSS JOIN LATERAL (
    SELECT created_at, {_ITSELF} FROM chats WHERE user_id = w.user_id AND chat_id = w.chat_id LIMIT 1
) AS c
"""
_PAGE = f"""
SELECT * FROM (
    (SELECT chat_id, 0 AS seq, NULL AS role, created_at, {_ITSELF} FROM chats
    WHERE user_id = $1 AND ($2::uuid IS NULL OR chat_id > $2) ORDER BY chat_id LIMIT $4)
    UNION ALL
    (SELECT chat_id, seq, role, created_at, CASE WHEN {_READY} THEN {_TEXT.removesuffix(" AS text")} ELSE '' END
    FROM messages WHERE user_id = $1 AND ($2::uuid IS NULL OR (chat_id, seq) > ($2, $3)) ORDER BY chat_id, seq LIMIT $4)
) AS page ORDER BY chat_id, seq LIMIT $4
"""
_LONG = f"SELECT text FROM messages WHERE user_id = $1 AND chat_id = $2 AND seq = $3 AND {_READY}"

_HITS = f"""
SELECT w.place, c.title, c.summary, c.created_at, m.message_id, m.role, m.created_at, m.text
FROM unnest($2::uuid[], $3::int[]) WITH ORDINALITY AS w(chat_id, seq, place)
CROSS JOIN LATERAL (
    SELECT title, summary, created_at FROM chats WHERE user_id = $1 AND chat_id = w.chat_id LIMIT 1
) AS c
LEFT JOIN LATERAL (
    SELECT message_id, role, created_at, left(text, {SHOWN_CHARACTERS}) AS text FROM messages
    WHERE user_id = $1 AND chat_id = w.chat_id AND seq = w.seq LIMIT 1
) AS m ON TRUE
WHERE w.seq = 0 OR m.message_id IS NOT NULL
"""

_BEGIN = """
INSERT INTO indexing (user_id, position, tokenizer) SELECT w.user_id, -1, 0 FROM unnest($1::text[]) AS w(user_id)
ON CONFLICT DO NOTHING
"""
_LOCK = """
SELECT user_id, position, tokenizer, rebuilt_chat, rebuilt_seq FROM indexing WHERE user_id = ANY($1::text[])
ORDER BY user_id FOR UPDATE
"""
_NEVER = Progress(-1, 0)
# As whoever changes a chat does: so nobody deletes its documents meanwhile, in another order than this does.
_LOCK_CHATS = """
SELECT 1 FROM chats c JOIN unnest($1::text[], $2::uuid[]) AS w(user_id, chat_id)
ON c.user_id = w.user_id AND c.chat_id = w.chat_id ORDER BY c.user_id, c.chat_id FOR NO KEY UPDATE OF c
"""
_FORGET = """
DELETE FROM documents d USING unnest($1::text[], $2::uuid[], $3::int[], $4::int[]) AS w(user_id, chat_id, first, last)
WHERE d.user_id = w.user_id AND d.chat_id = w.chat_id AND d.seq BETWEEN w.first AND w.last
RETURNING d.user_id, d.chat_id, d.seq, d.doc, d.bucket
"""
_LAST_BUCKETS = """
SELECT w.user_id, b.bucket, b.size, b.oldest, b.newest FROM unnest($1::text[]) AS w(user_id)
CROSS JOIN LATERAL (SELECT * FROM buckets WHERE user_id = w.user_id ORDER BY bucket DESC LIMIT 1) AS b
"""
_NUMBERS = "SELECT nextval('search_numbers') FROM generate_series(1, $1)"
_ADD = """
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
_MOVE = """
UPDATE indexing i SET
    position = w.position, tokenizer = w.tokenizer, rebuilt_chat = w.rebuilt_chat, rebuilt_seq = w.rebuilt_seq
FROM unnest($1::text[], $2::bigint[], $3::int[], $4::uuid[], $5::int[])
    AS w(user_id, position, tokenizer, rebuilt_chat, rebuilt_seq)
WHERE i.user_id = w.user_id
"""

# The words are looked for alone, so that no plan goes through all that a user has. The newest are known before their
# chats are looked at, so that it is done for no more of them than asked for.
_MATCHES = """
WITH found AS MATERIALIZED (
    SELECT d.user_id, d.doc, d.chat_id, d.seq, d.role, d.created_at{of_words}, {fits} AS fits
    FROM unnest($2::text[]) AS b(query)
    CROSS JOIN LATERAL (SELECT * FROM documents WHERE chatkeep_terms(bucket, words) @@ b.query::tsquery) AS d
    LIMIT {most}
)
SELECT n.looked_at, f.* FROM (SELECT count(*) AS looked_at FROM found) AS n LEFT JOIN (
    SELECT newest.created_at, newest.doc, newest.chat_id, newest.seq{words}
    FROM (SELECT * FROM found WHERE {conditions} ORDER BY created_at DESC, doc DESC) AS newest
    CROSS JOIN LATERAL (SELECT 1 FROM chats c WHERE c.chat_id = newest.chat_id AND {chats} LIMIT 1) AS c
    ORDER BY newest.created_at DESC, newest.doc DESC LIMIT {limit}
) AS f ON TRUE
"""


class PostgresSearchSql:
    """See SearchSql."""

    statement = _MATCHES
    words = f", left(newest.words, {LOOKED_AT_CHARACTERS}), length(newest.words)"
    of_words = ", d.words"

    def comparable(self, moment: datetime) -> datetime:
        """See SearchSql."""
        return to_datetime(moment)

    def looked_up(self, query: Query, buckets: Sequence[int]) -> list[str]:
        """See SearchSql: a query for each bucket, as text (https://www.postgresql.org/docs/current/datatype-textsearch.html)."""
        found = []
        for bucket in buckets:
            clauses = [f"({' | '.join(_phrase(phrase, bucket) for phrase in clause)})" for clause in query.every]
            clauses += [f"!{_phrase(phrase, bucket)}" for phrase in query.none if len(phrase.terms) == 1]
            found.append(" & ".join(clauses))
        return found

    def contains(self, parameter: str) -> str:
        """See SearchSql."""
        return f"strpos(words, {parameter}) > 0"

    def has_element(self, column: str, parameter: str) -> str:
        """See SearchSql."""
        return PostgresJson().has_element(column, parameter)


def _phrase(phrase: Phrase, bucket: int) -> str:
    terms = [_quoted(f"{bucket}_{term}") for term in phrase.terms]
    return f"({' & '.join(terms)}{':*' if phrase.prefix else ''})"


def _quoted(term: str) -> str:
    escaped = term.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


class PostgresTables:
    """See Tables."""

    def __init__(self, db: Database) -> None:
        self._db = db

    @property
    def _driver(self) -> Any:
        return self._db.driver

    async def standings(self, users: Sequence[str]) -> list[Standing]:
        """See Reads."""
        rows = await self._driver.fetch(_STANDINGS, list(users))
        return [
            Standing(row[0], row[1] or 0, row[2] or 0, None if row[3] is None else _progress(row[3:])) for row in rows
        ]

    async def behind(self, tokenizer: int, limit: int) -> list[str]:
        """See Reads."""
        return [row[0] for row in await self._driver.fetch(_BEHIND, tokenizer, limit)]

    async def changes(self, wanted: Sequence[tuple[str, int]], limit: int) -> Changes:
        """See Reads."""
        found: Changes = {}
        for user_id, position, entries in await self._driver.fetch(_CHANGES, *_columns(wanted, 2), limit):
            found.setdefault(user_id, []).append((position, orjson.loads(entries)))
        return found

    async def sources(self, spans: Sequence[Span]) -> list[Source]:
        """See Reads."""
        found: list[Source] = []
        chats = [span for span in spans if not span.last]
        messages = [span for span in spans if span.last]
        for statement, some, columns in ((_CHATS, chats, 2), (_MESSAGES, messages, 4)):
            if some:
                for place, seq, role, at, text in await self._driver.fetch(statement, *_columns(some, columns)):
                    span = some[place - 1]
                    found.append(Source(span.user_id, span.chat_id, seq, role, to_datetime(at), text))
        return found

    async def page(self, user_id: str, after: tuple[str, int] | None, limit: int) -> list[Source]:
        """See Reads."""
        chat_id, seq = after or (None, 0)
        rows = await self._driver.fetch(_PAGE, user_id, chat_id, seq, limit)
        return [Source(user_id, str(row[0]), row[1], row[2], to_datetime(row[3]), row[4]) for row in rows]

    async def text(self, user_id: str, chat_id: str, seq: int) -> str:
        """See Reads."""
        row = await self._driver.fetch_one(_LONG, user_id, chat_id, seq)
        return row[0] if row is not None else ""

    async def hits(self, user_id: str, wanted: Sequence[tuple[Any, int]]) -> list[tuple[int, Row]]:
        """See Reads."""
        rows = await self._driver.fetch(_HITS, user_id, *_columns(wanted, 2))
        return [(row[0] - 1, tuple(row)[1:]) for row in rows]

    async def store(self, steps: Sequence[Step], drafts: Sequence[Draft]) -> set[str]:
        """See Tables."""
        async with self._db.write() as session:
            found = await _lock(session, steps)
            steps = [step for step in steps if found.get(step.user_id) == step.before]
            ours = {step.user_id for step in steps}
            if not ours:
                return ours
            drafts = [draft for draft in drafts if draft.user_id in ours]
            if spans := gone(steps):
                await _forget(session, spans, drafts)
            if drafts:
                await _add(session, drafts)
            await _write(session, _MOVE, *_columns([(step.user_id, *step.after) for step in steps], 5))
        return ours

    async def close(self) -> None:
        """See Tables."""


async def _lock(session: AsyncSession, steps: Sequence[Step]) -> dict[str, Progress | None]:
    """How far the users' indexes are now. Nobody else writes them until the session ends."""
    if new := sorted(step.user_id for step in steps if step.before is None):
        await _write(session, _BEGIN, new)
    rows = await _write(session, _LOCK, sorted(step.user_id for step in steps))
    found = {row[0]: _progress(row[1:]) for row in rows}
    return {user_id: None if progress == _NEVER else progress for user_id, progress in found.items()}


async def _forget(session: AsyncSession, spans: Sequence[Span], drafts: Sequence[Draft]) -> None:
    """Deletes documents; those that are stored anew keep their numbers."""
    await _write(session, _LOCK_CHATS, *_columns(sorted({span[:2] for span in spans}), 2))
    rows = await _write(session, _FORGET, *_columns(spans, 4))
    had = {(row[0], str(row[1]), row[2]): (row[3], row[4]) for row in rows}
    for draft in drafts:
        draft.doc, draft.bucket = had.get((draft.user_id, draft.chat_id, draft.seq), (0, 0))


async def _add(session: AsyncSession, drafts: Sequence[Draft]) -> None:
    """Stores documents, but for those that are there, and the buckets that they are in."""
    rows = await _write(session, _LAST_BUCKETS, sorted({draft.user_id for draft in drafts}))
    last = {row[0]: Filled(row[0], row[1], row[2], to_datetime(row[3]), to_datetime(row[4])) for row in rows}
    numbers = iter([row[0] for row in await _write(session, _NUMBERS, enough_numbers(drafts))])
    buckets = fill(drafts, last, lambda: next(numbers))
    documents = [
        (one.user_id, one.doc, one.bucket, one.chat_id, one.seq, one.role, one.created_at, one.words) for one in drafts
    ]
    await _write(session, _ADD, *_columns(documents, 8))
    filled = [(one.user_id, one.bucket, one.size, one.oldest, one.newest) for one in buckets]
    await _write(session, _ADD_BUCKETS, *_columns(filled, 5))


def _progress(columns: Sequence[Any]) -> Progress:
    position, tokenizer, chat_id, seq = columns
    return Progress(position, tokenizer, None if chat_id is None else str(chat_id), seq)


def _columns(rows: Sequence[Sequence[Any]], count: int) -> list[list[Any]]:
    return [[row[place] for row in rows] for place in range(count)]


async def _write(session: AsyncSession, statement: str, *arguments: Any) -> Sequence[Any]:
    result = await (await session.connection()).exec_driver_sql(statement, arguments)
    return result.all() if result.returns_rows else ()
