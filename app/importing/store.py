"""Import store: inserts imported chats, with all that a live write does: counters, segments, events."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from sqlalchemy import update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from app.chats.schemas import DETAIL_COLUMNS
from app.chats.store import ChatStore
from app.db.database import Database
from app.events.counter_deltas import ChatsDelta, CounterDelta, MessagesDelta, bucket_of
from app.events.events import ChatCreated, ChatDeleted, Event, MessagesAppended
from app.events.log import append_events
from app.http.errors import NotFound
from app.http.references import ChatRef
from app.importing.bulk_insert import Loader
from app.importing.chat_builder import COLUMNS, ChatBuilder, Rows
from app.importing.conflict_policy import Existing, Plan, find_existing
from app.models import Chat
from app.models.registry import owned_table


class ImportStore:
    """Stores imported chats as planned, in transactions of the caller."""

    def __init__(self, db: Database, loader: Loader) -> None:
        self._db = db
        self._loader = loader

    async def existing(
        self, session: AsyncSession, builders: Iterable[ChatBuilder], mark: str | None
    ) -> dict[str, list[Existing]]:
        """By user, the stored chats that these may be in conflict with. For `mark` see `conflict_policy.plan`."""
        by_user: dict[str, list[ChatBuilder]] = {}
        for builder in builders:
            by_user.setdefault(builder.user_id, []).append(builder)
        return {user_id: await find_existing(session, user_id, chats, mark) for user_id, chats in by_user.items()}

    async def insert(self, session: AsyncSession, plans: Sequence[Plan]) -> None:
        """Inserts whole chats, and records that."""
        if plans:
            # First the messages' ids, one of which the chat's row has.
            rows = [plan.with_stored_ids(plan.builder.rows) for plan in plans]
            await self._load_chats(session, [_chat_row(plan) for plan in plans])
            await self._load(session, rows)
            await self._record(session, plans)

    async def begin(self, session: AsyncSession, plan: Plan) -> None:
        """Inserts a chat whose messages are still to come."""
        row = _chat_row(plan)
        await self._load_chats(session, [row | dict.fromkeys(_totals(plan), 0) | {"head_id": None}])

    async def add(self, session: AsyncSession, plan: Plan, rows: Rows) -> None:
        """Inserts the next rows of a chat that was begun."""
        await self._load(session, [plan.with_stored_ids(rows)])

    async def end(self, session: AsyncSession, plan: Plan) -> None:
        """Updates a chat all of whose rows are inserted, and records it."""
        chat = (col(Chat.user_id) == plan.builder.user_id) & (col(Chat.chat_id) == plan.chat_id)
        await session.execute(update(Chat).where(chat).values(_totals(plan)))
        await self._record(session, [plan])

    async def erase(self, session: AsyncSession, plan: Plan) -> None:
        """Erases the chats that a planned one replaces."""
        store = ChatStore(self._db, plan.builder.user_id)
        for chat_id in sorted(plan.replaces):
            try:
                chat = await store.find(session, ChatRef(chat_id, None), deleted=None)
            except NotFound:
                continue  # Somebody else was faster.
            await store.erase(session, chat)

    async def _load_chats(self, session: AsyncSession, chats: Sequence[dict[str, Any]]) -> None:
        await self._loader.load(session, "chats", tuple(chats[0]), [tuple(chat.values()) for chat in chats])

    async def _load(self, session: AsyncSession, chats: Sequence[Rows]) -> None:
        for table, columns in COLUMNS.items():
            if rows := [row for chat in chats for row in chat[table]]:
                await self._loader.load(session, table, columns, rows)

    async def _record(self, session: AsyncSession, plans: Sequence[Plan]) -> None:
        """Records the events of live writes, by user: in that order everybody locks counters."""
        events: dict[str, list[Event]] = {}
        deltas: dict[str, list[CounterDelta]] = {}
        for plan in plans:
            builder, chat = plan.builder, plan.builder.chat
            user_events = events.setdefault(builder.user_id, [])
            user_events.append(ChatCreated(plan.chat_id))
            user_events += (MessagesAppended(plan.chat_id, first, count) for first, count in builder.ranges)
            active, deleted = (1, 0) if chat.deleted_at is None else (0, 1)
            if deleted:
                user_events.append(ChatDeleted(plan.chat_id))
            user_deltas = deltas.setdefault(builder.user_id, [])
            user_deltas.append(ChatsDelta(chat.platform, bucket_of(chat.created_at), 1, active, deleted))
            if builder.count:
                user_deltas.append(MessagesDelta(chat.platform, builder.message_counts()))
        for user_id in sorted(events):
            await append_events(session, user_id, *events[user_id], deltas=deltas[user_id])


def _totals(plan: Plan) -> dict[str, Any]:
    """The columns of a chat that are known only when its last message has come."""
    builder = plan.builder
    input_tokens, output_tokens, total_tokens = builder.totals
    segments = builder.segments.count
    return {
        "message_count": builder.count,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "total_tokens": total_tokens,
        "segment": builder.segment,
        "head_id": plan.head_id,
        # Whoever has read an earlier tree of a chat with this id must see that this is another one.
        "tree_version": plan.tree_version + 1 if plan.tree_version or segments else 0,
        "last_segment": segments,
    }


def _chat_row(plan: Plan) -> dict[str, Any]:
    builder, chat = plan.builder, plan.builder.chat
    row = {
        "user_id": builder.user_id,
        "chat_id": plan.chat_id,
        **{name: getattr(chat, name) for name in DETAIL_COLUMNS},
        "key": plan.key,
        **_totals(plan),
        "last_seq": chat.last_seq,
        "head_seq": chat.head_seq,
        "forked_from": chat.forked_from,
        "forked_at": chat.forked_at,
        "source": plan.source,
        "version": plan.version,
        **{name: getattr(chat, name) for name in ("created_at", "updated_at", "last_activity_at", "deleted_at")},
        "listed_at": chat.last_activity_at,
        "archived_at": chat.archived_at or (chat.updated_at if chat.is_archived else None),
    }
    row |= {name: orjson.dumps(row[name]).decode() for name in _TABLE.json_columns}
    return row | {name: builder.timestamp(row[name]) for name in _TABLE.timestamp_columns.intersection(row)}


_TABLE = owned_table("chats")
