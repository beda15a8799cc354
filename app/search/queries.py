"""Index queries: what is read to index messages, and what is written. The SQL of each database stands in a subclass."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime
from itertools import chain
from typing import Any, ClassVar

import orjson

from app.db.database import Database
from app.db.driver import Row
from app.db.timestamps import to_datetime
from app.db.types import NIL_UUID
from app.events.events import Event, event_from_json
from app.search.index_plan import DocumentSource, IndexPlan, IndexState, MessageRange, NewDocument, Progress

# Longer texts are read one at a time.
LONG_TEXT_CHARACTERS = 50_000
# So much of a message is read for its snippet: one more than is searched, to see whether it goes on.
SNIPPET_CHARACTERS = 64 * 1024 + 1

Changes = dict[str, list[tuple[int, list[Event]]]]
"""Rows of users' feeds: a position and its events each."""

_USERS_BEHIND = """
SELECT f.user_id FROM feeds f LEFT JOIN indexing i ON i.user_id = f.user_id
WHERE i.user_id IS NULL OR i.position < f.position OR i.tokenizer <> $1 OR i.rebuilt_chat IS NOT NULL LIMIT $2
"""


class IndexQueries(ABC):
    """The tables of the index in one database. Each read is one statement."""

    states_sql: ClassVar[Any]
    changes_sql: ClassVar[Any]
    chats_sql: ClassVar[Any]
    messages_sql: ClassVar[Any]
    page_sql: ClassVar[str]
    text_sql: ClassVar[str]
    hits_sql: ClassVar[str]

    def __init__(self, db: Database) -> None:
        self._db = db

    @abstractmethod
    def call(self, statement: Any, rows: Sequence[Sequence[Any]], width: int) -> Sequence[Any]:
        """A statement for rows that begin with their user, and its arguments: their first `width` columns at least."""

    @abstractmethod
    def encode_rows(self, rows: Sequence[Sequence[Any]], width: int) -> Sequence[Any]:
        """Rows of so many columns as the arguments of a statement, their first `width` columns at least."""

    async def states(self, users: Sequence[str]) -> list[IndexState]:
        """How far the indexes of these users are; users who have nothing at all are left out."""
        if not users:
            return []
        rows = await self._db.driver.fetch(*self.call(self.states_sql, [(user_id,) for user_id in users], 1))
        return [IndexState(row[0], row[1] or 0, row[2] or 0, to_progress(row[3:])) for row in rows]

    async def users_behind(self, tokenizer: int, limit: int) -> list[str]:
        """Some users whose indexes are not up to date."""
        return [row[0] for row in await self._db.driver.fetch(_USERS_BEHIND, tokenizer, limit)]

    async def changes(self, positions: Sequence[tuple[str, int]], limit: int) -> Changes:
        """The first `limit` rows of users' feeds after the given positions."""
        changes: Changes = {}
        rows = await self._db.driver.fetch(*self.call(self.changes_sql, positions, 2), limit)
        for user_id, position, events in rows:
            changes.setdefault(user_id, []).append((position, list(map(event_from_json, orjson.loads(events)))))
        return changes

    async def sources(self, ranges: Sequence[MessageRange]) -> list[DocumentSource]:
        """The messages and chats of ranges. A message in progress is not there yet."""
        sources: list[DocumentSource] = []
        # The range of a chat itself ends with the seq 0.
        chats = [range_ for range_ in ranges if not range_.last]
        messages = [range_ for range_ in ranges if range_.last]
        for statement, group, width in ((self.chats_sql, chats, 2), (self.messages_sql, messages, 4)):
            if group:
                rows = await self._db.driver.fetch(*self.call(statement, group, width))
                for index, seq, role, created_at, text in rows:
                    user_id, chat_id, _, _ = group[index]
                    sources.append(DocumentSource(user_id, chat_id, seq, role, _timestamp(created_at), text))
        return sources

    async def page(self, user_id: str, after: tuple[str, int] | None, limit: int) -> list[DocumentSource]:
        """The first of all messages and chats of a user after a chat's message, ordered by chat and seq."""
        rows = await self._db.driver.fetch(self.page_sql, user_id, *(after or (NIL_UUID, 0)), limit)
        return [DocumentSource(user_id, str(row[0]), row[1], row[2], _timestamp(row[3]), row[4]) for row in rows]

    async def text(self, user_id: str, chat_id: str, seq: int) -> str:
        """The text of one message that is long; empty where the message is gone."""
        row = await self._db.driver.fetch_one(self.text_sql, user_id, chat_id, seq)
        return row[0] if row is not None else ""

    async def hits(self, user_id: str, matches: Sequence[tuple[Any, int]]) -> list[tuple[int, Row]]:
        """What is shown of matches, each a chat's id and a seq.

        Of those that still exist the index in `matches`, and a row: the chat's title, summary and `created_at`, the
        message's id, role, `created_at` and the beginning of its text.
        """
        rows = await self._db.driver.fetch(self.hits_sql, user_id, *self.encode_rows(matches, 2))
        return [(row[0], tuple(row)[1:]) for row in rows]

    @abstractmethod
    async def apply(self, plans: Sequence[IndexPlan], documents: Sequence[NewDocument]) -> set[str]:
        """Carries out plans in one transaction, and returns the users whose plans were carried out.

        Users whose index is not where it was before their plan are left out: another process has moved it.
        """

    async def close(self) -> None:  # noqa: B027 - only SQLite opens something
        """Closes what it opened."""


def to_progress(columns: Sequence[Any]) -> Progress | None:
    """The progress of a row of `indexing`; None for a row that an outer join did not find."""
    position, tokenizer, chat_id, seq = columns
    return None if position is None else Progress(position, tokenizer, None if chat_id is None else str(chat_id), seq)


def select_current(
    plans: Sequence[IndexPlan], documents: Sequence[NewDocument], progress: dict[str, Progress | None]
) -> tuple[list[IndexPlan], list[NewDocument], list[MessageRange]]:
    """The plans of users whose progress is what it was before the plan, and the documents that they add and delete.

    Those of messages that still exist are deleted and stored again.
    """
    current = [plan for plan in plans if progress.get(plan.user_id) == plan.before]
    users = {plan.user_id for plan in current}
    deleted = list(chain.from_iterable((*plan.removed, *plan.reindexed) for plan in current))
    return current, [document for document in documents if document.user_id in users], deleted


def _timestamp(value: Any) -> Any:
    return to_datetime(value) if isinstance(value, datetime) else value
