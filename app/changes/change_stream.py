"""Live stream of a user's changes, in batches: what Server-Sent Events and the WebSocket have in common."""

import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from starlette.requests import HTTPConnection

from app.changes.feed_cache import FeedCache
from app.changes.reader import Change
from app.events.pubsub import PubSub, feed_topic
from app.events.streams import KEEP_ALIVE_SECONDS
from app.http.references import ChatRef
from app.http.services import service


class ChangeBatch(NamedTuple):
    """The next changes, or the cursor to come back with. With neither, it is only a sign of life."""

    changes: Sequence[Change]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class ChangeStream:
    """The changes of a user after a position, of one chat only where `chat_id` is set."""

    pubsub: PubSub
    feed_cache: FeedCache
    user_id: str
    position: int
    chat_id: str | None

    @classmethod
    async def open(cls, connection: HTTPConnection, user_id: str, since: str | None, chat: str | None) -> Self:
        """The stream a client asks for. Raises InvalidCursor (400), NotFound (404) for the chat, and Gone (410)."""
        feed_cache = service(connection, FeedCache)
        reader = feed_cache.reader(user_id)
        chat_id = await reader.chat_id(ChatRef.parse(chat)) if chat is not None else None
        position = await reader.position(since or "now")
        # Read once before the stream begins, since Gone has no status to be answered with afterwards.
        page = await reader.read(position, 0)
        return cls(service(connection, PubSub), feed_cache, user_id, page.position, chat_id)

    async def batches(self) -> AsyncGenerator[ChangeBatch]:
        """First the cursor of the beginning, then what is new, until the service stops.

        Neither a database connection nor changes are held while it waits. Raises Gone (410) where it fell so far behind
        that the next changes were pruned.
        """
        reader = self.feed_cache.reader(self.user_id)
        position = sent_position = self.position
        sent_at = time.monotonic()
        subscription = self.pubsub.subscribe(feed_topic(self.user_id))
        with subscription, self.feed_cache.open(self.user_id) as feed:
            yield ChangeBatch((), reader.cursor(position))
            while not self.pubsub.closing:
                page = await feed.read(position, self.chat_id)
                position = page.position
                if page.items:
                    yield ChangeBatch(page.items, None)
                    sent_position, sent_at = page.items[-1].position, time.monotonic()
                if page.has_more:
                    continue
                del page
                await subscription.wait(max(0.0, sent_at + KEEP_ALIVE_SECONDS - time.monotonic()))
                if time.monotonic() >= sent_at + KEEP_ALIVE_SECONDS:
                    feed.clear()
                    # Changes of other chats have moved the position: a client that comes back can skip them.
                    yield ChangeBatch((), reader.cursor(position) if position != sent_position else None)
                    sent_position, sent_at = position, time.monotonic()
