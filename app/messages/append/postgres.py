"""Commit backend for Postgres: one call of the function `chatkeep_append`, which takes the group as arrays.

The function is in `append.sql`, what it looks up in `lookups.sql`, and migrations install both. One call is one
transaction and one round trip.
"""

from collections.abc import Sequence
from typing import Any

import asyncpg
import orjson
from sqlalchemy import BigInteger, Text
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db import postgres
from app.db.database import Database
from app.db.driver import Row
from app.db.timestamps import now
from app.db.types import Json
from app.events.counter_deltas import ChatsDelta, MessagesDelta, bucket_of
from app.events.events import ChatCreated, MessagesAppended
from app.http.database_errors import rolled_back
from app.messages.append.contract import (
    Append,
    Appended,
    KeyTaken,
    LeaseHeld,
    NoSuchChat,
    NoSuchParent,
    Outcome,
    Refusal,
    RepeatedAppend,
    VersionMismatch,
)
from app.messages.append.new_message import NewMessage, message_counts, sum_tokens, to_json
from app.messages.serialize import EXTRAS
from app.models.registry import owned_table

# Types of the function's parameters: a user; per append, then per message, each an array, and costs; so what most
# messages do not have goes into one of them, as JSON. Then those of the whole group.
_APPEND_TYPES = (
    "text uuid text uuid int bigint bigint bigint uuid text bigint text text text text text text timestamptz".split()
)
_MESSAGE_TYPES = "int int uuid text text json json timestamptz".split()
_PARAMETERS = [
    "text",
    *(f"{name}[]" for name in (*_APPEND_TYPES, *_MESSAGE_TYPES)),
    *"text text text text boolean json timestamptz".split(),
]
_END = (None,) * len(_APPEND_TYPES)
_CALL = (
    "SELECT number, outcome, chat_id, first_seq, parent_id, siblings, request_sha256, body "
    f"FROM chatkeep_append({', '.join(f'${number}::{name}' for number, name in enumerate(_PARAMETERS, 1))})"
)
# The functions with their types, by which Citus knows them.
APPEND = f"chatkeep_append({', '.join(_PARAMETERS)})"
LOOKUPS = ("chatkeep_find_message(text, uuid, text)", "chatkeep_children(text, uuid, integer)")
_REFUSALS: dict[str, Refusal] = {
    "no_such_chat": NoSuchChat(),
    "no_such_parent": NoSuchParent(),
    "version_mismatch": VersionMismatch(),
    "lease_held": LeaseHeld(),
}
# Events and counter deltas ready made, but for `%s`, which only the function knows: the chat's id, the first seq and
# the number of messages; the chat's platform with the counts, and how many appends add them.
_APPENDED_EVENT = f'["{MessagesAppended.kind}","%s",%s,%s]'
_CREATED_EVENT = to_json(ChatCreated("%s").to_json())
_MESSAGES_DELTA = f'["{MessagesDelta.kind}",%s,%s]'


def extraction() -> dict[str, str]:
    """How the function gets columns out of a message's extras: the values for the names in braces in `append.sql`."""
    types = {column.name: column.type for column in owned_table("messages").table.columns}
    columns = (*EXTRAS, "payload", "status")
    casts = {Json: "m.extras -> '{}'", Text: "m.extras ->> '{}'", BigInteger: "(m.extras ->> '{}')::bigint"}
    values = (casts[type(types[name])].format(name) for name in columns)
    return {"extra_columns": ", ".join(columns), "extra_values": ", ".join(values)}


class PostgresCommitBackend:
    """Owns one connection; a broken one is replaced at the next group."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    async def commit(self, appends: Sequence[Append]) -> list[Outcome]:
        if self._connection is None or self._connection.is_closed():
            options = postgres.connection_options(self._db.pgbouncer, self._db.citus)
            self._connection = await asyncpg.connect(postgres.dsn(self._db.url), **options)
        outcomes: dict[int, Outcome] = {}
        # Some have to be called for again, when those before them in the same chat are committed.
        while waiting := [index for index in range(len(appends)) if index not in outcomes]:
            try:
                rows = await self._connection.fetch(_CALL, *_arguments([appends[index] for index in waiting]))
            except Exception as error:
                if not rolled_back(error):
                    # Whatever state it is in, and whether it knows that it is broken or not.
                    self._connection.terminate()
                raise
            outcomes |= {waiting[row[0] - 1]: _outcome(row) for row in rows if row[1] != "again"}
        return [outcomes[index] for index in range(len(appends))]

    async def append_in(self, session: AsyncSession, append: Append) -> Outcome:
        connection = await session.connection()
        row = (await connection.exec_driver_sql(_CALL, tuple(_arguments([append])))).one()
        return _outcome(row)

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()


def _outcome(row: Row) -> Outcome:
    _, outcome, chat_id, first_seq, parent_id, siblings, request_sha256, body = row
    if (refusal := _REFUSALS.get(outcome)) is not None:
        return refusal
    if outcome == "key_taken":
        return KeyTaken({key: (message_id, seq) for key, message_id, seq in orjson.loads(body)})
    if first_seq is None:
        return RepeatedAppend(request_sha256, body, None)
    appended = Appended(str(chat_id), first_seq, None if parent_id is None else str(parent_id), siblings or None)
    return appended if outcome == "appended" else RepeatedAppend(request_sha256, body, appended)


def _arguments(appends: Sequence[Append]) -> list[Any]:
    at = now()
    per_append = [
        (
            append.user_id,
            append.chat_id,
            append.key,
            append.new_chat_id,
            len(append.new_messages),
            *sum_tokens(append.new_messages),
            append.new_messages[-1].message_id,
            append.parent,
            append.lease_token,
            None if append.if_match is None else f" {' '.join(append.if_match)} ",
            to_json([list(counts) for counts in message_counts(append.new_messages)])[1:-1],
            *_stored(append),
        )
        for append in appends
    ]
    per_append.append(_END)
    per_message = [
        (
            number,
            index,
            message.message_id,
            message.role,
            message.type,
            message.content,
            _extras(message),
            message.created_at,
        )
        for number, append in enumerate(appends, 1)
        for index, message in enumerate(append.new_messages)
    ]
    created_delta = to_json(ChatsDelta(None, bucket_of(at), 1, 1, 0).to_json())
    keys = {str(number): found for number, append in enumerate(appends, 1) if (found := append.message_keys)}
    streaming = any(append.new_messages[0].status is not None for append in appends)
    return [
        appends[0].user_id,
        *map(list, zip(*per_append, strict=True)),
        *map(list, zip(*per_message, strict=True)),
        *(_APPENDED_EVENT, _CREATED_EVENT, _MESSAGES_DELTA, created_delta, streaming, to_json(keys) if keys else None),
        # Now, and not when they came: a lease may have ended while an append was waiting.
        at,
    ]


def _stored(append: Append) -> tuple[Any, ...]:
    """The route, the key, the request's hash, what is stored of the messages, and since when that counts."""
    stored = append.stored
    if stored is None:
        return None, None, None, None, None
    return stored.request.route, stored.request.key, stored.request.request_sha256, stored.body, stored.kept_since


def _extras(message: NewMessage) -> str | None:
    extras = message.extras
    if message.payload is not None:
        extras = extras | {"payload": message.payload}
    if message.status is not None:
        extras = extras | {"status": message.status}
    return to_json(extras) if extras else None
