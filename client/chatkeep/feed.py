"""The feed of changes, followed as they happen."""

import json
from typing import Any, Self

from chatkeep.following import Event, async_events, events
from chatkeep.models.changes import Change
from chatkeep.request import Call
from chatkeep.resources.sending import AsyncSender, Sender


class _Place:
    """Where a feed is: `cursor` is the `since` for what comes next, None before anything came."""

    cursor: str | None = None

    def _change(self, event: Event) -> Change | None:
        """The change that an event tells of; None where it only tells the cursor."""
        value: dict[str, Any] = json.loads(event.data)
        self.cursor = value["cursor"]
        return None if event.event == "cursor" else Change.model_validate(value)


class Feed(_Place):
    """Changes as they happen, without end. Use it in a `with`, or close it. `cursor` says where it is."""

    def __init__(self, client: Sender, call: Call[None], give_up_after: float) -> None:
        self._events = events(client, call, give_up_after)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Change:
        for event in self._events:
            if (change := self._change(event)) is not None:
                return change
        raise StopIteration

    def close(self) -> None:
        """Stops following."""
        self._events.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class AsyncFeed(_Place):
    """The same for `async for` and `async with`."""

    def __init__(self, client: AsyncSender, call: Call[None], give_up_after: float) -> None:
        self._events = async_events(client, call, give_up_after)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        async for event in self._events:
            if (change := self._change(event)) is not None:
                return change
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Stops following."""
        await self._events.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()
