"""Commit backend for SQLite: one connection on a thread of its own, one `BEGIN IMMEDIATE … COMMIT` for a group."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import orjson
from sqlalchemy.engine import Connection
from sqlmodel.ext.asyncio.session import AsyncSession

from app.chats.serialize import etag
from app.db import sqlite
from app.db.database import Database
from app.db.timestamps import now, to_iso
from app.http.conditional import names
from app.http.errors import NotFound
from app.messages.append.contract import (
    Append,
    Appended,
    KeyTaken,
    LeaseHeld,
    NoSuchChat,
    NoSuchParent,
    Outcome,
    RepeatedAppend,
    VersionMismatch,
)
from app.messages.append.new_message import NewMessage, sum_tokens, to_json
from app.messages.append.sqlite_changes import Changes, Rows, SqlConnection, UserChanges, record_changes
from app.messages.queries import parse_message_ref
from app.messages.serialize import EXTRAS
from app.models.plain_text import plain_text

_SELECT_RESPONSE = """
SELECT request_sha256, body, chat_id, first_seq, parent_id, siblings FROM idempotency
WHERE user_id = ? AND route = ? AND key = ? AND created_at >= ?
"""
_STORE_RESPONSE = """
INSERT OR REPLACE INTO idempotency
    (user_id, route, key, request_sha256, status, body, headers, chat_id, first_seq, parent_id, siblings, created_at)
VALUES (?, ?, ?, ?, 201, ?, '{}', ?, ?, ?, ?, ?)
"""
_CHAT_BY_KEY = "SELECT chat_id FROM chats WHERE user_id = ? AND key = ? AND deleted_at IS NULL"
_CREATE_CHAT = """
INSERT INTO chats (user_id, chat_id, key, tags, is_pinned, metadata, message_count, input_tokens, output_tokens,
    total_tokens, last_seq, segment, tree_version, last_segment, version, created_at, updated_at, last_activity_at,
    listed_at)
VALUES (?1, ?2, ?3, '[]', 0, '{}', 0, 0, 0, 0, 0, 0, 0, 0, 1, ?4, ?4, ?4, ?4)
"""
_COLUMNS = f"""user_id, chat_id, seq, parent_seq, segment, message_id, role, type, content, created_at,
    {", ".join(EXTRAS)}, payload, status"""
_VALUES = ", ".join("?" * (7 + len(EXTRAS)))
# Finds the chat, takes the next seq and stores the first message at once: each statement more costs the thread a
# wait for the interpreter's lock. In a chat with branches only what follows the message that was written last is known
# to have no siblings.
_INSERT_FIRST = f"""
INSERT INTO messages ({_COLUMNS})
SELECT user_id, chat_id, last_seq + 1, head_seq, segment, {_VALUES} FROM chats
WHERE user_id = ? AND chat_id = ? AND deleted_at IS NULL AND (tree_version = 0 OR head_seq = last_seq)
    AND (lease_until IS NULL OR lease_until <= ?)
RETURNING seq, segment, (
    SELECT json_array(c.head_id, c.platform, c.listed_at, c.last_activity_at) FROM chats c
    WHERE c.user_id = messages.user_id AND c.chat_id = messages.chat_id
)
"""
_HEAD = """
SELECT last_seq, head_seq, head_id, segment, tree_version, last_segment, version, platform, lease_token, lease_until,
    listed_at, last_activity_at
