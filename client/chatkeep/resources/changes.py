"""`client.changes` and `client.events`."""

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from chatkeep.calls import changes as calls
from chatkeep.models.changes import Change
from chatkeep.resources.answers import GIVE_UP_AFTER
from chatkeep.resources.sending import AsyncResource, AsyncSent, Resource, Sent

if TYPE_CHECKING:
    from chatkeep.feed import AsyncFeed, Feed


class Changes(Resource):
    """What changed."""

    page = Sent(calls.page)

    def list(self, *, since: str | None = None, chat: str | None = None, limit: int | None = None) -> Iterator[Change]:
        """What changed after `since`, or from the first change that is kept, up to now."""
        more = True
        while more:
            page = self.page(since=since, chat=chat, limit=limit)
            yield from page.items
            since, more = page.cursor, page.has_more


class AsyncChanges(AsyncResource):
    """The same to be awaited."""

    page = AsyncSent(calls.page)

    async def list(
        self, *, since: str | None = None, chat: str | None = None, limit: int | None = None
    ) -> AsyncIterator[Change]:
        """What changed after `since`, or from the first change that is kept, up to now."""
        more = True
        while more:
            page = await self.page(since=since, chat=chat, limit=limit)
            for change in page.items:
                yield change
            since, more = page.cursor, page.has_more


class Events(Resource):
    """What changes, as it happens."""

    ticket = Sent(calls.ticket)

    def follow(
        self, *, since: str | None = None, chat: str | None = None, give_up_after: float = GIVE_UP_AFTER
    ) -> "Feed":
        """What changes from now on, or after `since`, without end: `with client.events.follow() as changes: …`.

        Where the connection breaks, it goes on from there. Raises Gone where `since` is older than what is kept, and
        ConnectionFailed where the service cannot be reached for `give_up_after` seconds.
        """
        from chatkeep.feed import Feed

        return Feed(self._client, calls.follow(since=since, chat=chat), give_up_after)


class AsyncEvents(AsyncResource):
    """The same to be awaited."""

    ticket = AsyncSent(calls.ticket)

    def follow(
        self, *, since: str | None = None, chat: str | None = None, give_up_after: float = GIVE_UP_AFTER
    ) -> "AsyncFeed":
        """What changes from now on, or after `since`, without end: `async with client.events.follow() as changes: …`.

        Where the connection breaks, it goes on from there. Raises Gone where `since` is older than what is kept, and
        ConnectionFailed where the service cannot be reached for `give_up_after` seconds.
        """
        from chatkeep.feed import AsyncFeed

        return AsyncFeed(self._client, calls.follow(since=since, chat=chat), give_up_after)
