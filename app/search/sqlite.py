"""The index on SQLite: an FTS5 table that triggers keep up with `documents` (https://www.sqlite.org/fts5.html).

CROSS JOIN: SQLite keeps that order, and looks into an index for each row of the left side.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from sqlite3 import Connection
from typing import Any

import orjson

from app.chats.sqlite import SqliteJson
from app.db import sqlite
from app.db.database import Database
from app.db.driver import Driver, Row
from app.db.timestamps import to_iso
from app.search.bucket_allocation import Filled, enough_numbers, fill
from app.search.index_plan import Draft, Progress, Source, Span, Standing, Step
from app.search.queries import LONG_CHARACTERS, SHOWN_CHARACTERS, Changes, gone
from app.search.query import Phrase, Query
from app.search.ranking import LOOKED_AT_CHARACTERS

_STANDINGS = """
SELECT w.value, f.position, f.pruned, i.position, i.tokenizer, i.rebuilt_chat, i.rebuilt_seq
FROM json_each($1) w LEFT JOIN feeds f ON f.user_id = w.value LEFT JOIN indexing i ON i.user_id = w.value
WHERE f.position IS NOT NULL OR i.position IS NOT NULL OR EXISTS (SELECT 1 FROM chats WHERE user_id = w.value)
"""
_BEHIND = """
SELECT f.user_id FROM feeds f LEFT JOIN indexing i ON i.user_id = f.user_id
WHERE i.user_id IS NULL OR i.position < f.position OR i.tokenizer <> $1 OR i.rebuilt_chat IS NOT NULL LIMIT $2
"""
_CHANGES = """
SELECT c.user_id, c.position, c.entries FROM json_each($1) w
CROSS JOIN changes c ON c.user_id = w.value ->> 0 AND c.position > w.value ->> 1
ORDER BY w.key, c.position LIMIT $2
"""
_TEXT = f"CASE WHEN length(text) <= {LONG_CHARACTERS} THEN text END"
_READY = "status IS NOT 'in_progress'"
_ITSELF = "trim(coalesce(title, '') || char(10) || coalesce(summary, ''), char(10))"
_MESSAGES = f"""
SELECT w.key, m.seq, m.role, m.created_at, {_TEXT} FROM json_each($1) w
CROSS JOIN messages m ON m.user_id = w.value ->> 0 AND m.chat_id = w.value ->> 1
    AND m.seq BETWEEN w.value ->> 2 AND w.value ->> 3
WHERE {_READY}
"""
_CHATS = f"""
SELECT w.key, 0, NULL, c.created_at, {_ITSELF} FROM json_each($1) w
CROSS JOIN chats c ON c.user_id = w.value ->> 0 AND c.chat_id = w.value ->> 1
"""
_PAGE = f"""
SELECT * FROM (
    SELECT * FROM (
        SELECT chat_id, 0 AS seq, NULL AS role, created_at, {_ITSELF} AS text FROM chats
        WHERE user_id = $1 AND chat_id > $2 ORDER BY chat_id LIMIT $4
    )
    UNION ALL
    SELECT * FROM (
        SELECT chat_id, seq, role, created_at, CASE WHEN {_READY} THEN {_TEXT} ELSE '' END FROM messages
        WHERE user_id = $1 AND (chat_id, seq) > ($2, $3) ORDER BY chat_id, seq LIMIT $4
    )
) ORDER BY chat_id, seq LIMIT $4
"""
_LONG = f"SELECT text FROM messages WHERE user_id = $1 AND chat_id = $2 AND seq = $3 AND {_READY}"

_HITS = f"""
SELECT w.key, c.title, c.summary, c.created_at, m.message_id, m.role, m.created_at,
    substr(m.text, 1, {SHOWN_CHARACTERS})
