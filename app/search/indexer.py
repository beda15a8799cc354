"""Search indexer: keeps the full-text index up to date with users' feeds, behind the writers and before every search.

It reads what some users changed, makes documents of it, and stores them in one short transaction, which leaves out the
users whose index another process has moved meanwhile. A user who was never indexed, or with another tokenizer, or whose
feed does not reach back to where the index is, is rebuilt: indexed from all messages, page by page.
"""

import asyncio
import random
from collections.abc import Collection, Sequence
from itertools import chain

from app.db.database import Database
from app.http.errors import Overloaded
from app.search.index_plan import (
    DocumentSource,
    IndexPlan,
    IndexState,
    MessageRange,
    NewDocument,
    Progress,
    plan_changes,
)
from app.search.postgres import PostgresIndexQueries
from app.search.queries import Changes, IndexQueries
from app.search.sqlite import SqliteIndexQueries
from app.search.tokenizer import TOKENIZER_VERSION, tokenize

# So many characters are tokenized before other tasks have their turn: some milliseconds.
SLICE_CHARACTERS = 20_000
SEARCH_WAITS_SECONDS = 4.0
USERS_AT_ONCE = 200
# So few that processes which start together seldom work on the same users.
REBUILT_USERS_AT_ONCE = 20


class SearchIndexer:
    """Indexes the messages and chats of all users of one database."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.queries: IndexQueries = SqliteIndexQueries(db) if db.kind == "sqlite" else PostgresIndexQueries(db)
        # Messages of one transaction. On SQLite appends wait for it.
        self._max_messages = 128 if db.kind == "sqlite" else 2000
        self._running: dict[str, asyncio.Task[None]] = {}
        self._next: dict[str, asyncio.Task[None]] = {}

    async def users_behind(self) -> Collection[str]:
        """Some users whose index is behind their feed."""
        return await self.queries.users_behind(TOKENIZER_VERSION, USERS_AT_ONCE)

    async def index_users(self, users: Collection[str]) -> None:
        """Indexes all that these users had written when it was called.

        Raises what the database raises, after it has indexed the users of whom it could.
        """
        failure: Exception | None = None
        ordered, at_once = list(users), self._db.users_at_once
        for start in range(0, len(ordered), at_once):
            try:
                await self._index(ordered[start : start + at_once])
            except Exception as error:  # noqa: BLE001 - raised below, after the others had their turn
                failure = error
        if failure is not None:
            raise failure

    async def _index(self, users: Sequence[str]) -> None:
        states = await self.queries.states(users)
        await self._index_changes([state for state in states if not state.needs_rebuild(TOKENIZER_VERSION)])
        rebuilt = [state.user_id for state in states if state.needs_rebuild(TOKENIZER_VERSION)]
        random.shuffle(rebuilt)
        for start in range(0, len(rebuilt), REBUILT_USERS_AT_ONCE):
            remaining: Collection[str] = rebuilt[start : start + REBUILT_USERS_AT_ONCE]
            while remaining:
                remaining = await self._rebuild(await self.queries.states(list(remaining)))

    async def catch_up(self, user_id: str) -> None:
        """Returns when all is indexed that the user had written when it was called.

        Raises Overloaded (503) where that takes long, as after a new version of the tokenizer; it goes on meanwhile.
        """
        if all(state.is_current(TOKENIZER_VERSION) for state in await self.queries.states([user_id])):
            return
        task = self._next.get(user_id)
        if task is None:
            # The task that is running may have read the feed before this was called.
            task = asyncio.create_task(self._catch_up(user_id, self._running.get(user_id)))
            self._next[user_id] = task
            # Nobody may be waiting any more when it fails.
            task.add_done_callback(lambda task: task.cancelled() or task.exception())
        done, _ = await asyncio.wait([task], timeout=SEARCH_WAITS_SECONDS)
        if not done:
            raise Overloaded("Your messages are being indexed; try again shortly.", retry_after_seconds=5)
        await task

    async def close(self) -> None:
        """Stops what is running; it goes on after the next start."""
        tasks = [*self._running.values(), *self._next.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.queries.close()

    async def _catch_up(self, user_id: str, running: asyncio.Task[None] | None) -> None:
        if running is not None:
            await asyncio.wait([running])
        task = self._next.pop(user_id)
        self._running[user_id] = task
        try:
            await self.index_users([user_id])
        finally:
            if self._running.get(user_id) is task:
                del self._running[user_id]

    async def _index_changes(self, states: Sequence[IndexState]) -> None:
        """Indexes what users' feeds have after their indexes, as far as the feeds were when the states were read."""
        feed_positions = {state.user_id: state.feed_position for state in states}
        while states := [state for state in states if not state.is_current(TOKENIZER_VERSION)]:
            positions = [(state.user_id, state.indexed_position) for state in states]
            changes = await self.queries.changes(positions, self._max_messages)
            if not changes:
                return
            while plans := self._plans(states, changes):
                users = await self._apply(plans, await self._sources(plans))
                progress = {plan.user_id: plan.after for plan in plans}
                # Users whose index another process has moved are read again.
                changes = {user: rows for user, rows in changes.items() if user in users or user not in progress}
                states = [state._replace(progress=progress.get(state.user_id, state.progress)) for state in states]
            states = [
                state._replace(feed_position=feed_positions[state.user_id])
                for state in await self.queries.states([state.user_id for state in states])
                if not state.needs_rebuild(TOKENIZER_VERSION)
            ]

    def _plans(self, states: Sequence[IndexState], changes: Changes) -> list[IndexPlan]:
        """The next plans for users by the changes that were read, of `_max_messages` messages together."""
        plans: list[IndexPlan] = []
        remaining = self._max_messages
        for state in states:
            rows = changes.get(state.user_id)
            if not remaining or not rows:
                continue
            position = state.indexed_position
            plan = plan_changes(state, [row for row in rows if row[0] > position], remaining)
            if plan.after.position > position:
                plans.append(plan)
                remaining -= plan.after.position - position
        return plans

    async def _rebuild(self, states: Sequence[IndexState]) -> list[str]:
        """Indexes the next messages of users from the messages, and returns the users who may have more of them."""
        plans: list[IndexPlan] = []
        sources: list[DocumentSource] = []
        capacity = self._max_messages
        remaining: list[str] = []
        for state in states:
            if not state.needs_rebuild(TOKENIZER_VERSION):
                await self._index_changes([state])
                continue
            remaining.append(state.user_id)
            if not capacity:
                continue
            before = state.progress
            progress = Progress(state.feed_position, TOKENIZER_VERSION)
            after = None
            if (
                before is not None
                and before.tokenizer == TOKENIZER_VERSION
                and before.position >= state.pruned_position
                and before.rebuilt_chat is not None
                and before.rebuilt_seq is not None
            ):
                # It goes on with what was begun.
                progress = before._replace(rebuilt_chat=None, rebuilt_seq=None)
                after = before.rebuilt_chat, before.rebuilt_seq
            page = await self.queries.page(state.user_id, after, capacity)
            plan = IndexPlan(state.user_id, before, progress)
            if len(page) == capacity:
                plan.after = progress._replace(rebuilt_chat=page[-1].chat_id, rebuilt_seq=page[-1].seq)
            if before is not None:
                plan.reindexed = _ranges(page)
            capacity -= len(page)
            plans.append(plan)
            sources += page
        if plans:
            await self._apply(plans, sources)
        return remaining

    async def _sources(self, plans: Sequence[IndexPlan]) -> list[DocumentSource]:
        ranges = list(chain.from_iterable((*plan.added, *plan.reindexed) for plan in plans))
        return await self.queries.sources(ranges) if ranges else []

    async def _apply(self, plans: Sequence[IndexPlan], sources: Sequence[DocumentSource]) -> set[str]:
        return await self.queries.apply(plans, await self._documents(sources))

    async def _documents(self, sources: Sequence[DocumentSource]) -> list[NewDocument]:
        """The documents of messages; a message without words has none."""
        documents: dict[tuple[str, str, int], NewDocument] = {}
        characters = 0
        for source in sources:
            key = (source.user_id, source.chat_id, source.seq)
            if key in documents:
                continue
            if source.text is None:
                # On another thread, so that the event loop goes on.
                words = await asyncio.to_thread(tokenize, await self.queries.text(*key))
            else:
                words = tokenize(source.text)
                characters += len(source.text)
            if words:
                documents[key] = NewDocument(*key, source.role, source.created_at, f" {' '.join(words)} ")
            if characters > SLICE_CHARACTERS:
                characters = 0
                await asyncio.sleep(0)
        return list(documents.values())


def _ranges(sources: Sequence[DocumentSource]) -> list[MessageRange]:
    """A range for each chat of messages that are ordered by chat and seq, with all seqs between them."""
    ranges: list[MessageRange] = []
    for source in sources:
        if ranges and ranges[-1].chat_id == source.chat_id:
            ranges[-1] = ranges[-1]._replace(last=source.seq)
        else:
            ranges.append(MessageRange(source.user_id, source.chat_id, source.seq, source.seq))
    return ranges
