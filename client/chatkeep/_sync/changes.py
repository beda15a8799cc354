# Generated from chatkeep/_async/changes.py by client/generate_sync.py: edit that file, then run `make format`.
"""`client.changes` and `client.events`: changes by pages, and as they happen."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from chatkeep._sync.methods import CallMethod, Resource
from chatkeep.calls import changes as calls
from chatkeep.models.changes import Change
from chatkeep.retries import DEFAULT_GIVE_UP_AFTER

if TYPE_CHECKING:
    from chatkeep._sync.change_feed import ChangeFeed


class Changes(Resource):
    """`client.changes`: what changed."""

    page = CallMethod(calls.page)

    def list(self, *, since: str | None = None, chat: str | None = None, limit: int | None = None) -> Iterator[Change]:
        """What changed after `since`, or from the first change that is kept, up to now."""
        more = True
        while more:
            page = self.page(since=since, chat=chat, limit=limit)
            yield from page.items
            since, more = page.cursor, page.has_more


class Events(Resource):
    """`client.events`: what changes, as it happens."""

    ticket = CallMethod(calls.ticket)

    def follow(
        self, *, since: str | None = None, chat: str | None = None, give_up_after: float = DEFAULT_GIVE_UP_AFTER
    ) -> "ChangeFeed":
        """What changes from now on, or after `since`, without end: `with client.events.follow() as changes: …`.

        Where the connection breaks, it goes on from there. Raises Gone where `since` is older than what is kept, and
        ConnectionFailed where the service cannot be reached for `give_up_after` seconds.
        """
        from chatkeep._sync.change_feed import ChangeFeed

        return ChangeFeed(self._client, calls.follow(since=since, chat=chat), give_up_after)
