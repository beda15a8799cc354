"""Server-sent events of the service, with reconnection: nothing is missed, and nothing comes twice."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Generic, Self, TypeVar

import httpx2

from chatkeep import http
from chatkeep._async.methods import AsyncSender
from chatkeep.call import Call
from chatkeep.errors import ApiError
from chatkeep.retries import TRANSIENT_STATUSES, Reconnection

Event = httpx2.ServerSentEvent
T = TypeVar("T")


class AsyncEventStream(Generic[T]):
    """The values that the events of a stream are read as. Iterate over it in an `async with`, or `aclose` it."""

    def __init__(self, client: AsyncSender, call: Call[None], give_up_after: float) -> None:
        self._events = iterate_events(client, call, give_up_after)
        self._finished = False

    def _read(self, event: Event) -> T | None:
        """The value of an event; None where it has none. Sets `_finished` at the last one."""
        raise NotImplementedError

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        async for event in self._events:
            if (value := self._read(event)) is not None:
                return value
            if self._finished:
                break
        await self.aclose()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Closes its connection."""
        await self._events.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()


async def iterate_events(client: AsyncSender, call: Call[None], give_up_after: float) -> AsyncGenerator[Event]:
    """The events of a call's response, until the service has no more of them.

    Raises ConnectionFailed after `give_up_after` seconds without the service, and ApiError where it refuses.
    """
    reconnection = Reconnection(give_up_after)
    response = await client.open(call)
    while response.status_code != httpx2.codes.NO_CONTENT:
        failure: Exception | None = None
        try:
            # An event may be as large as the service takes messages.
            async for event in httpx2.EventSource(response, max_event_size=None):
                reconnection.received(event.retry)
                call = call.with_headers(Last_Event_ID=event.id) if event.id else call
                if event.data:
                    yield event
        except http.NO_RESPONSE as error:
            failure = error
        finally:
            await response.aclose()
        response = await _reconnect(client, call, reconnection, failure)


async def _reconnect(
    client: AsyncSender, call: Call[None], reconnection: Reconnection, failure: Exception | None
) -> httpx2.Response:
    headers: httpx2.Headers | None = None
    while (wait := reconnection.wait(headers)) is not None:
        await asyncio.sleep(wait)
        try:
            response = await client.send_once(call, None, stream=True)
        except http.NO_RESPONSE as error:
            failure, headers = error, None
            continue
        refusal = http.response_error(response)
        if refusal is None:
            return response
        failure, headers = _transient(refusal), response.headers
    raise http.connection_failed(call, failure) from failure


def _transient(error: ApiError) -> ApiError:
    """An error that may be gone the next time. Raises one that will not."""
    if error.status not in TRANSIENT_STATUSES:
        raise error
    return error
