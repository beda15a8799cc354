"""Following a feed: what an event stream and a WebSocket have in common."""

import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from starlette.requests import HTTPConnection

from app.changes.reader import Change
from app.changes.shared_feed import Feeds
from app.events.pubsub import Hub, feed_topic
from app.events.streams import SILENCE_SECONDS
from app.http.references import ChatRef
from app.http.services import service


@dataclass(frozen=True, slots=True)
class News:
    """The next changes, maybe none; and the cursor of the place after them, where it is worth telling.

    Without either it is only a sign of life.
    """

    changes: Sequence[Change]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Following:
    """Where in whose feed a stream begins, and whether it is about one chat only."""

    hub: Hub
    feeds: Feeds
    user_id: str
    position: int
    chat_id: str | None

    @classmethod
    async def open(cls, connection: HTTPConnection, user_id: str, since: str | None, chat: str | None) -> "Following":
        """What a client asks for. Raises InvalidCursor (400), NotFound (404) for the chat, and Gone (410)."""
        feeds = service(connection, Feeds)
        reader = feeds.reader(user_id)
        chat_id = await reader.chat(ChatRef.parse(chat)) if chat is not None else None
        position = await reader.start(since or "now")
        # Said before the stream begins, since afterwards there is no status to say it with.
        checked = await reader.after(position, 0)
        return cls(service(connection, Hub), feeds, user_id, checked.position, chat_id)

    async def news(self) -> AsyncGenerator[News]:
        """First the cursor of the beginning, then what is new, for ever: until the hub closes.

        Nothing is held while it waits: no connection of a database, no changes. Raises Gone (410) where it fell so far
        behind that changes were lost on it.
        """
        reader = self.feeds.reader(self.user_id)
        position = told = self.position
        said_at = time.monotonic()
        with self.hub.watch(feed_topic(self.user_id)) as watch, self.feeds.follow(self.user_id) as feed:
            yield News((), reader.cursor(position))
            while not self.hub.closing:
                changes = await feed.after(position, self.chat_id)
                position = changes.position
                if changes.items:
                    yield News(changes.items, None)
                    told, said_at = changes.items[-1].position, time.monotonic()
                if changes.has_more:
                    continue
                del changes
                await watch.wait(max(0.0, said_at + SILENCE_SECONDS - time.monotonic()))
                if time.monotonic() >= said_at + SILENCE_SECONDS:
                    feed.rest()
                    # Changes of other chats have moved it on: who comes back later need not begin before them.
                    yield News((), reader.cursor(position) if position != told else None)
                    told, said_at = position, time.monotonic()
