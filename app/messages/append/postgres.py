"""Group commit on Postgres: one call of the function `chatkeep_append`, which takes the group as arrays.

The function is part of the schema: it stands in the migrations. One call is one transaction and one round trip.
"""

from collections.abc import Sequence
from typing import Any

import asyncpg

from app.db import postgres
from app.db.database import Database
from app.db.timestamps import now
from app.http.idempotency import IdempotentRequest, oldest_kept
from app.messages.append.new_message import NewMessage, counts, to_json, totals
from app.messages.append.writer import Append, Appended, LeaseHeld, NeedsBranch, NoSuchChat, Outcome, RepeatedAppend

# Types of the function's parameters: per append, then per message, then two moments. Each is an array, and costs; so
# what most messages do not have goes into one of them, as JSON.
APPEND_TYPES = (
    "boolean boolean text uuid text uuid int bigint bigint bigint uuid text bigint text text text text text".split()
)
MESSAGE_TYPES = "int int uuid text text json text json timestamptz".split()
_PARAMETERS = [f"{name}[]" for name in (*APPEND_TYPES, *MESSAGE_TYPES)] + ["timestamptz", "timestamptz"]
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
        """See Group."""
        if self._connection is None or self._connection.is_closed():
            options = postgres.connection_options(self._db.pgbouncer)
            self._connection = await asyncpg.connect(postgres.dsn(self._db.url), **options)
        # Chats are locked in one order by every process, so that two groups cannot wait for each other.
        order = sorted(range(len(appends)), key=lambda n: _chat(appends[n]))
        rows = await self._connection.fetch(_CALL, *_arguments([appends[n] for n in order]))
        outcomes: list[Outcome] = [NoSuchChat()] * len(appends)
        for number, outcome, chat_id, first_seq, parent, request_sha256, status, body in rows:
            place, parent_id = order[number - 1], None if parent is None else str(parent)
            if outcome == "appended":
                outcomes[place] = Appended(str(chat_id), first_seq, parent_id)
            elif outcome == "repeated":
                outcomes[place] = RepeatedAppend(str(chat_id), first_seq, parent_id, request_sha256, status, body)
            else:
                outcomes[place] = _NOTHING_STORED[outcome]
        return outcomes

    async def close(self) -> None:
        """See Group."""
        if self._connection is not None:
            await self._connection.close()


def _arguments(appends: Sequence[Append]) -> list[Any]:
    chats = [None, *map(_chat, appends), None]
    per_append = [
        (
            chats[number - 1] != chats[number],
            chats[number + 1] != chats[number],
            append.user_id,
            append.chat_id,
            append.key,
            append.new_chat_id,
            len(append.new_messages),
            *totals(append.new_messages),
            append.new_messages[-1].message_id,
            append.parent,
            append.lease_token,
            to_json(counts(append.new_messages))[1:-1],
            *(_NOT_IDEMPOTENT if append.idempotency is None else _idempotent(append, append.idempotency)),
        )
        for number, append in enumerate(appends, 1)
    ]
    per_message = [
        (
            number,
            place,
            one.message_id,
            one.role,
            one.type,
            one.content,
            one.text,
            _extras(one),
            one.created_at,
        )
        for number, append in enumerate(appends, 1)
        for place, one in enumerate(append.new_messages)
    ]
    # Now, and not when they came: a turn may have ended while an append was waiting.
    return [*map(list, zip(*per_append, strict=True)), *map(list, zip(*per_message, strict=True)), now(), oldest_kept()]


def _extras(one: NewMessage) -> str | None:
    if one.payload is not None:
        return to_json(one.extras | {"payload": one.payload})
    return to_json(one.extras) if one.extras else None


def _chat(append: Append) -> tuple[str, str, str]:
    return append.user_id, append.chat_id or "", append.key or ""


_NOT_IDEMPOTENT = (None, None, None, None)


def _idempotent(append: Append, idempotency: IdempotentRequest) -> tuple[str, str, str, str]:
    return (
        idempotency.route,
        idempotency.key,
        idempotency.request_sha256,
        to_json([one.remembered for one in append.new_messages]),
    )
