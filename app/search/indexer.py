"""The index, kept up to date with the feeds: behind the writers, and before every search.

A step reads what changed for some users, makes documents of it, and stores them in one short transaction, in which it
leaves out the users whom another process has brought on meanwhile. Whoever was never indexed, or by another tokenizer,
or whose feed does not reach back to where their index is, is indexed anew from the messages, page by page.
"""

import asyncio
import random
from collections.abc import Collection, Sequence
from itertools import chain

from app.db.database import Database
from app.http.errors import Overloaded
from app.search.index_plan import Draft, Progress, Source, Span, Standing, Step, gather
from app.search.postgres import PostgresTables
from app.search.queries import Changes, Tables
from app.search.sqlite import SqliteTables
from app.search.tokenizer import TOKENIZER, split

# Characters of text that are split before others have their turn: some milliseconds.
SLICE_CHARACTERS = 20_000
SEARCH_WAITS_SECONDS = 4.0
USERS_AT_ONCE = 200
# So few that processes which all begin at once seldom work on the same users.
REBUILT_USERS_AT_ONCE = 20


class Index:
    """The index of all users, in one database."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.tables: Tables = SqliteTables(db) if db.kind == "sqlite" else PostgresTables(db)
        # Messages of one step. On SQLite appends wait for its transaction.
        self._room = 128 if db.kind == "sqlite" else 2000
        self._catching_up: dict[str, asyncio.Task[None]] = {}
        self._next: dict[str, asyncio.Task[None]] = {}

    async def behind(self) -> Collection[str]:
        """Some users whose index is behind their feed."""
        return await self.tables.behind(TOKENIZER, USERS_AT_ONCE)

    async def digest(self, users: Collection[str]) -> None:
        """Brings the index of these users up to date with what they had written when it was called."""
        standings = await self.tables.standings(list(users))
        await self._follow([one for one in standings if one.is_whole(TOKENIZER)])
        anew = [one.user_id for one in standings if not one.is_whole(TOKENIZER)]
        random.shuffle(anew)
        for start in range(0, len(anew), REBUILT_USERS_AT_ONCE):
            left: Collection[str] = anew[start : start + REBUILT_USERS_AT_ONCE]
            while left:
                left = await self._rebuild(await self.tables.standings(list(left)))

    async def catch_up(self, user_id: str) -> None:
        """Returns when all is indexed that the user had written when it was called.

        Raises Overloaded (503) where that takes long, as after a new version of the tokenizer; it goes on meanwhile.
        """
        if all(one.is_current(TOKENIZER) for one in await self.tables.standings([user_id])):
            return
        coming = self._next.get(user_id)
        if coming is None:
            # One that is under way may have looked already before this was called.
            coming = asyncio.create_task(self._catch_up(user_id, self._catching_up.get(user_id)))
            self._next[user_id] = coming
            # Nobody may be waiting any more when it fails.
            coming.add_done_callback(lambda task: task.cancelled() or task.exception())
        done, _ = await asyncio.wait([coming], timeout=SEARCH_WAITS_SECONDS)
        if not done:
            raise Overloaded("Your messages are being indexed; try again shortly.", retry_after_seconds=5)
        await coming

    async def close(self) -> None:
        """Stops what is under way; the next start goes on with it."""
        tasks = [*self._catching_up.values(), *self._next.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.tables.close()

    async def _catch_up(self, user_id: str, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        task = self._next.pop(user_id)
        self._catching_up[user_id] = task
        try:
            await self.digest([user_id])
        finally:
            if self._catching_up.get(user_id) is task:
                del self._catching_up[user_id]

    async def _follow(self, standings: Sequence[Standing]) -> None:
        """Takes what users' feeds have after their indexes; as far as the feeds were when they were looked at."""
        until = {one.user_id: one.feed for one in standings}
        while standings := [one for one in standings if not one.is_current(TOKENIZER)]:
            wanted = [(one.user_id, one.progress.position) for one in standings if one.progress is not None]
            changes = await self.tables.changes(wanted, self._room)
            if not changes:
                return
            while steps := self._steps(standings, changes):
                moved = await self._store(steps, await self._sources(steps))
                afters = {step.user_id: step.after for step in steps}
                # Whoever was brought on by another process is looked at again.
                changes = {user: rows for user, rows in changes.items() if user in moved or user not in afters}
                standings = [one._replace(progress=afters.get(one.user_id, one.progress)) for one in standings]
            again = await self.tables.standings([one.user_id for one in standings])
            standings = [one._replace(feed=until[one.user_id]) for one in again if one.is_whole(TOKENIZER)]

    def _steps(self, standings: Sequence[Standing], changes: Changes) -> list[Step]:
        """The next steps of users, as far as there is room for, by the changes that were read."""
        steps: list[Step] = []
        room = self._room
        for one in standings:
            rows = changes.get(one.user_id)
            if not room or not rows or one.progress is None:
                continue
            position = one.progress.position
            step = gather(one, [row for row in rows if row[0] > position], room)
            if step.after.position > position:
                steps.append(step)
                room -= step.after.position - position
        return steps

    async def _rebuild(self, standings: Sequence[Standing]) -> list[str]:
        """Indexes the next messages of users anew, and gives the users who have more of them."""
        steps: list[Step] = []
        sources: list[Source] = []
        room = self._room
        left: list[str] = []
        for one in standings:
            if one.is_whole(TOKENIZER):
                await self._follow([one])
                continue
            left.append(one.user_id)
            if not room:
                continue
            known = one.progress
            goes_on = known is not None and known.tokenizer == TOKENIZER and known.position >= one.pruned
            begun = known if goes_on and known is not None else Progress(one.feed, TOKENIZER)
            after = None
            if begun.rebuilt_chat is not None and begun.rebuilt_seq is not None:
                after = begun.rebuilt_chat, begun.rebuilt_seq
            page = await self.tables.page(one.user_id, after, room)
            step = Step(one.user_id, known, begun._replace(rebuilt_chat=None, rebuilt_seq=None))
            if len(page) == room:
                step.after = begun._replace(rebuilt_chat=page[-1].chat_id, rebuilt_seq=page[-1].seq)
            if known is not None:
                step.renewed = _spans(page)
            room -= len(page)
            steps.append(step)
            sources += page
        if steps:
            await self._store(steps, sources)
        return left

    async def _sources(self, steps: Sequence[Step]) -> list[Source]:
        spans = list(chain.from_iterable((*step.added, *step.renewed) for step in steps))
        return await self.tables.sources(spans) if spans else []

    async def _store(self, steps: Sequence[Step], sources: Sequence[Source]) -> set[str]:
        return await self.tables.store(steps, await self._drafts(sources))

    async def _drafts(self, sources: Sequence[Source]) -> list[Draft]:
        """The documents of messages; those without a word have none."""
        drafts: dict[tuple[str, str, int], Draft] = {}
        characters = 0
        for source in sources:
            place = (source.user_id, source.chat_id, source.seq)
            if place in drafts:
                continue
            if source.text is None:
                # On another thread: the loop goes on.
                words = await asyncio.to_thread(split, await self.tables.text(*place))
            else:
                words = split(source.text)
                characters += len(source.text)
            if words:
                drafts[place] = Draft(*place, source.role, source.created_at, f" {' '.join(words)} ")
            if characters > SLICE_CHARACTERS:
                characters = 0
                await asyncio.sleep(0)
        return list(drafts.values())


def _spans(sources: Sequence[Source]) -> list[Span]:
    """The spans that some messages next to each other stand in, and all between them."""
    spans: list[Span] = []
    for one in sources:
        if spans and spans[-1].chat_id == one.chat_id:
            spans[-1] = spans[-1]._replace(last=one.seq)
        else:
            spans.append(Span(one.user_id, one.chat_id, one.seq, one.seq))
    return spans
