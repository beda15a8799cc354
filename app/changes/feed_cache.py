"""Cache of users' latest changes, shared by all streams of this process: read and encoded once, not once per stream.

A stream has a position and no queue. The changes that were read last are cached here. A stream that is behind them
reads the table.
"""

import asyncio
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

from app.changes.reader import Change, ChangeReader, ChangeSlice, users_with_new_changes
from app.db.database import Database
from app.events.pubsub import PubSub, Subscription, Topic, feed_topic

PAGE_SIZE = 100
# What is cached of one user's feed.
MAX_CHANGES = 200
MAX_BYTES = 512 * 1024


class CachedFeed:
    """The cached end of one user's feed: the changes after `start` up to `end`, one for each position.

    The table is read again only after a wake-up, by the first of the streams that were woken.
    """

    def __init__(self, reader: ChangeReader, subscription: Subscription) -> None:
        self.streams = 0
        self.start = self.end = -1
        self.subscription = subscription
        # Whether there may be changes after `end`, although there was no wake-up since they were read.
        self._has_more = True
        self._reader = reader
        self._changes: list[Change] = []
        self._bytes = 0
        self._lock = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._changes)

    async def read(self, position: int, chat_id: str | None = None) -> ChangeSlice:
        """The next changes after a position, of one chat only if one is named. Raises Gone (410)."""
        if position >= self.end:
            async with self._lock:
                # Whoever waited for the lock finds what the one before has read.
                if position > self.end:
                    self._restart_at(position)
                    self._has_more = True
                if position == self.end and (self.subscription.take_wake_up() or self._has_more):
                    await self._read_new()
        if position < self.start:
            return await self._reader.read(position, PAGE_SIZE, chat_id)
        index = position - self.start
        changes = self._changes[index : index + PAGE_SIZE]
        end = position + len(changes)
        if chat_id is not None:
            changes = [change for change in changes if change.chat_id == chat_id]
        return ChangeSlice(changes, end, end < self.end or self._has_more)

    def clear(self) -> None:
        """Frees the cached changes, as after a while in which nothing happened."""
        self._restart_at(self.end)

    async def _read_new(self) -> None:
        self._has_more = True
        page = await self._reader.read(self.end, PAGE_SIZE)
        self._has_more = page.has_more
        for change in page.items:
            if change.removes:
                # From now on nobody is sent what was removed.
                self._restart_at(change.position - 1)
            self._changes.append(change)
            self._bytes += len(change.json)
            self.end = change.position
        surplus = 0
        while len(self._changes) - surplus > MAX_CHANGES or (
            self._bytes > MAX_BYTES and len(self._changes) - surplus > len(page.items)
        ):
            self._bytes -= len(self._changes[surplus].json)
            surplus += 1
        del self._changes[:surplus]
        self.start = self.end - len(self._changes)

    def _restart_at(self, position: int) -> None:
        self._changes.clear()
        self._bytes = 0
        self.start = self.end = position


class FeedCache:
    """The feeds that streams of this process follow."""

    def __init__(self, db: Database, pubsub: PubSub) -> None:
        self._db = db
        self._pubsub = pubsub
        self._feeds: dict[str, CachedFeed] = {}
        pubsub.add_probe("feed", self._with_new_changes)
        db.commit_hooks.add(pubsub.publish_changes)

    def reader(self, user_id: str) -> ChangeReader:
        """A reader of a user's feed in the table."""
        return ChangeReader(self._db, user_id)

    def cached(self, user_id: str) -> int:
        """How many changes of a user are cached."""
        return len(self._feeds[user_id]) if user_id in self._feeds else 0

    @contextmanager
    def open(self, user_id: str) -> Iterator[CachedFeed]:
        """A user's feed, cached as long as a stream has it open."""
        feed = self._feeds.get(user_id)
        if feed is None:
            subscription = self._pubsub.subscribe(feed_topic(user_id))
            feed = self._feeds[user_id] = CachedFeed(self.reader(user_id), subscription)
            subscription.__enter__()
        feed.streams += 1
        try:
            yield feed
        finally:
            feed.streams -= 1
            if not feed.streams:
                feed.subscription.__exit__(None, None, None)
                del self._feeds[user_id]

    async def _with_new_changes(self, topics: Collection[Topic]) -> Iterable[Topic]:
        positions = {user_id: self._feeds[user_id].end if user_id in self._feeds else -1 for _, user_id in topics}
        return [feed_topic(user_id) for user_id in await users_with_new_changes(self._db, positions)]