FROM chats WHERE user_id = ? AND chat_id = ? AND deleted_at IS NULL
"""
_TAKEN = """
SELECT key, message_id, seq FROM messages
WHERE user_id = ? AND chat_id = ? AND key IN (SELECT value FROM json_each(?)) AND key IS NOT NULL
"""
_PARENT = "SELECT seq, message_id, segment FROM messages WHERE user_id = ? AND chat_id = ? AND {} = ?"
_LATER_IN_SEGMENT = (
    "SELECT 1 FROM messages WHERE user_id = ? AND chat_id = ? AND segment = ? AND segment > 0 AND seq > ? LIMIT 1"
)
_INSERT_SEGMENT = "INSERT INTO segments (user_id, chat_id, segment, parent_segment, fork_seq) VALUES (?, ?, ?, ?, ?)"
# What follows a message is the next seq, or in the index of those that do not follow the seq before.
_CHILDREN = """
SELECT message_id FROM (
    SELECT seq, message_id FROM messages WHERE user_id = ?1 AND chat_id = ?2 AND seq = ?3 + 1 AND parent_seq = ?3
    UNION ALL
    SELECT seq, message_id FROM messages
    WHERE user_id = ?1 AND chat_id = ?2 AND parent_seq = ?3 AND (parent_seq IS NULL OR parent_seq < seq - 1)
) ORDER BY seq
"""
_ROOTS = """
SELECT message_id FROM messages
WHERE user_id = ? AND chat_id = ? AND parent_seq IS NULL AND (parent_seq IS NULL OR parent_seq < seq - 1) ORDER BY seq
"""
_INSERT = f"INSERT INTO messages ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, {_VALUES})"
_UPDATE_CHAT = """
UPDATE chats SET last_seq = ?3, head_seq = ?3, head_id = ?4, segment = ?5, message_count = message_count + ?6,
    input_tokens = input_tokens + ?7, output_tokens = output_tokens + ?8, total_tokens = total_tokens + ?9,
    version = version + 1, last_activity_at = max(last_activity_at, ?10)
WHERE user_id = ?1 AND chat_id = ?2
"""
_MOVE_CHAT = "INSERT INTO moved_chats (user_id, chat_id) VALUES (?, ?)"
_UPDATE_TREE = "UPDATE chats SET tree_version = ?, last_segment = ? WHERE user_id = ? AND chat_id = ?"
_START_STREAMING = """
INSERT INTO streaming_messages (user_id, chat_id, seq, stored, lease_token, touched_at) VALUES (?, ?, ?, ?, ?, ?)
"""
_INSERT_CHUNK = "INSERT INTO chunks (user_id, chat_id, seq, start, text) VALUES (?, ?, ?, 0, ?)"


class SqliteCommitBackend:
    """Owns the connection by which the process appends."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._thread = sqlite.WriteThread(sqlite.path(db.url), "writer")

    async def commit(self, appends: Sequence[Append]) -> list[Outcome]:
        async with self._db.write_lock:
            return await self._thread.transaction(partial(_commit, appends))

    async def append_in(self, session: AsyncSession, append: Append) -> Outcome:
        def run(connection: Connection) -> Outcome:
            return _commit([append], _SessionConnection(connection))[0]

        return await (await session.connection()).run_sync(run)

    async def close(self) -> None:
        await self._thread.close()


class _SessionConnection:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Sequence[Any], /) -> Rows:
        return self._connection.exec_driver_sql(sql, tuple(parameters))

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> Rows:
        return self._connection.exec_driver_sql(sql, [tuple(row) for row in rows])


def _commit(appends: Sequence[Append], connection: SqlConnection) -> list[Outcome]:
    changes: Changes = {}
    outcomes = [_append(connection, append, changes) for append in appends]
    if changes:
        record_changes(connection, changes)
    return outcomes


