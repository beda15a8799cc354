"""An answer that is read while it is written."""

import json
from typing import Any, Self

from chatkeep.following import Event, async_events, events
from chatkeep.models.messages import Message
from chatkeep.request import Call
from chatkeep.resources.sending import AsyncSender, Sender


class _Read:
    """How far an answer was read.

    `offset` is where the next text begins, in characters. In the end `ended` is `done`, `failed`, `incomplete` or
    `deleted`, and `message` the whole answer, whose content is what counts; None where it was deleted.
    """

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.ended: str | None = None
        self.message: Message | None = None

    def _text(self, event: Event) -> str | None:
        """The text that an event brings; None with the last one."""
        value: dict[str, Any] = json.loads(event.data)
        if event.event == "text":
            self.offset = value["offset"] + len(value["text"])
            return str(value["text"])
        self.ended = event.event
        self.message = None if event.event == "deleted" else Message.model_validate(value)
        return None


class AnswerReader(_Read):
    """The text of an answer, as it comes, to its end. Use it in a `with`, or close it."""

    __doc__ = f"{__doc__}\n\n{_Read.__doc__}"

    def __init__(self, client: Sender, call: Call[None], offset: int, give_up_after: float) -> None:
        super().__init__(offset)
        self._events = events(client, call, give_up_after)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        for event in self._events:
            if (text := self._text(event)) is not None:
                return text
            break
        self.close()
        raise StopIteration

    def close(self) -> None:
        """Stops reading."""
        self._events.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class AsyncAnswerReader(_Read):
    """The same for `async for` and `async with`."""

    def __init__(self, client: AsyncSender, call: Call[None], offset: int, give_up_after: float) -> None:
        super().__init__(offset)
        self._events = async_events(client, call, give_up_after)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        async for event in self._events:
            if (text := self._text(event)) is not None:
                return text
            break
        await self.aclose()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Stops reading."""
        await self._events.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()
