"""Commit backend for SQLite: one connection on a thread of its own, one `BEGIN IMMEDIATE … COMMIT` for a group."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson

from app.db import sqlite
from app.db.database import Database
from app.db.timestamps import now, to_iso
from app.events.counter_deltas import CounterDelta, bucket_of
from app.http.idempotency import oldest_kept
from app.messages.append.new_message import NewMessage, counter_deltas, sum_tokens, to_json
from app.messages.append.writer import Append, Appended, LeaseHeld, NeedsBranch, NoSuchChat, Outcome, RepeatedAppend
from app.messages.serialize import EXTRAS

_SELECT_RESPONSE = """
SELECT chat_id, first_seq, parent_id, request_sha256, status, body FROM idempotency
WHERE user_id = ? AND route = ? AND key = ? AND created_at >= ?
"""
_STORE_RESPONSE = """
INSERT OR REPLACE INTO idempotency
    (user_id, route, key, request_sha256, status, body, headers, chat_id, first_seq, parent_id, created_at)
VALUES (?, ?, ?, ?, 201, ?, '{}', ?, ?, ?, ?)
"""
_CHAT_BY_KEY = "SELECT chat_id FROM chats WHERE user_id = ? AND key = ? AND deleted_at IS NULL"
_CREATE_CHAT = """
INSERT INTO chats (user_id, chat_id, key, tags, is_pinned, metadata, message_count, input_tokens, output_tokens,
    total_tokens, last_seq, segment, tree_version, last_segment, version, created_at, updated_at, last_activity_at)
VALUES (?1, ?2, ?3, '[]', 0, '{}', 0, 0, 0, 0, 0, 0, 0, 0, 1, ?4, ?4, ?4)
"""
_COLUMNS = f"""user_id, chat_id, seq, parent_seq, segment, message_id, role, type, content, text, created_at,
    {", ".join(EXTRAS)}, payload"""
_VALUES = ", ".join("?" * (7 + len(EXTRAS)))
# Finds the chat, takes the next seq and stores the first message at once: each statement more costs the thread a
# wait for the interpreter's lock. In a chat with branches only what follows the message that was written last is known
# to have no siblings.
_INSERT_FIRST = f"""
INSERT INTO messages ({_COLUMNS})
SELECT user_id, chat_id, last_seq + 1, head_seq, segment, {_VALUES} FROM chats
WHERE user_id = ? AND chat_id = ? AND deleted_at IS NULL AND (tree_version = 0 OR head_seq = last_seq) AND {{}}
RETURNING seq, segment, (
    SELECT json_array(c.head_id, c.platform) FROM chats c
    WHERE c.user_id = messages.user_id AND c.chat_id = messages.chat_id
)
"""
_INSERT_WITHOUT_LEASE = _INSERT_FIRST.format("(lease_until IS NULL OR lease_until <= ?)")
_INSERT_UNDER_LEASE = _INSERT_FIRST.format("lease_until > ? AND lease_token = ?")
_HEAD = """
SELECT head_id, head_seq, tree_version = 0 OR head_seq IS last_seq FROM chats
WHERE user_id = ? AND chat_id = ? AND deleted_at IS NULL
"""
_INSERT_NEXT = f"INSERT INTO messages ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, {_VALUES})"
_UPDATE_CHAT = """
UPDATE chats SET last_seq = ?3, head_seq = ?3, head_id = ?9, message_count = message_count + ?4,
    input_tokens = input_tokens + ?5, output_tokens = output_tokens + ?6, total_tokens = total_tokens + ?7,
    version = version + 1, last_activity_at = max(last_activity_at, ?8)
WHERE user_id = ?1 AND chat_id = ?2
"""
# A group's changes are one JSON array of `[user_id, count, entries, counts]`: two statements do for all users.
_ADVANCE_FEEDS = """
INSERT INTO feeds (user_id, position, pruned)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), 0 FROM json_each(?1) WHERE true
ON CONFLICT (user_id) DO UPDATE SET position = position + excluded.position
"""
_INSERT_CHANGES = """
INSERT INTO changes (user_id, position, at, entries, counts)
SELECT f.user_id, f.position, ?2, json_extract(c.value, '$[2]'), json_extract(c.value, '$[3]')
FROM json_each(?1) c JOIN feeds f ON f.user_id = json_extract(c.value, '$[0]')
"""


class SqliteCommitBackend:
    """Owns the connection by which the process appends."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._thread = sqlite.WriteThread(sqlite.path(db.url), "writer")

    async def commit(self, appends: Sequence[Append]) -> list[Outcome]:
        async with self._db.write_lock:
            return await self._thread.transaction(partial(_commit, appends))

    async def close(self) -> None:
        await self._thread.close()


@dataclass(slots=True)
class _UserChanges:
    """What a group changes for one user: how many positions of the event log that takes, the entries, the counts."""

    positions: int = 0
    entries: list[list[Any]] = field(default_factory=list)
    counts: list[CounterDelta] = field(default_factory=list)