def _append(connection: SqlConnection, append: Append, changes: Changes) -> Outcome:
    user_id = append.user_id
    if (stored := append.stored) is not None:
        key = (user_id, stored.request.route, stored.request.key)
        row = connection.execute(_SELECT_RESPONSE, (*key, to_iso(stored.kept_since))).fetchone()
        if row is not None:
            request_sha256, body, chat_id, first_seq, parent_id, siblings = row
            first = Appended(chat_id, first_seq, parent_id, siblings and orjson.loads(siblings))
            return RepeatedAppend(request_sha256, body, None if first_seq is None else first)
    chat_id, created = append.chat_id, False
    if append.key is not None:
        row = connection.execute(_CHAT_BY_KEY, (user_id, append.key)).fetchone()
        if row is not None:
            chat_id = row[0]
        elif append.parent or append.lease_token is not None or append.if_match is not None:
            return NoSuchChat()
        else:
            chat_id, created = append.new_chat_id, True
            connection.execute(_CREATE_CHAT, (user_id, chat_id, append.key, to_iso(append.at)))
    assert chat_id is not None
    result = _append_at_head(connection, append, chat_id) or _append_anywhere(connection, append, chat_id)
    if not isinstance(result, tuple):
        return result
    appended, platform = result
    if stored is not None and stored.body is not None:
        siblings = None if appended.siblings is None else to_json(appended.siblings)
        got = (chat_id, appended.first_seq, appended.parent_id, siblings, to_iso(append.at))
        connection.execute(_STORE_RESPONSE, (*key, stored.request.request_sha256, stored.body, *got))
    user_changes = changes.setdefault(user_id, UserChanges())
    if created:
        user_changes.add_created(chat_id, append)
    user_changes.add_appended(appended, platform, append.new_messages)
    return appended


def _append_at_head(connection: SqlConnection, append: Append, chat_id: str) -> tuple[Appended, str | None] | None:
    """Appends where nothing has to be looked at first; None where nothing was stored, and something has to be.

    Returns the chat's platform as well.
    """
    if append.parent is not None or append.lease_token is not None or append.if_match is not None:
        return None
    if append.message_keys:
        return None
    first = append.new_messages[0]
    # By the time of now: a lease may have ended while the append was waiting.
    arguments = (*_columns(first), append.user_id, chat_id, to_iso(now()))
    row = connection.execute(_INSERT_FIRST, arguments).fetchone()
    if row is None:
        return None
    first_seq, segment, of_chat = row
    parent_id, platform, *listed = orjson.loads(of_chat)
    _insert(connection, append, chat_id, segment, first_seq, append.new_messages[1:], first_seq)
    _update(connection, append, chat_id, segment, first_seq, listed)
    return Appended(chat_id, first_seq, parent_id, None), platform


def _append_anywhere(connection: SqlConnection, append: Append, chat_id: str) -> tuple[Appended, str | None] | Outcome:
    """Appends by all of the rules. Returns the chat's platform as well."""
    chat = (append.user_id, chat_id)
    row = connection.execute(_HEAD, chat).fetchone()
    if row is None:
        return NoSuchChat()
    last_seq, parent_seq, parent_id, segment, tree_version, last_segment, version, platform, token, until = row[:10]
    if append.if_match is not None and not names(append.if_match, etag(chat_id, version)):
        return VersionMismatch()
    is_held = until is not None and until > to_iso(now())
    if is_held if append.lease_token is None else not is_held or token != append.lease_token:
        return LeaseHeld()
    if taken := _find_taken(connection, chat, append.message_keys):
        return KeyTaken(taken)
    parent = None
    if append.parent is not None and append.parent not in ((parent_id, str(parent_seq)) if parent_id else ("",)):
        parent = _find_parent(connection, chat, append.parent)
        if parent is None:
            return NoSuchParent()
    # By its key the head may be named as well.
    is_moved = parent is not None and parent[0] != parent_seq
    if parent is not None and is_moved:
        parent_seq, parent_id, parent_segment = parent
        if parent_segment and not connection.execute(_LATER_IN_SEGMENT, (*chat, parent_segment, parent_seq)).fetchone():
            segment = parent_segment
        else:
            segment = last_segment + 1
            connection.execute(_INSERT_SEGMENT, (*chat, segment, parent_segment, parent_seq or 0))
    siblings: list[str] = []
    if is_moved or (tree_version and parent_seq != last_seq):
        # Others may follow the same message.
        siblings = _children(connection, chat, parent_seq)
        tree = (tree_version + 1, max(last_segment, segment))
        connection.execute(_UPDATE_TREE, (*tree, *chat))
    first_seq = last_seq + 1
    _insert(connection, append, chat_id, segment, parent_seq, append.new_messages, last_seq)
    _update(connection, append, chat_id, segment, first_seq, row[10:])
    return Appended(chat_id, first_seq, parent_id, siblings or None), platform