FROM json_each($2) w CROSS JOIN chats c ON c.user_id = $1 AND c.chat_id = w.value ->> 0
LEFT JOIN messages m ON m.user_id = $1 AND m.chat_id = w.value ->> 0 AND m.seq = w.value ->> 1
WHERE w.value ->> 1 = 0 OR m.message_id IS NOT NULL
"""

_LOCK = """
SELECT user_id, position, tokenizer, rebuilt_chat, rebuilt_seq FROM indexing
WHERE user_id IN (SELECT value FROM json_each(?))
"""
_FORGET = """
DELETE FROM documents WHERE (user_id, doc) IN (
    SELECT d.user_id, d.doc FROM json_each(?) w CROSS JOIN documents d ON d.user_id = w.value ->> 0
    AND d.chat_id = w.value ->> 1 AND d.seq BETWEEN w.value ->> 2 AND w.value ->> 3
) RETURNING user_id, chat_id, seq, doc, bucket
"""
_LAST_BUCKETS = """
SELECT b.user_id, b.bucket, b.size, b.oldest, b.newest FROM json_each(?) w CROSS JOIN buckets b
ON b.user_id = w.value AND b.bucket = (SELECT max(bucket) FROM buckets WHERE user_id = w.value)
"""
_NUMBERS = "UPDATE search_numbers SET last = last + ? RETURNING last"
_ADD = """
INSERT INTO documents (user_id, doc, bucket, chat_id, seq, role, created_at, words) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING
"""
_ADD_BUCKET = "INSERT OR REPLACE INTO buckets (user_id, bucket, size, oldest, newest) VALUES (?, ?, ?, ?, ?)"
_MOVE = """
INSERT OR REPLACE INTO indexing (user_id, position, tokenizer, rebuilt_chat, rebuilt_seq) VALUES (?, ?, ?, ?, ?)
"""


_MATCHES = """
WITH found AS MATERIALIZED (
    SELECT d.user_id, d.doc, d.chat_id, d.seq, d.role, d.created_at, {fits} AS fits
    FROM search_index i CROSS JOIN documents d ON d.user_id = $1 AND d.doc = i.rowid
    WHERE i.search_index MATCH $2 LIMIT {most}
)
SELECT n.looked_at, f.created_at, f.doc, f.chat_id, f.seq{words}
FROM (SELECT count(*) AS looked_at FROM found) AS n LEFT JOIN (
    SELECT * FROM (
        SELECT created_at, doc, chat_id, seq FROM found WHERE {conditions}
        ORDER BY created_at DESC, doc DESC LIMIT {most}
    ) AS newest WHERE EXISTS (SELECT 1 FROM chats c WHERE c.chat_id = newest.chat_id AND {chats}) LIMIT {limit}
) AS f ON TRUE {of_words}
"""


class SqliteSearchSql:
    """See SearchSql."""

    statement = _MATCHES
    words = f", substr(d.words, 1, {LOOKED_AT_CHARACTERS}), length(d.words)"
    of_words = "LEFT JOIN documents d ON d.user_id = $1 AND d.doc = f.doc"

    def comparable(self, moment: datetime | str) -> str:
        """See SearchSql."""
        return to_iso(moment)

    def looked_up(self, query: Query, buckets: Sequence[int]) -> str:
        """See SearchSql: one query (https://www.sqlite.org/fts5.html, 3)."""
        without = [phrase for phrase in query.none if len(phrase.terms) == 1]
        found = []
        for bucket in buckets:
            clauses = [f"({' OR '.join(_phrase(phrase, bucket) for phrase in clause)})" for clause in query.every]
            every = " AND ".join(clauses)
            none = f" NOT ({' OR '.join(_phrase(phrase, bucket) for phrase in without)})" if without else ""
            found.append(f"(({every}){none})")
        return " OR ".join(found)

    def contains(self, parameter: str) -> str:
        """See SearchSql."""
        return f"instr(words, {parameter}) > 0"

    def has_element(self, column: str, parameter: str) -> str:
        """See SearchSql."""
        return SqliteJson().has_element(column, parameter)


def _phrase(phrase: Phrase, bucket: int) -> str:
    terms = [_quoted(f"{bucket}_{term}") for term in phrase.terms]
    return f"({' AND '.join(terms)}{' *' if phrase.prefix else ''})"


def _quoted(term: str) -> str:
    escaped = term.replace('"', '""')
    return f'"{escaped}"'


class SqliteTables:
    """See Tables. It writes on a connection and a thread of its own, which open it when first needed: a step is one
    call there, since appends wait as long as it takes."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="indexing")
        self._connection: Connection | None = None

    @property
    def _driver(self) -> Driver:
        return self._db.driver

    async def standings(self, users: Sequence[str]) -> list[Standing]:
        """See Reads."""
        rows = await self._driver.fetch(_STANDINGS, _json(users))
        return [
            Standing(row[0], row[1] or 0, row[2] or 0, None if row[3] is None else Progress(*row[3:])) for row in rows
        ]

    async def behind(self, tokenizer: int, limit: int) -> list[str]:
        """See Reads."""
        return [row[0] for row in await self._driver.fetch(_BEHIND, tokenizer, limit)]

    async def changes(self, wanted: Sequence[tuple[str, int]], limit: int) -> Changes:
        """See Reads."""
        found: Changes = {}
        for user_id, position, entries in await self._driver.fetch(_CHANGES, _json(wanted), limit):
            found.setdefault(user_id, []).append((position, orjson.loads(entries)))
        return found

    async def sources(self, spans: Sequence[Span]) -> list[Source]:
        """See Reads."""
        found: list[Source] = []
        chats = [span for span in spans if not span.last]
        messages = [span for span in spans if span.last]
        for statement, some in ((_CHATS, chats), (_MESSAGES, messages)):
            if some:
                for place, seq, role, at, text in await self._driver.fetch(statement, _json(some)):
                    found.append(Source(some[place].user_id, some[place].chat_id, seq, role, at, text))
        return found

    async def page(self, user_id: str, after: tuple[str, int] | None, limit: int) -> list[Source]:
        """See Reads."""
        rows = await self._driver.fetch(_PAGE, user_id, *(after or ("", 0)), limit)
        return [Source(user_id, *row) for row in rows]

    async def text(self, user_id: str, chat_id: str, seq: int) -> str:
        """See Reads."""
        row = await self._driver.fetch_one(_LONG, user_id, chat_id, seq)
        return row[0] if row is not None else ""

    async def hits(self, user_id: str, wanted: Sequence[tuple[Any, int]]) -> list[tuple[int, Row]]:
        """See Reads."""
        rows = await self._driver.fetch(_HITS, user_id, _json(wanted))
        return [(row[0], tuple(row)[1:]) for row in rows]

    async def store(self, steps: Sequence[Step], drafts: Sequence[Draft]) -> set[str]:
        """See Tables."""
        async with self._db.write_lock:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._store, steps, drafts)

    async def close(self) -> None:
        """See Tables."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _store(self, steps: Sequence[Step], drafts: Sequence[Draft]) -> set[str]:
        if self._connection is None:
            self._connection = sqlite.connect(sqlite.path(self._db.url))
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            ours = _store(connection, steps, drafts)
            connection.execute("COMMIT")
        except BaseException:
            # A full disk may have rolled it back already.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return ours


def _store(connection: Connection, steps: Sequence[Step], drafts: Sequence[Draft]) -> set[str]:
    rows = connection.execute(_LOCK, (_json([step.user_id for step in steps]),))
    found = {row[0]: Progress(*row[1:]) for row in rows}
    steps = [step for step in steps if found.get(step.user_id) == step.before]
    ours = {step.user_id for step in steps}
    if not ours:
        return ours
    drafts = [draft for draft in drafts if draft.user_id in ours]
    if spans := gone(steps):
        _forget(connection, spans, drafts)
    if drafts:
        _add(connection, drafts)
    connection.executemany(_MOVE, [(step.user_id, *step.after) for step in steps])
    return ours


def _forget(connection: Connection, spans: Sequence[Span], drafts: Sequence[Draft]) -> None:
    """Deletes documents; those that are stored anew keep their numbers."""
    rows = connection.execute(_FORGET, (_json(spans),)).fetchall()
    had = {(row[0], row[1], row[2]): (row[3], row[4]) for row in rows}
    for draft in drafts:
        draft.doc, draft.bucket = had.get((draft.user_id, draft.chat_id, draft.seq), (0, 0))


def _add(connection: Connection, drafts: Sequence[Draft]) -> None:
    """Stores documents, but for those that are there, and the buckets that they are in."""
    rows = connection.execute(_LAST_BUCKETS, (_json(sorted({draft.user_id for draft in drafts})),))
    last = {row[0]: Filled(*row) for row in rows}
    count = enough_numbers(drafts)
    ((end,),) = connection.execute(_NUMBERS, (count,)).fetchall()
    numbers = iter(range(end - count + 1, end + 1))
    buckets = fill(drafts, last, lambda: next(numbers))
    connection.executemany(
        _ADD,
        [
            (one.user_id, one.doc, one.bucket, one.chat_id, one.seq, one.role, one.created_at, one.words)
            for one in drafts
        ],
    )
    filled = [(one.user_id, one.bucket, one.size, one.oldest, one.newest) for one in buckets]
    connection.executemany(_ADD_BUCKET, filled)


def _json(values: Sequence[Any]) -> str:
    # It takes no subclasses of tuple.
    return orjson.dumps([tuple(value) if isinstance(value, tuple) else value for value in values]).decode()
