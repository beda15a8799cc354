"""`client.changes` and `client.events`: changes by pages, and as they happen."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from chatkeep._async.methods import AsyncCallMethod, AsyncResource
from chatkeep.calls import changes as calls
from chatkeep.models.changes import Change
from chatkeep.retries import DEFAULT_GIVE_UP_AFTER

if TYPE_CHECKING:
    from chatkeep._async.change_feed import AsyncChangeFeed


class AsyncChanges(AsyncResource):
    """`client.changes`: what changed."""

    page = AsyncCallMethod(calls.page)

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


class AsyncEvents(AsyncResource):
    """`client.events`: what changes, as it happens."""

    ticket = AsyncCallMethod(calls.ticket)

    def follow(
        self, *, since: str | None = None, chat: str | None = None, give_up_after: float = DEFAULT_GIVE_UP_AFTER
    ) -> "AsyncChangeFeed":
        """What changes from now on, or after `since`, without end: `async with client.events.follow() as changes: …`.

        Where the connection breaks, it goes on from there. Raises Gone where `since` is older than what is kept, and
        ConnectionFailed where the service cannot be reached for `give_up_after` seconds.
        """
        from chatkeep._async.change_feed import AsyncChangeFeed

        return AsyncChangeFeed(self._client, calls.follow(since=since, chat=chat), give_up_after)
