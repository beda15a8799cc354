"""Storing chats that came in, with all that a live write does: counters, lines, the feed."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from sqlalchemy import update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from app.chats.store import ChatStore
from app.db.database import Database
from app.events.counter_deltas import Counts, slot_of
from app.events.log import record
from app.http.errors import NotFound
from app.http.references import ChatRef
from app.importing.bulk_insert import Loader
from app.importing.chat_builder import FEEDBACK, MESSAGE, REVISION, SEGMENT, Intake, Rows
from app.importing.conflict_policy import Existing, Plan, existing
from app.models import Chat

# Known only when the last message has come.
_AT_THE_END = (
    "message_count",
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "segment",
    "head_id",
    "tree_version",
    "last_segment",
)


class Storage:
    """Stores chats as planned, in the transactions of others."""

    def __init__(self, db: Database, loader: Loader) -> None:
        self._db = db
        self._loader = loader

    async def there(
        self, session: AsyncSession, intakes: Iterable[Intake], mark: str | None
    ) -> dict[str, list[Existing]]:
        """What is there by user: the chats that any of these could be."""
        by_user: dict[str, list[Intake]] = {}
        for one in intakes:
            by_user.setdefault(one.user_id, []).append(one)
        return {user_id: await existing(session, user_id, chats, mark) for user_id, chats in by_user.items()}

    async def insert(self, session: AsyncSession, plans: Sequence[Plan]) -> None:
        """Stores whole chats, and records that."""
        if plans:
            rows = [(made, made.renamed(made.intake.rows)) for made in plans]
            await self._load(session, "chats", _CHAT, [self._chat(made) for made in plans])
            await self._add(session, [one for _, one in rows])
            await self._record(session, plans)

    async def begin(self, session: AsyncSession, plan: Plan) -> None:
        """Stores a chat whose messages are still to come."""
        row = dict(zip(_CHAT, self._chat(plan), strict=True)) | dict.fromkeys(_AT_THE_END, 0) | {"head_id": None}
        await self._load(session, "chats", _CHAT, [tuple(row.values())])

    async def add(self, session: AsyncSession, plan: Plan, rows: Rows) -> None:
        """Stores what came next of a chat that was begun."""
        await self._add(session, [plan.renamed(rows)])

    async def end(self, session: AsyncSession, plan: Plan) -> None:
        """Stores what is known of a chat now that all of it has come, and records it."""
        values = dict(zip(_CHAT, self._chat(plan), strict=True))
        chat = (col(Chat.user_id) == plan.intake.user_id) & (col(Chat.chat_id) == plan.chat_id)
        await session.execute(update(Chat).where(chat).values({name: values[name] for name in _AT_THE_END}))
        await self._record(session, [plan])

    async def erase(self, session: AsyncSession, plan: Plan) -> None:
        """Erases the chats that a planned one replaces."""
        store = ChatStore(self._db, plan.intake.user_id)
        for chat_id in sorted(plan.replaces):
            try:
                found = await store.find(session, ChatRef(chat_id, None), deleted=None)
            except NotFound:
                continue  # Somebody else was faster.
            await store.erase(session, found)

    async def _add(self, session: AsyncSession, rows: Sequence[Rows]) -> None:
        await self._load(session, "segments", SEGMENT, [row for one in rows for row in one.segments])
        await self._load(session, "messages", MESSAGE, [row for one in rows for row in one.messages])
        await self._load(session, "revisions", REVISION, [row for one in rows for row in one.revisions])
        await self._load(session, "feedback", FEEDBACK, [row for one in rows for row in one.feedback])

    async def _load(self, session: AsyncSession, table: str, columns: Sequence[str], rows: Sequence[Any]) -> None:
        if rows:
            await self._loader.load(session, table, columns, rows)

    async def _record(self, session: AsyncSession, plans: Sequence[Plan]) -> None:
        """Records chats as they would be had they been written live. In the order in which everybody locks counters."""
        entries: dict[str, list[list[Any]]] = {}
        counts: dict[str, list[Counts]] = {}
        for made in plans:
            intake = made.intake
            chat = intake.chat
            mine = entries.setdefault(intake.user_id, [])
            mine.append(["chat.created", made.chat_id])
            mine += (["appended", made.chat_id, first, count] for first, count in intake.runs)
            place = (1, 0) if chat.deleted_at is None else (0, 1)
            if chat.deleted_at is not None:
                mine.append(["chat.deleted", made.chat_id])
            adds = counts.setdefault(intake.user_id, [])
            adds.append(["chats", chat.platform, slot_of(chat.created_at), 1, *place])
            if intake.count:
                adds.append(["messages", chat.platform, intake.counts()])
        for user_id in sorted(entries):
            await record(session, user_id, *entries[user_id], counts=counts[user_id])

    def _chat(self, made: Plan) -> tuple[Any, ...]:
        """The row of a chat, in the order of its columns."""
        intake, chat = made.intake, made.intake.chat
        lines = intake.lines.count
        moment = intake.moment
        return (
            intake.user_id,
            made.chat_id,
            made.key,
            chat.title,
            chat.summary,
            chat.platform,
            orjson.dumps(chat.tags).decode(),
            chat.is_pinned,
            orjson.dumps(chat.metadata).decode(),
            intake.count,
            *intake.totals,
            chat.last_seq,
            intake.segment,
            chat.head_seq,
            made.head_id,
            # Whoever has read an earlier tree of a chat of this name must see that this is another one.
            made.tree + 1 if made.tree or lines else 0,
            lines,
            chat.forked_from,
            chat.forked_at,
            made.source,
            made.version,
            moment(chat.created_at),
            moment(chat.updated_at),
            moment(chat.last_activity_at),
            moment(chat.deleted_at),
            moment(chat.expires_at),
        )


_CHAT = (
    "user_id",
    "chat_id",
    "key",
    "title",
    "summary",
    "platform",
    "tags",
    "is_pinned",
    "metadata",
    "message_count",
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "last_seq",
    "segment",
    "head_seq",
    "head_id",
    "tree_version",
    "last_segment",
    "forked_from",
    "forked_at",
    "source",
    "version",
    "created_at",
    "updated_at",
    "last_activity_at",
    "deleted_at",
    "expires_at",
)
