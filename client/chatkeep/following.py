"""Events of the service, and coming back where their stream breaks: nothing is missed, nothing comes twice."""

import asyncio
import time
from collections.abc import AsyncGenerator, Generator

import httpx2

from chatkeep import wire
from chatkeep.errors import ApiError
from chatkeep.request import Call
from chatkeep.resources.sending import AsyncSender, Sender
from chatkeep.retrying import PASSING, Reconnection

Event = httpx2.ServerSentEvent


def events(client: Sender, call: Call[None], give_up_after: float) -> Generator[Event]:
    """The events that a call is answered with, until the service has no more of them.

    Raises ConnectionFailed after `give_up_after` seconds without the service, and ApiError where it refuses.
    """
    reconnection = Reconnection(give_up_after)
    response = client.open(call)
    while response.status_code != httpx2.codes.NO_CONTENT:
        failure: Exception | None = None
        try:
            for event in _source(response):
                reconnection.heard(event.retry)
                call = after(call, event)
                if event.data:
                    yield event
        except wire.NO_ANSWER as error:
            failure = error
        finally:
            response.close()
        response = _opened_again(client, call, reconnection, failure)


def _opened_again(
    client: Sender, call: Call[None], reconnection: Reconnection, failure: Exception | None
) -> httpx2.Response:
    headers: httpx2.Headers | None = None
    while (wait := reconnection.wait(headers)) is not None:
        time.sleep(wait)
        try:
            response = client.try_once(call, None, stream=True)
        except wire.NO_ANSWER as error:
            failure, headers = error, None
            continue
        refusal = wire.refused(response)
        if refusal is None:
            return response
        failure, headers = _passing(refusal), response.headers
    raise wire.failed(call, failure) from failure


async def async_events(client: AsyncSender, call: Call[None], give_up_after: float) -> AsyncGenerator[Event]:
    """The same, to be awaited."""
    reconnection = Reconnection(give_up_after)
    response = await client.open(call)
    while response.status_code != httpx2.codes.NO_CONTENT:
        failure: Exception | None = None
        try:
            async for event in _source(response):
                reconnection.heard(event.retry)
                call = after(call, event)
                if event.data:
                    yield event
        except wire.NO_ANSWER as error:
            failure = error
        finally:
            await response.aclose()
        response = await _async_opened_again(client, call, reconnection, failure)


async def _async_opened_again(
    client: AsyncSender, call: Call[None], reconnection: Reconnection, failure: Exception | None
) -> httpx2.Response:
    headers: httpx2.Headers | None = None
    while (wait := reconnection.wait(headers)) is not None:
        await asyncio.sleep(wait)
        try:
            response = await client.try_once(call, None, stream=True)
        except wire.NO_ANSWER as error:
            failure, headers = error, None
            continue
        refusal = wire.refused(response)
        if refusal is None:
            return response
        failure, headers = _passing(refusal), response.headers
    raise wire.failed(call, failure) from failure


def after(call: Call[None], event: Event) -> Call[None]:
    """The call that goes on after an event."""
    return call.saying(Last_Event_ID=event.id) if event.id else call


def _source(response: httpx2.Response) -> httpx2.EventSource:
    # A message may be as large as the service takes them.
    return httpx2.EventSource(response, max_event_size=None)


def _passing(refusal: ApiError) -> ApiError:
    """A refusal that may be gone the next time. Raises one that will not."""
    if refusal.status not in PASSING:
        raise refusal
    return refusal