Changes = dict[str, _UserChanges]


def _commit(appends: Sequence[Append], connection: sqlite3.Connection) -> list[Outcome]:
    changes: Changes = {}
    outcomes = [_append(connection, append, changes) for append in appends]
    if changes:
        _record(connection, changes)
    return outcomes


def _append(connection: sqlite3.Connection, append: Append, changes: Changes) -> Outcome:
    user_id, request = append.user_id, append.idempotency
    if request is not None:
        key = (user_id, request.route, request.key)
        row = connection.execute(_SELECT_RESPONSE, (*key, to_iso(oldest_kept()))).fetchone()
        if row is not None:
            return RepeatedAppend(*row)
    chat_id, created = append.chat_id, False
    if append.key is not None:
        row = connection.execute(_CHAT_BY_KEY, (user_id, append.key)).fetchone()
        if row is not None:
            chat_id = row[0]
        elif append.parent or append.lease_token is not None:
            return NoSuchChat()
        else:
            chat_id, created = append.new_chat_id, True
            connection.execute(_CREATE_CHAT, (user_id, chat_id, append.key, to_iso(append.at)))
    assert chat_id is not None
    if append.parent is not None and not _is_head(connection, user_id, chat_id, append.parent):
        return NeedsBranch()
    return _insert(connection, append, chat_id, changes, created)


def _insert(connection: sqlite3.Connection, append: Append, chat_id: str, changes: Changes, created: bool) -> Outcome:
    user_id, messages, at = append.user_id, append.new_messages, to_iso(append.at)
    first, *rest = messages
    # By the time of now: a lease may have ended while the append was waiting.
    arguments = (*_columns(first), user_id, chat_id, to_iso(now()))
    if append.lease_token is None:
        row = connection.execute(_INSERT_WITHOUT_LEASE, arguments).fetchone()
    else:
        row = connection.execute(_INSERT_UNDER_LEASE, (*arguments, append.lease_token)).fetchone()
    if row is None:
        head = connection.execute(_HEAD, (user_id, chat_id)).fetchone()
        # Whoever begins a branch looks at the lease again.
        return NoSuchChat() if head is None else LeaseHeld() if head[2] else NeedsBranch()
    first_seq, segment, of_chat = row
    parent_id, platform = orjson.loads(of_chat)
    if rest:
        connection.executemany(
            _INSERT_NEXT,
            (
                (user_id, chat_id, parent_seq + 1, parent_seq, segment, *_columns(message))
                for parent_seq, message in enumerate(rest, first_seq)
            ),
        )
    last_seq = first_seq + len(rest)
    connection.execute(
        _UPDATE_CHAT, (user_id, chat_id, last_seq, len(messages), *sum_tokens(messages), at, messages[-1].message_id)
    )
    if (request := append.idempotency) is not None:
        body = to_json([message.remembered for message in messages])
        response = (request.request_sha256, body, chat_id, first_seq, parent_id, at)
        connection.execute(_STORE_RESPONSE, (user_id, request.route, request.key, *response))
    user_changes = changes.setdefault(user_id, _UserChanges())
    if created:
        user_changes.positions += 1
        user_changes.entries.append(["chat.created", chat_id])
        user_changes.counts.append(["chats", None, bucket_of(append.at), 1, 1, 0])
    _add_appended(user_changes, chat_id, first_seq, platform, messages)
    return Appended(chat_id, first_seq, parent_id)


def _is_head(connection: sqlite3.Connection, user_id: str, chat_id: str, parent: str) -> bool:
    """Whether a message is the head. Where there is no chat, that is found later."""
    row = connection.execute(_HEAD, (user_id, chat_id)).fetchone()
    return row is None or parent in ((row[0], str(row[1])) if row[0] else ("",))


def _add_appended(
    changes: _UserChanges, chat_id: str, first_seq: int, platform: str | None, messages: Sequence[NewMessage]
) -> None:
    changes.positions += len(messages)
    last = changes.entries[-1] if changes.entries else None
    if last and last[:2] == ["appended", chat_id] and last[2] + last[3] == first_seq:
        last[3] += len(messages)
        changes.counts[-1][2] += counter_deltas(messages)
    else:
        changes.entries.append(["appended", chat_id, first_seq, len(messages)])
        changes.counts.append(["messages", platform, counter_deltas(messages)])


def _record(connection: sqlite3.Connection, changes: Changes) -> None:
    """Records what the group changed, as `app.events.log.record` does."""
    rows = to_json([[user_id, own.positions, own.entries, own.counts] for user_id, own in changes.items()])
    connection.execute(_ADVANCE_FEEDS, (rows,))
    connection.execute(_INSERT_CHANGES, (rows, to_iso(now())))


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
        message.text,
        to_iso(message.created_at),
        *extras,
        None if message.payload is None else to_json(message.payload),
    )
