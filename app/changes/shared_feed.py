"""The changes that the listeners of this process share: read from the table once, made into bytes once.

A listener has a position and no queue. What a few of them read last is kept here; who is behind that reads the table.
"""

import asyncio
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

from app.changes.reader import Change, ChangeReader, Changes, with_news
from app.db.database import Database
from app.events.pubsub import Hub, Topic, Watch, feed_topic

AT_ONCE = 100
# What is kept of a user's feed, while somebody follows it here.
KEPT_CHANGES = 200
KEPT_BYTES = 512 * 1024


class SharedFeed:
    """One user's feed, for everybody who follows it in this process.

    What is kept are the changes after `start` up to `end`, one for each position. The table is read again only after a
    wake-up: of all who were woken the first one reads it.
    """

    def __init__(self, reader: ChangeReader, watch: Watch) -> None:
        self.followers = 0
        self.start = self.end = -1
        self.watch = watch
        # Whether there may be changes after `end`, although nobody was woken since they were read.
        self._more = True
        self._reader = reader
        self._kept: list[Change] = []
        self._bytes = 0
        self._reading = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    async def after(self, position: int, chat_id: str | None = None) -> Changes:
        """The next changes after a position, of one chat only if one is named. Raises Gone (410)."""
        if position < self.start:
            return await self._reader.after(position, AT_ONCE, chat_id)
        if position >= self.end:
            async with self._reading:
                # Who waited here finds what the one before has read.
                if position > self.end:
                    self._forget(position)
                    self._more = True
                if position == self.end and (self.watch.take() or self._more):
                    await self._read()
        if position < self.start:
            return await self._reader.after(position, AT_ONCE, chat_id)
        place = position - self.start
        items = self._kept[place : place + AT_ONCE]
        reached = position + len(items)
        if chat_id is not None:
            items = [change for change in items if change.chat_id == chat_id]
        return Changes(items, reached, reached < self.end or self._more)

    def rest(self) -> None:
        """Keeps nothing, after a while in which nothing happened."""
        self._forget(self.end)

    async def _read(self) -> None:
        self._more = True
        changes = await self._reader.after(self.end, AT_ONCE)
        self._more = changes.has_more
        self._keep(changes)

    def _keep(self, changes: Changes) -> None:
        for change in changes.items:
            if change.removes:
                # Nobody is shown any more what it was.
                self._forget(change.position - 1)
            self._kept.append(change)
            self._bytes += len(change.json)
            self.end = change.position
        surplus = 0
        while len(self._kept) - surplus > KEPT_CHANGES or (
            self._bytes > KEPT_BYTES and len(self._kept) - surplus > len(changes.items)
        ):
            self._bytes -= len(self._kept[surplus].json)
            surplus += 1
        del self._kept[:surplus]
        self.start = self.end - len(self._kept)

    def _forget(self, position: int) -> None:
        self._kept.clear()
        self._bytes = 0
        self.start = self.end = position


class Feeds:
    """The feeds that are followed in this process."""

    def __init__(self, db: Database, hub: Hub) -> None:
        self._db = db
        self._hub = hub
        self._feeds: dict[str, SharedFeed] = {}
        hub.probe("feed", self._with_news)
        db.announcer.listen(hub.changed)

    def reader(self, user_id: str) -> ChangeReader:
        """A user's feed as it is in the table."""
        return ChangeReader(self._db, user_id)

    def kept(self, user_id: str) -> int:
        """How many changes of a user are kept here."""
        return len(self._feeds[user_id]) if user_id in self._feeds else 0

    @contextmanager
    def follow(self, user_id: str) -> Iterator[SharedFeed]:
        """A user's feed, kept as long as somebody follows it."""
        feed = self._feeds.get(user_id)
        if feed is None:
            feed = self._feeds[user_id] = SharedFeed(self.reader(user_id), self._hub.watch(feed_topic(user_id)))
            feed.watch.__enter__()
        feed.followers += 1
        try:
            yield feed
        finally:
            feed.followers -= 1
            if not feed.followers:
                feed.watch.__exit__(None, None, None)
                del self._feeds[user_id]

    async def _with_news(self, topics: Collection[Topic]) -> Iterable[Topic]:
        read = {user_id: self._feeds[user_id].end if user_id in self._feeds else -1 for _, user_id in topics}
        return [feed_topic(user_id) for user_id in await with_news(self._db, read)]
