"""Group commit on SQLite: one connection on a thread of its own, one `BEGIN IMMEDIATE … COMMIT` for a group."""

import asyncio
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from app.db import sqlite
from app.db.database import Database
from app.db.types import iso
from app.idempotency import cutoff
from app.messages.draft import Draft, to_json, totals
from app.messages.rows import EXTRAS
from app.messages.writer import Append, Appended, NoSuchChat, Outcome, Repeated

_REPEATED = """
SELECT chat_id, first_seq, request_sha256, status, body FROM idempotency
WHERE user_id = ? AND route = ? AND key = ? AND created_at >= ?
"""
_REMEMBER = """
INSERT OR REPLACE INTO idempotency
    (user_id, route, key, request_sha256, status, body, headers, chat_id, first_seq, created_at)
VALUES (?, ?, ?, ?, 201, ?, '{}', ?, ?, ?)
"""
_BY_KEY = "SELECT chat_id FROM chats WHERE user_id = ? AND key = ? AND deleted_at IS NULL"
_CREATE = """
INSERT INTO chats (user_id, chat_id, key, tags, is_pinned, metadata, message_count, input_tokens, output_tokens,
    total_tokens, last_seq, branch, version, created_at, updated_at, last_activity_at)
VALUES (?1, ?2, ?3, '[]', 0, '{}', 0, 0, 0, 0, 0, 0, 1, ?4, ?4, ?4)
"""
_COLUMNS = f"""user_id, chat_id, seq, parent_seq, branch, message_id, role, type, content, text, created_at,
    {", ".join(EXTRAS)}"""
_VALUES = ", ".join("?" * (6 + len(EXTRAS)))
# Finds the chat, takes the next seq and stores the first message at once: each statement more costs the thread a
# wait for the interpreter's lock.
_INSERT_FIRST = f"""
INSERT INTO messages ({_COLUMNS})
SELECT user_id, chat_id, last_seq + 1, head_seq, branch, {_VALUES} FROM chats
WHERE user_id = ? AND chat_id = ? AND deleted_at IS NULL
RETURNING seq, branch
"""
_INSERT_NEXT = f"INSERT INTO messages ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, {_VALUES})"
_COUNT = """
UPDATE chats SET last_seq = ?3, head_seq = ?3, message_count = message_count + ?4, input_tokens = input_tokens + ?5,
    output_tokens = output_tokens + ?6, total_tokens = total_tokens + ?7, version = version + 1,
    last_activity_at = max(last_activity_at, ?8)
WHERE user_id = ?1 AND chat_id = ?2
"""


class SqliteGroup:
    """Owns the process's writing connection. Its thread opens it when first needed."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="writer")
        self._connection: sqlite3.Connection | None = None

    async def commit(self, appends: Sequence[Append]) -> list[Outcome]:
        """See Group."""
        async with self._db.write_lock:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._commit, appends)

    async def close(self) -> None:
        """See Group."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _commit(self, appends: Sequence[Append]) -> list[Outcome]:
        if self._connection is None:
            self._connection = sqlite.connect(sqlite.path(self._db.url))
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            outcomes = [_append(connection, append) for append in appends]
            connection.execute("COMMIT")
        except BaseException:
            # A full disk may have rolled it back already.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return outcomes


def _append(connection: sqlite3.Connection, append: Append) -> Outcome:
    user_id, once, at = append.user_id, append.once, iso(append.at)
    if once is not None:
        row = connection.execute(_REPEATED, (user_id, once.route, once.key, iso(cutoff()))).fetchone()
        if row is not None:
            return Repeated(*row)
    chat_id = append.chat_id
    if append.key is not None:
        row = connection.execute(_BY_KEY, (user_id, append.key)).fetchone()
        chat_id = row[0] if row else append.new_chat_id
        if row is None:
            connection.execute(_CREATE, (user_id, chat_id, append.key, at))
    first, *rest = append.drafts
    row = connection.execute(_INSERT_FIRST, (*_columns(first), user_id, chat_id)).fetchone()
    if row is None or chat_id is None:
        return NoSuchChat()
    first_seq, branch = row
    if rest:
        following = enumerate(rest, first_seq)
        connection.executemany(
            _INSERT_NEXT, ((user_id, chat_id, before + 1, before, branch, *_columns(one)) for before, one in following)
        )
    last_seq = first_seq + len(rest)
    connection.execute(_COUNT, (user_id, chat_id, last_seq, len(append.drafts), *totals(append.drafts), at))
    if once is not None:
        body = to_json([one.public for one in append.drafts])
        connection.execute(
            _REMEMBER, (user_id, once.route, once.key, once.request_sha256, body, chat_id, first_seq, at)
        )
    return Appended(chat_id, first_seq)


_NO_EXTRAS = (None,) * len(EXTRAS)


def _columns(one: Draft) -> tuple[Any, ...]:
    extras: tuple[Any, ...] = _NO_EXTRAS
    if one.extras:
        values = (one.extras.get(name) for name in EXTRAS)
        extras = tuple(to_json(value) if isinstance(value, list | dict) else value for value in values)
    return (one.message_id, one.role, one.type, one.content, one.text, iso(one.created_at), *extras)
