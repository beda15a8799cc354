"""Commit backend for Postgres: one call of the function `chatkeep_append`, which takes the group as arrays.

The function is in `append.sql`, and migrations install it. One call is one transaction and one round trip.
"""

from collections.abc import Sequence
from typing import Any

import asyncpg

from app.db import postgres
from app.db.database import Database
from app.db.timestamps import now
from app.http.database_errors import rolled_back
from app.http.idempotency import oldest_kept
from app.messages.append.new_message import NewMessage, counter_deltas, sum_tokens, to_json
from app.messages.append.writer import Append, Appended, LeaseHeld, NeedsBranch, NoSuchChat, Outcome, RepeatedAppend

# Types of the function's parameters: per append, then per message, then two timestamps. Each is an array, and costs; so
# what most messages do not have goes into one of them, as JSON.
_APPEND_TYPES = (
    "boolean boolean text uuid text uuid int bigint bigint bigint uuid text bigint text text text text text".split()
)
_MESSAGE_TYPES = "int int uuid text text json text json timestamptz".split()
_PARAMETERS = [f"{name}[]" for name in (*_APPEND_TYPES, *_MESSAGE_TYPES)] + ["timestamptz", "timestamptz"]
_CALL = (
    "SELECT number, outcome, chat_id, first_seq, parent_id, request_sha256, status, body "
    f"FROM chatkeep_append({', '.join(f'${number}::{name}' for number, name in enumerate(_PARAMETERS, 1))})"
)
_NOTHING_STORED: dict[str, Outcome] = {
    "no_such_chat": NoSuchChat(),
    "needs_branch": NeedsBranch(),
    "lease_held": LeaseHeld(),
}


class PostgresCommitBackend:
    """Owns one connection; a broken one is replaced at the next group."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    async def commit(self, appends: Sequence[Append]) -> list[Outcome]:
        if self._connection is None or self._connection.is_closed():
            options = postgres.connection_options(self._db.pgbouncer)
            self._connection = await asyncpg.connect(postgres.dsn(self._db.url), **options)
        # Chats are locked in one order by every process, so that two groups cannot wait for each other.
        order = sorted(range(len(appends)), key=lambda index: _chat_key(appends[index]))
        arguments = _arguments([appends[index] for index in order])
        try:
            rows = await self._connection.fetch(_CALL, *arguments)
        except Exception as error:
            if not rolled_back(error):
                # Whatever state it is in, and whether it knows that it is broken or not.
                self._connection.terminate()
            raise
        outcomes: list[Outcome] = [NoSuchChat()] * len(appends)
        for number, outcome, chat_id, first_seq, parent, request_sha256, status, body in rows:
            index, parent_id = order[number - 1], None if parent is None else str(parent)
            if outcome == "appended":
                outcomes[index] = Appended(str(chat_id), first_seq, parent_id)
            elif outcome == "repeated":
                outcomes[index] = RepeatedAppend(str(chat_id), first_seq, parent_id, request_sha256, status, body)
            else:
                outcomes[index] = _NOTHING_STORED[outcome]
        return outcomes

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()


def _arguments(appends: Sequence[Append]) -> list[Any]:
    chats = [None, *map(_chat_key, appends), None]
    per_append = [
        (
            chats[number - 1] != chats[number],
            chats[number + 1] != chats[number],
            append.user_id,
            append.chat_id,
            append.key,
            append.new_chat_id,
            len(append.new_messages),
            *sum_tokens(append.new_messages),
            append.new_messages[-1].message_id,
            append.parent,
            append.lease_token,
            to_json(counter_deltas(append.new_messages))[1:-1],
            *_idempotency(append),
        )
        for number, append in enumerate(appends, 1)
    ]
    per_message = [
        (
            number,
            index,
            message.message_id,
            message.role,
            message.type,
            message.content,
            message.text,
            _extras(message),
            message.created_at,
        )
        for number, append in enumerate(appends, 1)
        for index, message in enumerate(append.new_messages)
    ]
    # Now, and not when they came: a lease may have ended while an append was waiting.
    return [*map(list, zip(*per_append, strict=True)), *map(list, zip(*per_message, strict=True)), now(), oldest_kept()]


def _chat_key(append: Append) -> tuple[str, str, str]:
    return append.user_id, append.chat_id or "", append.key or ""


def _idempotency(append: Append) -> tuple[str | None, str | None, str | None, str | None]:
    """The route, the key, the request's hash, and the messages as they are kept."""
    request = append.idempotency
    if request is None:
        return None, None, None, None
    body = to_json([message.remembered for message in append.new_messages])
    return request.route, request.key, request.request_sha256, body


def _extras(message: NewMessage) -> str | None:
    if message.payload is not None:
        return to_json(message.extras | {"payload": message.payload})
    return to_json(message.extras) if message.extras else None