def _find_taken(connection: SqlConnection, chat: tuple[str, str], keys: Sequence[str]) -> dict[str, tuple[str, int]]:
    """The ids and seqs of a chat's messages that have these keys, by key."""
    if not keys:
        return {}
    rows = connection.execute(_TAKEN, (*chat, to_json(keys))).fetchall()
    return {key: (message_id, seq) for key, message_id, seq in rows}


def _find_parent(connection: SqlConnection, chat: tuple[str, str], parent: str) -> tuple[Any, Any, Any] | None:
    """The seq, id and segment of the message that an append follows; nulls for the root, None where there is none."""
    if not parent:
        return None, None, None
    try:
        column, value = parse_message_ref(parent)
    except NotFound:
        return None
    row: tuple[Any, Any, Any] | None = connection.execute(_PARENT.format(column), (*chat, value)).fetchone()
    return row


def _children(connection: SqlConnection, chat: tuple[str, str], parent_seq: int | None) -> list[str]:
    """The ids of the messages that follow a message, or of the roots, in order."""
    if parent_seq is None:
        rows = connection.execute(_ROOTS, chat).fetchall()
    else:
        rows = connection.execute(_CHILDREN, (*chat, parent_seq)).fetchall()
    return [row[0] for row in rows]


def _insert(
    connection: SqlConnection,
    append: Append,
    chat_id: str,
    segment: int,
    parent_seq: int | None,
    messages: Sequence[NewMessage],
    last_seq: int,
) -> None:
    """Inserts messages after the seq `last_seq`. The first follows `parent_seq`, each other the one before."""
    if messages:
        seqs = range(last_seq + 1, last_seq + 1 + len(messages))
        parents = [parent_seq, *seqs]
        rows = (
            (append.user_id, chat_id, seq, parent, segment, *_columns(message))
            for seq, parent, message in zip(seqs, parents, messages, strict=False)
        )
        connection.executemany(_INSERT, rows)


def _update(
    connection: SqlConnection, append: Append, chat_id: str, segment: int, first_seq: int, listed: Sequence[str]
) -> None:
    """Updates the chat after its messages are inserted, and opens the first for chunks where it is in progress.

    `listed` are its `listed_at` and `last_activity_at` as they were.
    """
    messages, at = append.new_messages, to_iso(append.at)
    chat, last_seq = (append.user_id, chat_id), first_seq + len(messages) - 1
    head = (last_seq, messages[-1].message_id, segment)
    connection.execute(_UPDATE_CHAT, (*chat, *head, len(messages), *sum_tokens(messages), at))
    listed_at, last_activity_at = listed
    if listed_at == last_activity_at < at:
        connection.execute(_MOVE_CHAT, chat)
    if messages[0].status is not None:
        text = plain_text(messages[0].public.get("content"))
        connection.execute(_START_STREAMING, (*chat, first_seq, len(text), append.lease_token, to_iso(now())))
        if text:
            connection.execute(_INSERT_CHUNK, (*chat, first_seq, text))


_NO_EXTRAS = (None,) * len(EXTRAS)


def _columns(message: NewMessage) -> tuple[Any, ...]:
    extras: tuple[Any, ...] = _NO_EXTRAS
    if message.extras:
        values = (message.extras.get(name) for name in EXTRAS)
        extras = tuple(to_json(value) if isinstance(value, list | dict) else value for value in values)
    return (
        message.message_id,
        message.role,
        message.type,
        message.content,
        to_iso(message.created_at),
        *extras,
        None if message.payload is None else to_json(message.payload),
        message.status,
    )
